"""Masks of blocks: a fixed number of patches (BEiT) or a drawn one (iBOT)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from mmattmask.device import to_device
from mmattmask.mask_generators.base import BaseMaskGenerator, check_grid
from mmattmask.masking import (
    PatchBudget,
    as_range,
    block_masks,
    draw_ratios,
    mask_first,
    rank_around,
    rank_random,
)
from mmattmask.masking.blocks import check_blocks
from mmattmask.masking.options import check_options, check_ratios
from mmattmask.registry import TASK_UTILS

Shape = Literal['block', 'random']


@TASK_UTILS.register_module()
class BlockMaskGenerator(BaseMaskGenerator):
    """Mask rectangles, whatever the score says, with the same count in every image.

    Args:
        mask_ratio: Share of masked patches, rounded down.
        num_masked: Number of masked patches instead; 75 of 196 in MMPretrain's BEiT and
            CAE.
        min_patches: Smallest area of a rectangle, in patches.
        aspect: Smallest and largest height / width of a rectangle.

    Raises:
        ValueError: If the ratio is outside [0, 1] or there are no such rectangles.

    Source: BEiT, Algorithm 1, https://arxiv.org/abs/2106.08254.
    """

    def __init__(
        self,
        mask_ratio: float = 0.4,
        num_masked: int | None = None,
        min_patches: int = 16,
        aspect: Sequence[float] = (0.3, 1 / 0.3),
    ) -> None:
        check_ratios(mask_ratio)
        check_blocks(min_patches, aspect)
        self.mask_ratio = mask_ratio
        self.num_masked = num_masked
        self.min_patches = min_patches
        self.aspect = aspect

    def budget(self, num_patches: int) -> PatchBudget:
        """Take the number, or round the ratio down."""
        if self.num_masked is None:
            return PatchBudget.from_ratios(num_patches, self.mask_ratio)
        return PatchBudget(num_patches - self.num_masked, self.num_masked)

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
        grid: tuple[int, int] | None,
    ) -> Tensor:
        """Mask rectangles, then patches beside them until the count is reached."""
        grid = check_grid(grid, score)
        wanted = torch.full(score.shape[:1], budget.num_masked, device='cpu')
        blocks = block_masks(wanted, grid, self.min_patches, self.aspect, generator=rng)
        blocks = to_device(blocks, score.device)
        # Differs from BEiT: the last patches (0.3 of 75 on average) are not looked for
        # with ever more rectangles; on small grids that loop has no end.
        return rank_around(blocks, grid, rng).flip(1)


@TASK_UTILS.register_module()
class IBOTMaskGenerator(BaseMaskGenerator):
    """Mask blocks or single patches, with a ratio drawn for every image.

    The number of masked patches differs between images, for hosts with mask tokens.

    Args:
        mask_ratios: Ranges (low, high). Each image draws one of them, all equally
            likely, and then its ratio in that range. The default is the released
            ``--pred_ratio 0 0.3 --pred_ratio_var 0 0.2``.
        shape: ``'block'`` for rectangles of at least ``(min(h, w) // 3) ** 2`` patches
            on a grid (h, w), which may mask less than the ratio; ``'random'`` for
            single patches.
        aspect: Smallest and largest height / width of a rectangle.

    Raises:
        ValueError: If a ratio is outside [0, 1], or the shape or aspect is unknown.

    Source: iBOT, https://arxiv.org/abs/2111.07832; bytedance/ibot loader.py.
    """

    variable_counts = True

    def __init__(
        self,
        mask_ratios: Sequence[Sequence[float]] = ((0.0, 0.0), (0.1, 0.5)),
        shape: Shape = 'block',
        aspect: Sequence[float] = (0.3, 1 / 0.3),
    ) -> None:
        check_options(shape=(shape, get_args(Shape)))
        ranges = isinstance(mask_ratios, Sequence) and mask_ratios
        if not ranges or not all(isinstance(each, Sequence) for each in mask_ratios):
            raise ValueError(
                f'mask_ratios must be one or more ranges (low, high), got {mask_ratios}'
            )
        check_blocks(0, aspect)
        self.mask_ratios = [as_range(each, 'mask_ratios') for each in mask_ratios]
        self.least_ratio = min(low for low, _ in self.mask_ratios)
        self.shape = shape
        self.aspect = aspect

    def budget(self, num_patches: int) -> PatchBudget:
        """Raise ValueError: there is no one number of masked patches."""
        raise ValueError(
            f'IBOTMaskGenerator with mask_ratios={self.mask_ratios} masks another '
            f'number of the {num_patches} patches in each image: this needs a host '
            'with mask tokens; use BlockMaskGenerator or RandomMaskGenerator elsewhere'
        )

    def max_masked(self, num_patches: int) -> int:
        """Return the largest number of patches that may be masked in one image."""
        return int(num_patches * max(high for _, high in self.mask_ratios))

    def mask(
        self,
        score: Tensor,
        rng: torch.Generator | None = None,
        progress: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Return who is masked, (B, L) float32; arguments as for a call."""
        batch_size, num_patches = score.shape
        device = score.device if self.shape == 'random' or rng else torch.device('cpu')
        ratios = draw_ratios(self.mask_ratios, (batch_size,), device, rng)
        wanted = num_patches * ratios
        if self.shape == 'random':
            wanted = wanted.long().unsqueeze(1)
            return mask_first(rank_random(score, rng), wanted).float()
        grid = check_grid(grid, score)
        smallest = (min(grid) // 3) ** 2
        mask = block_masks(
            wanted, grid, smallest, self.aspect, patience=10, generator=rng
        )
        return to_device(mask, score.device).float()
