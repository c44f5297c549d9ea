"""Block-wise masks: rectangles on the grid of patches, for a whole batch at once."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from mmattmask.masking.ranking import rank_by_score

Aspect = Sequence[float]


def block_masks(
    num_masked: Tensor,
    grid: tuple[int, int],
    min_patches: float = 16,
    aspect: Aspect = (0.3, 1 / 0.3),
    patience: int | None = None,
    rounds: int = 24,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Cover the grid with random rectangles, up to a number of patches per image.

    Each round proposes one rectangle per image. Its area is uniform between
    ``min_patches`` and what is left to mask, its aspect log-uniform, its sides are
    rounded, its place is uniform. It is taken if it is shorter than the grid in both
    directions and masks at least one more patch, but not more than what is left.
    Rectangles overlap, so those larger than what is left may still be taken.

    Nothing waits for the device: all images go through the same rounds.

    Args:
        num_masked: Largest number of masked patches of each image, (B,), int or float;
            the masks are made on its device.
        grid: Patches of an image, (h, w).
        min_patches: Smallest area of a rectangle, in patches.
        aspect: Smallest and largest height / width.
        patience: An image is done when so many proposals in a row were not taken: 10 in
            iBOT. Defaults to None: it goes on until the last round, as in BEiT.
        rounds: Proposals per image. With 24, of 75 patches to mask in 14 x 14 0.3 are
            missing on average; iBOT's rule gives up earlier in nine images of ten.
        generator: Source of randomness on the device of ``num_masked``. Defaults to
            torch's own.

    Returns:
        True = masked, in raster order, (B, h * w) bool; at most ``num_masked`` per
        image.

    Raises:
        ValueError: If ``num_masked`` is not (B,) or an argument is out of range.

    Source: BEiT, Algorithm 1, https://arxiv.org/abs/2106.08254; bytedance/ibot
    loader.py.
    """
    if num_masked.ndim != 1:
        raise ValueError(f'num_masked must be (B,), got {tuple(num_masked.shape)}')
    check_blocks(min_patches, aspect)
    height, width = grid
    device = num_masked.device
    size = (4, rounds, len(num_masked), 1)
    areas, aspects, tops, lefts = torch.rand(size, generator=generator, device=device)
    low, high = (math.log(side) / 2 for side in aspect)
    stretches = (low + (high - low) * aspects).exp()
    mask = torch.zeros(len(num_masked), height, width, dtype=torch.bool, device=device)
    missing = num_masked.double().unsqueeze(1)
    failed = torch.zeros_like(missing)
    for area, stretch, top, left in zip(areas, stretches, tops, lefts, strict=True):
        side = (min_patches + (missing - min_patches) * area).sqrt()
        sides = (side * stretch).round(), (side / stretch).round()
        # Differs from BEiT: a grid of one row or one column has blocks, too.
        fits = (sides[0] < max(height, 2)) & (sides[1] < max(width, 2))
        rows = _interval(top, sides[0], height)
        new = rows.unsqueeze(2) & _interval(left, sides[1], width).unsqueeze(1) & ~mask
        count = new.flatten(1).sum(dim=1, keepdim=True)
        taken = fits & (count > 0) & (count <= missing)
        if patience is not None:
            taken &= failed < patience
        mask |= new & taken.unsqueeze(2)
        missing = missing - count * taken
        failed = (failed + 1) * ~taken
    return mask.flatten(1)


def check_blocks(min_patches: float, aspect: Aspect) -> None:
    """Raise ValueError unless there are rectangles of this area and aspect."""
    if min_patches < 0 or len(aspect) != 2 or not 0 < aspect[0] <= aspect[1]:
        raise ValueError(
            'min_patches must be at least 0 and aspect two positive numbers in '
            f'ascending order, got {min_patches} and {tuple(aspect)}'
        )


def _interval(draw: Tensor, length: Tensor, end: int) -> Tensor:
    """Say which of the cells 0..end-1 are in an interval at a uniform place, (B, end).

    Args:
        draw: Uniform in [0, 1), (B, 1).
        length: Whole numbers, (B, 1).
        end: Number of cells.
    """
    # Differs from BEiT in MMPretrain: the last row and column can be masked, as in the
    # official BEiT and iBOT; np.random.randint leaves its upper end out.
    start = (draw * (end - length + 1)).floor()
    cells = torch.arange(end, device=draw.device)
    return (cells >= start) & (cells < start + length)


def rank_around(
    mask: Tensor, grid: tuple[int, int], generator: torch.Generator | None = None
) -> Tensor:
    """Rank masked patches first, then those that touch them, then all others.

    The first N of the ranking are N masked patches, whatever a mask lacks: what is
    added grows its blocks. The order within the three groups is random.

    Args:
        mask: True = masked, in raster order, (B, h * w) bool.
        grid: Patches of an image, (h, w).
        generator: Source of randomness. Defaults to torch's own.

    Returns:
        Ranking, (B, h * w) int64.
    """
    padded = F.pad(mask.unflatten(1, grid), (1, 1, 1, 1))
    touched = padded[:, 2:, 1:-1] | padded[:, :-2, 1:-1]
    touched |= padded[:, 1:-1, 2:] | padded[:, 1:-1, :-2]
    group = 2 * mask.long() + (touched.flatten(1) & ~mask)
    return rank_by_score(group, generator)
