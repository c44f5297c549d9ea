"""Masks decided on coarse cells, spread over the tokens inside each cell."""

import torch
from torch import Tensor

from mmattmask.masking.partition import (
    PatchBudget,
    PatchPartition,
    partition_patches,
)


def expand_partition(
    partition: PatchPartition, grid: tuple[int, int], factor: int
) -> PatchPartition:
    """Turn a partition of cells (h, w) into one of ``factor ** 2`` tokens in each.

    Inside each set the cells keep their order; the tokens of a cell follow each other
    in raster order.

    Raises:
        ValueError: If the grid does not have as many cells as the partition, or the
            factor is less than 1.

    Source: SimMIM, https://arxiv.org/abs/2111.09886 (masked patches of 32 px);
    microsoft/SimMIM data/data_simmim.py.
    """
    _check(partition.mask, grid, factor)
    cells = torch.cat(
        [partition.ids_keep, partition.ids_mask, partition.ids_throw], dim=1
    )
    tokens = _tokens_of_cells(grid, factor, cells.device)
    budget = partition.budget
    return partition_patches(
        tokens[cells].flatten(1),
        PatchBudget(
            budget.num_visible * factor**2,
            budget.num_masked * factor**2,
            budget.num_thrown * factor**2,
        ),
    )


def expand_mask(mask: Tensor, grid: tuple[int, int], factor: int) -> Tensor:
    """Spread values of cells (B, h * w) to tokens, (B, h * factor, w * factor)."""
    _check(mask, grid, factor)
    rows: Tensor = mask.unflatten(1, grid).repeat_interleave(factor, dim=1)
    return rows.repeat_interleave(factor, dim=2)


def mask_all_but(places: Tensor, grid: tuple[int, int], factor: int) -> Tensor:
    """Mask all tokens of each cell but one.

    ``places`` (B, h * w) says which, in 0..factor ** 2 - 1 in raster order inside the
    cell. Returns (B, h * factor * w * factor) bool, True = masked.
    """
    _check(places, grid, factor)
    tokens = _tokens_of_cells(grid, factor, places.device)
    visible = tokens.expand(len(places), -1, -1).gather(2, places.unsqueeze(2))
    shape = (len(places), tokens.numel())
    mask = torch.ones(shape, dtype=torch.bool, device=places.device)
    return mask.scatter_(1, visible.squeeze(2), False)


def _tokens_of_cells(
    grid: tuple[int, int], factor: int, device: torch.device
) -> Tensor:
    """Ids of the tokens inside each cell, (h * w, factor ** 2), in raster order."""
    height, width = grid
    ids = torch.arange(height * width * factor**2, device=device)
    ids = ids.view(height, factor, width, factor).transpose(1, 2)
    return ids.reshape(height * width, factor**2)


def _check(mask: Tensor, grid: tuple[int, int], factor: int) -> None:
    height, width = grid
    if mask.shape[1] != height * width or factor < 1:
        raise ValueError(
            f'a grid of {height} x {width} has {height * width} cells, the mask '
            f'{mask.shape[1]}; factor must be at least 1, got {factor}'
        )
