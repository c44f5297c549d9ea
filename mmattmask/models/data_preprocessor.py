"""Guided masks for algorithms that take their masks from the pipeline."""

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseDataPreprocessor
from mmpretrain.models import SelfSupDataPreprocessor, TwoNormDataPreprocessor
from torch import Tensor

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.models.guidance import Guidance
from mmattmask.registry import MODELS
from mmattmask.scorers import Scorer


class MaskRewriter(BaseDataPreprocessor):
    """Mixin that rewrites ``data_sample.mask`` of a training batch on the device.

    For SimMIM, MaskFeat, BEiT, CAE and others that read ``data_sample.mask``: the
    algorithm stays the stock one. Scores, masks and their randomness live in the main
    process, so the loader may keep its workers.

    Until the scorer knows a score, the masks that the pipeline made stand, unless there
    is a ``warmup_mask_generator``.

    Args:
        mask_generator: Config of a mask generator.
        scorer: Config of a scorer. Defaults to None: no score.
        warmup_mask_generator: Config of the mask generator while there is no score.
            Defaults to None: the pipeline's masks.
        mask_patch_size: Side in px of a mask cell, the unit of the policy.
        model_patch_size: Side in px of a token; a cell holds a square of them. Defaults
            to ``mask_patch_size``.
        num_masked: Number of tokens that the algorithm needs masked in every image
            (CAE: its neck's ``mask_tokens_num``). Defaults to None: any.
        **kwargs: As for the stock data preprocessor.

    Raises:
        ValueError: If the sizes do not fit each other, or the policy throws patches or
            masks another number than ``num_masked``.
    """

    def __init__(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | Scorer | None = None,
        warmup_mask_generator: dict[str, Any] | None = None,
        mask_patch_size: int = 16,
        model_patch_size: int | None = None,
        num_masked: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if model_patch_size is None:
            model_patch_size = mask_patch_size
        self.num_masked = num_masked
        self.guidance = Guidance(
            mask_generator,
            scorer,
            warmup_mask_generator,
            mask_patch_size,
            model_patch_size,
        )
        if self.guidance.scorer is not None:
            self.guidance.scorer.views_from(self)
        self.guidance.check_masks_something()
        self.guidance.check_learns_nothing(type(self).__name__)
        self._checked: set[tuple[int, int]] = set()
        if num_masked is not None:
            for policy in self.guidance.policies():
                if policy.variable_counts:
                    raise ValueError(
                        f'every image must have {num_masked} masked tokens, but with '
                        f'these options {type(policy).__name__} masks another '
                        'number in each image'
                    )

    def init_weights(self) -> None:
        """Let the scorer load its weights; called with the model's."""
        self.guidance.init_weights()

    def forward(self, data: dict[str, Any], training: bool = False) -> dict[str, Any]:
        """Preprocess as stock, and in training replace the masks.

        Args:
            data: Batch of the loader.
            training: Whether this is a training step.

        Returns:
            ``inputs`` and ``data_samples``, whose ``mask`` is (h, w) int64 on the
            device: 1 = masked, 0 = visible.

        Raises:
            ValueError: If the samples come without masks to replace.
        """
        data = super().forward(data, training)
        if training:
            self.rewrite(data['inputs'], data['data_samples'])
        return data

    def rewrite(
        self, inputs: Tensor | Sequence[Tensor], data_samples: Sequence[Any]
    ) -> None:
        """Replace the samples' masks; of several pictures the first is the view.

        Args:
            inputs: Normalised views, (B, 3, H, W), alone or with target pictures.
            data_samples: One DataSample per view.
        """
        if 'mask' not in data_samples[0]:
            raise ValueError(
                f'{type(self).__name__} replaces masks that the pipeline made, but the '
                'samples have none. Algorithms that mask by themselves do not read '
                'them: for MAE, MFF, EVA, MILAN and ConvMAE there are guided hosts '
                "(type='mmattmask.GuidedMAE', …); MixMIM mixes pairs of images under "
                'one mask for the whole batch and SparK masks convolutions, neither is '
                'supported'
            )
        guidance = self.guidance
        view = inputs if isinstance(inputs, Tensor) else inputs[0]
        size = view.shape[-2:]
        self.check_counts(guidance.policy_grid(size))
        score = guidance.score(view, data_samples)
        if guidance.policy(score) is None:
            return
        mask = guidance.decide_mask(score, view, guidance.rng)
        masks = guidance.spread_values(mask, size)
        expected = data_samples[0].mask.shape
        if masks.shape[1:] != expected:
            raise ValueError(
                f'views of {size[0]} x {size[1]} px have {masks.shape[1]} x '
                f'{masks.shape[2]} tokens of {guidance.token_size} px, the masks of '
                f'the pipeline have {tuple(expected)}: set model_patch_size of the '
                'data preprocessor'
            )
        for sample, sample_mask in zip(data_samples, masks.long(), strict=True):
            sample.set_mask(sample_mask)

    def check_counts(self, grid: tuple[int, int]) -> None:
        """Raise ValueError unless the policies fit a grid; looked at once for each."""
        if grid in self._checked:
            return
        self.guidance.check_throws_nothing(type(self).__name__, grid)
        self.guidance.try_policies(grid)
        tokens_per_cell = self.guidance.factor**2
        for policy in self.guidance.policies():
            if policy.variable_counts:
                continue
            budget = policy.budget(grid[0] * grid[1])
            masked = budget.num_masked * tokens_per_cell
            if self.num_masked is not None and masked != self.num_masked:
                raise ValueError(
                    f'every image must have {self.num_masked} masked tokens, but '
                    f'{type(policy).__name__} masks {masked} of '
                    f'{budget.num_patches * tokens_per_cell}: set mask_ratio='
                    f'{self.num_masked}/{budget.num_patches * tokens_per_cell}'
                )
        self._checked.add(grid)


@MODELS.register_module()
class GuidedDataPreprocessor(MaskRewriter, SelfSupDataPreprocessor):
    """SelfSupDataPreprocessor with guided masks, for SimMIM and MaskFeat."""


@MODELS.register_module()
class GuidedTwoNormDataPreprocessor(MaskRewriter, TwoNormDataPreprocessor):
    """TwoNormDataPreprocessor with guided masks, for BEiT, BEiT v2 and CAE."""
