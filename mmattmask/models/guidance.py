"""Decide who is masked: what guided algorithms and data preprocessors share."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.mask_generators.progress import training_progress
from mmattmask.masking import PatchPartition
from mmattmask.registry import MODELS, TASK_UTILS
from mmattmask.scorers.self_attention import cut


class Guidance:
    """Mixin that asks a scorer for scores and a mask generator for masks.

    Attributes:
        mask_generator: The policy.
        warmup_mask_generator: The policy while the scorer knows no score; None leaves
            the masks to the host.
        scorer: The source of scores, or None: the policy gets a constant score.
        cell_size: Side in px of the cells the policy decides on.
        rng: Source of randomness of the masks; None means torch's own.
    """

    mask_generator: BaseMaskGenerator
    warmup_mask_generator: BaseMaskGenerator | None
    scorer: nn.Module | None
    cell_size: int
    rng: torch.Generator | None = None

    def build_guidance(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | nn.Module | None,
        warmup_mask_generator: dict[str, Any] | BaseMaskGenerator | None = None,
    ) -> None:
        """Build policies and scorer; call after ``super().__init__``.

        Args:
            mask_generator: The policy or its config.
            scorer: The scorer or its config. None: no score.
            warmup_mask_generator: The policy while there is no score, or its config.
        """
        if isinstance(mask_generator, dict):
            mask_generator = TASK_UTILS.build(mask_generator)
        if isinstance(warmup_mask_generator, dict):
            warmup_mask_generator = TASK_UTILS.build(warmup_mask_generator)
        if isinstance(scorer, dict):
            scorer = MODELS.build(scorer)
        self.mask_generator = mask_generator
        self.scorer = scorer
        if scorer is None:
            warmup_mask_generator = mask_generator
        self.warmup_mask_generator = warmup_mask_generator

    def policies(self) -> list[BaseMaskGenerator]:
        """Return the policies that may come into force."""
        candidates = (self.mask_generator, self.warmup_mask_generator)
        return [policy for policy in candidates if policy is not None]

    def check_throws_nothing(self, num_patches: int) -> None:
        """Raise ValueError if a policy throws any of ``num_patches`` patches."""
        for generator in self.policies():
            if generator.variable_counts:
                continue
            num_thrown = generator.budget(num_patches).num_thrown
            if num_thrown:
                raise ValueError(
                    f'{type(self).__name__} has to do with every patch, so none can be '
                    f'thrown; {type(generator).__name__} throws {num_thrown} of '
                    f'{num_patches}: set throw_ratio=0, or use a host that can throw, '
                    'such as GuidedMAE, or GuidedSimMIM with a ViT'
                )

    def check_masks_something(self) -> None:
        """Raise ValueError if a policy may leave a batch without masked patches."""
        for generator in self.policies():
            if generator.may_mask_nothing:
                raise ValueError(
                    f'with these options {type(generator).__name__} leaves some images '
                    'without masked patches; this loss is an average over the masked '
                    'patches of a batch, undefined if there are none: set mask_prob=1 '
                    'and ratios above 0 (iBOT averages over images, there they may be)'
                )

    def policy_grid(self, image_size: Sequence[int]) -> tuple[int, int]:
        """Return the cells (h, w) of images of ``image_size`` (H, W) px.

        Raises:
            ValueError: If the cells do not divide the image.
        """
        return cut(image_size, self.cell_size, 'cell size')

    @torch.no_grad()
    def score(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> Tensor | None:
        """Return the score of the views' cells, (B, L), or None if none is known.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: One DataSample per view; None is enough without a scorer.

        Raises:
            ValueError: If the views do not fit the grid.
        """
        grid = self.policy_grid(inputs.shape[-2:])
        if self.scorer is None:
            return None
        return self.scorer(inputs, data_samples, grid, self.cell_size)

    def policy(self, score: Tensor | None) -> BaseMaskGenerator | None:
        """Return the policy in force: the warm-up's while there is no score."""
        return self.warmup_mask_generator if score is None else self.mask_generator

    @torch.no_grad()
    def decide(
        self, score: Tensor | None, inputs: Tensor, rng: torch.Generator | None = None
    ) -> PatchPartition:
        """Partition the cells of a batch by its score, or without one.

        Args:
            score: Score, (B, L), or None if none is known.
            inputs: The views, (B, 3, H, W); only their shape and device count.
            rng: Source of randomness. Defaults to torch's own.
        """
        return self._ask('__call__', score, inputs, rng)

    @torch.no_grad()
    def decide_mask(
        self, score: Tensor | None, inputs: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        """As :meth:`decide`, but only who is masked: (B, L) float32, 1 = masked."""
        return self._ask('mask', score, inputs, rng)

    def _ask(
        self,
        method: str,
        score: Tensor | None,
        inputs: Tensor,
        rng: torch.Generator | None,
    ) -> Any:
        grid = self.policy_grid(inputs.shape[-2:])
        generator = self.policy(score)
        if score is None:
            score = inputs.new_zeros(inputs.shape[0], grid[0] * grid[1])
        progress = training_progress(generator.by_epoch, generator.include_current)
        return getattr(generator, method)(score, rng, progress, grid)


def guidance_of(model: nn.Module) -> Guidance | None:
    """Return who decides on a model's masks: itself, its preprocessor, or nobody.

    Args:
        model: An algorithm, possibly in a distributed wrapper.
    """
    model = get_ori_model(model)
    for candidate in (model, getattr(model, 'data_preprocessor', None)):
        if isinstance(candidate, Guidance):
            return candidate
    return None


def attention_maps(model: nn.Module, images: Tensor) -> Tensor:
    """Let a model's scorer measure whole images.

    Args:
        model: A guided algorithm, in its distributed wrapper if it has one.
        images: Normalised images, (B, 3, H, W), of any size the scorer can cut.

    Returns:
        Attention maps, (B, h, w) float32.

    Raises:
        ValueError: If the model has no scorer that measures images.
    """
    guidance = guidance_of(model)
    scorer = None if guidance is None else guidance.scorer
    if not hasattr(scorer, 'measure'):
        raise ValueError(
            f'attention maps need a scorer that measures images, '
            f'{type(get_ori_model(model)).__name__} has {type(scorer).__name__}'
        )
    grid = scorer.map_grid(get_ori_model(model).backbone, images.shape[-2:])
    return scorer.measure(model, images).unflatten(1, grid)
