"""Masks from filtered noise, which look at no image (ColorMAE)."""

from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator, check_grid
from mmattmask.masking import PatchBudget, color_noise
from mmattmask.masking.noise import Color
from mmattmask.masking.options import check_options, check_ratios
from mmattmask.registry import TASK_UTILS


@TASK_UTILS.register_module()
class ColorNoiseMaskGenerator(BaseMaskGenerator):
    """Show the patches of the highest noise, which is not white, and mask the others.

    The score does not count. Neighbours are alike more often than by chance in red
    noise, less often in blue.

    Args:
        mask_ratio: Share of masked patches.
        color: ``'red'``, ``'blue'``, ``'green'`` (the paper's best) or ``'purple'``.
        sigma: Standard deviations of the narrow and the wide Gaussian, in patches.

    Raises:
        ValueError: If the ratio is outside [0, 1], the colour unknown, or sigma not two
            positive numbers in ascending order.

    Source: ColorMAE, https://arxiv.org/abs/2407.13036; carlosh93/ColorMAE
    masking_generator.py.
    """

    # Differs from ColorMAE: its patterns are windows of 3072 stored ones, the same crop
    # and flip for a batch; its sigmas were not published, the defaults are ours.
    def __init__(
        self,
        mask_ratio: float = 0.75,
        color: Color = 'green',
        sigma: Sequence[float] = (0.5, 2.0),
    ) -> None:
        check_ratios(mask_ratio)
        check_options(color=(color, get_args(Color)))
        pair = tuple(sigma) if isinstance(sigma, Sequence) else (sigma,)
        if len(pair) != 2 or not 0 < pair[0] < pair[1]:
            raise ValueError(
                'sigma must be the widths of a narrow and a wide Gaussian in patches, '
                f'0 < narrow < wide, got {sigma}'
            )
        self.mask_ratio = mask_ratio
        self.color: Color = color
        self.sigma = pair

    def budget(self, num_patches: int) -> PatchBudget:
        """Round the ratio as MAE does."""
        return PatchBudget.from_mask_ratio(num_patches, self.mask_ratio)

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
        grid: tuple[int, int] | None,
    ) -> Tensor:
        """Order the patches by noise, highest first."""
        grid = check_grid(grid, score)
        noise = color_noise(len(score), grid, self.color, self.sigma, rng, score.device)
        return noise.argsort(dim=1, descending=True)
