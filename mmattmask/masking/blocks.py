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

    A rectangle's area is uniform between ``min_patches`` and what is left to mask, its
    aspect log-uniform, its place uniform. It is taken if it is shorter than the grid in
    both directions and masks at least one more patch, but not more than what is left.
    One depends on those before it, so this is done on the CPU (some 15 us an image).

    Args:
        num_masked: Largest number of masked patches of each image, (B,).
        grid: Patches of an image, (h, w).
        min_patches: Smallest area of a rectangle, in patches.
        aspect: Smallest and largest height / width.
        patience: An image is done when so many proposals in a row were not taken: 10 in
            iBOT; None goes on until the last round, as BEiT.
        rounds: Proposals per image; 24 leave 0.3 of 75 patches missing in 14 x 14.
        generator: One of a GPU is waited for. Defaults to torch's own of the CPU.

    Returns:
        True = masked, (B, h * w) bool on the CPU; at most ``num_masked`` per image.

    Raises:
        ValueError: If ``num_masked`` is not (B,) or an argument is out of range.

    Source: BEiT, Algorithm 1, https://arxiv.org/abs/2106.08254; bytedance/ibot
    loader.py.
    """
    if num_masked.ndim != 1:
        raise ValueError(f'num_masked must be (B,), got {tuple(num_masked.shape)}')
    check_blocks(min_patches, aspect)
    device = 'cpu' if generator is None else generator.device
    draws = torch.rand((4, rounds, len(num_masked)), generator=generator, device=device)
    low, high = (math.log(side) / 2 for side in aspect)
    draws[1] = (low + (high - low) * draws[1]).exp()
    proposals = draws.permute(2, 1, 0).tolist()
    masks = [
        _cover(limit, each, grid, min_patches, patience)
        for limit, each in zip(num_masked.tolist(), proposals, strict=True)
    ]
    num_patches = grid[0] * grid[1]
    num_bytes = (num_patches + 7) // 8
    packed = b''.join(mask.to_bytes(num_bytes, 'little') for mask in masks)
    rows = torch.frombuffer(bytearray(packed), dtype=torch.uint8).view(-1, num_bytes, 1)
    bits = rows.bitwise_right_shift(torch.arange(8, dtype=torch.uint8)) & 1
    return bits.flatten(1)[:, :num_patches].bool()


def _cover(
    missing: float,
    proposals: Sequence[Sequence[float]],
    grid: tuple[int, int],
    min_patches: float,
    patience: int | None,
) -> int:
    """Cover one image; bit i of the result says whether patch i is masked.

    A proposal is its area, the square root of its aspect, and its place along both
    axes; all but the second are uniform in [0, 1).
    """
    height, width = grid
    mask = failed = 0
    for area, stretch, top, left in proposals:
        if missing < 1 or failed == patience:
            break
        failed += 1
        side = math.sqrt(min_patches + (missing - min_patches) * area)
        rows, columns = round(side * stretch), round(side / stretch)
        # Differs from BEiT: a grid of one row or one column has blocks, too.
        if rows >= max(height, 2) or columns >= max(width, 2):
            continue
        # Differs from BEiT in MMPretrain: the last row and column can be masked, as in
        # the official BEiT and iBOT; np.random.randint leaves its upper end out.
        corner = int(top * (height - rows + 1)) * width
        corner += int(left * (width - columns + 1))
        row_starts = ((1 << rows * width) - 1) // ((1 << width) - 1)
        new = (row_starts * ((1 << columns) - 1) << corner) & ~mask
        count = new.bit_count()
        if 0 < count <= missing:
            mask |= new
            missing -= count
            failed = 0
    return mask


def check_blocks(min_patches: float, aspect: Aspect) -> None:
    """Raise ValueError unless there are rectangles of this area and aspect."""
    if min_patches < 0 or len(aspect) != 2 or not 0 < aspect[0] <= aspect[1]:
        raise ValueError(
            'min_patches must be at least 0 and aspect two positive numbers in '
            f'ascending order, got {min_patches} and {tuple(aspect)}'
        )


def rank_around(
    mask: Tensor, grid: tuple[int, int], generator: torch.Generator | None = None
) -> Tensor:
    """Rank masked patches (B, h * w) first, then those that touch them, then others.

    What is added to a mask that lacks patches grows its blocks. The order within the
    three groups is random. Returns (B, h * w) int64.
    """
    padded = F.pad(mask.unflatten(1, grid), (1, 1, 1, 1))
    touched = padded[:, 2:, 1:-1] | padded[:, :-2, 1:-1]
    touched |= padded[:, 1:-1, 2:] | padded[:, 1:-1, :-2]
    group = 2 * mask.long() + (touched.flatten(1) & ~mask)
    return rank_by_score(group, generator)
