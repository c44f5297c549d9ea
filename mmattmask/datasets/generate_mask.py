"""Mask policies inside a pipeline."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from mmcv.transforms import BaseTransform
from mmengine.utils import to_2tuple
from torch import nn

from mmattmask.mask_generators import BaseMaskGenerator, check_policy
from mmattmask.masking.cells import expand_mask
from mmattmask.registry import MODELS, TASK_UTILS, TRANSFORMS

if TYPE_CHECKING:
    from mmattmask.scorers import UserMaps


@TRANSFORMS.register_module()
class GenerateMask(BaseTransform):
    """Let a policy mask the view, in place of SimMIMMaskGenerator or BEiTMaskGenerator.

    Put it behind everything that moves pixels. It writes ``mask``, int64 (h, w) on the
    grid of the model's tokens, 1 = masked, which stock PackInputs packs. As with
    SimMIM, the policy decides on cells of ``mask_patch_size`` px, each a block of
    tokens. Masks are drawn from torch's own generator in the process that loads the
    image.

    Args:
        mask_generator: The policy or its config.
        input_size: Side, or height and width, of the views in px.
        mask_patch_size: Side of a cell in px.
        model_patch_size: Side of a token in px.
        scorer: ``UserMaps`` or its config, with a crop that records ``crop_box`` in
            front. Defaults to None: the score is constant, nothing is known.

    Raises:
        ValueError: If sizes do not divide each other, or the policy throws patches,
            follows the progress of training, or is to use scores of another kind.
    """

    def __init__(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        input_size: int | Sequence[int] = 192,
        mask_patch_size: int = 32,
        model_patch_size: int = 4,
        scorer: 'dict[str, Any] | UserMaps | None' = None,
    ) -> None:
        height, width = to_2tuple(input_size)
        too_long = height % mask_patch_size or width % mask_patch_size
        if too_long or mask_patch_size % model_patch_size:
            raise ValueError(
                f'mask_patch_size ({mask_patch_size}) must divide input_size '
                f'({height} x {width}) and be a multiple of model_patch_size '
                f'({model_patch_size})'
            )
        self._shown = dict(
            mask_generator=mask_generator,
            input_size=(height, width),
            mask_patch_size=mask_patch_size,
            model_patch_size=model_patch_size,
            scorer=scorer,
        )
        self.mask_generator: BaseMaskGenerator = (
            TASK_UTILS.build(mask_generator)
            if isinstance(mask_generator, dict)
            else mask_generator
        )
        self.scorer = _user_maps(scorer)
        self.grid = (height // mask_patch_size, width // mask_patch_size)
        self.cell_size = mask_patch_size
        self.scale = mask_patch_size // model_patch_size
        self._check_policy()

    def _check_policy(self) -> None:
        """Raise ValueError if the policy cannot work in a pipeline."""
        generator, name = self.mask_generator, type(self.mask_generator).__name__
        num_cells = self.grid[0] * self.grid[1]
        check_policy(generator, self.grid)
        if not generator.variable_counts:
            budget = generator.budget(num_cells)
            if budget.num_thrown:
                raise ValueError(
                    'a mask from a pipeline cannot say that a patch is thrown; '
                    f'{name} throws {budget.num_thrown} of {num_cells}: set '
                    'throw_ratio=0, or use GuidedDataPreprocessor or a guided host'
                )
        if generator.uses_progress:
            raise ValueError(
                f'{name} follows the progress of training, which loader processes do '
                'not see: use GuidedDataPreprocessor or a guided host'
            )

    @torch.no_grad()
    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``mask``, int64 (h, w), 1 = masked."""
        score = torch.zeros(1, self.grid[0] * self.grid[1])
        if self.scorer is not None:
            if 'crop_box' not in results:
                raise ValueError(
                    'GenerateMask with a scorer needs to know where the view is in its '
                    "image: crop with type='mmattmask.RandomResizedCrop' in front of it"
                )
            view = SimpleNamespace(**results)
            score = self.scorer(score, [view], self.grid, self.cell_size)
        mask = self.mask_generator.mask(score, grid=self.grid)
        results['mask'] = expand_mask(mask, self.grid, self.scale)[0].long().numpy()
        return results

    def __repr__(self) -> str:
        shown = ', '.join(f'{name}={value!r}' for name, value in self._shown.items())
        return f'{type(self).__name__}({shown})'


def _user_maps(scorer: 'dict[str, Any] | nn.Module | None') -> 'UserMaps | None':
    """Build the scorer and see that it needs no model."""
    from mmattmask.scorers import UserMaps  # scorers import this package

    if isinstance(scorer, dict):
        scorer = MODELS.build(scorer)
    if scorer is None:
        return None
    if not isinstance(scorer, UserMaps) or scorer.gives_labels:
        raise ValueError(
            f'GenerateMask takes scores from UserMaps only, got '
            f'{type(scorer).__name__}: scores from the model exist only in the main '
            'process, use GuidedDataPreprocessor or a guided host'
        )
    return scorer
