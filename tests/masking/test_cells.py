"""Partitions and masks of cells, spread over the tokens inside the cells."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import (
    PatchBudget,
    expand_mask,
    expand_partition,
    partition_patches,
)


@st.composite
def cases(draw):
    """A partition of a batch, its grid and a factor."""
    grid = draw(st.tuples(st.integers(1, 6), st.integers(2, 6)))
    num_cells = grid[0] * grid[1]
    masked = draw(st.integers(1, num_cells - 1))
    thrown = draw(st.integers(0, num_cells - masked - 1))
    budget = PatchBudget(num_cells - masked - thrown, masked, thrown)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    noise = torch.rand(draw(st.integers(1, 3)), num_cells, generator=generator)
    return partition_patches(noise.argsort(1), budget), grid, draw(st.integers(1, 3))


def on_grid(values, grid, factor):
    return values.unflatten(1, (grid[0] * factor, grid[1] * factor))


@given(cases())
def test_every_token_shares_the_fate_of_its_cell(case):
    cells, grid, factor = case
    tokens = expand_partition(cells, grid, factor)
    mask = expand_mask(cells.mask, grid, factor)
    assert torch.equal(on_grid(tokens.mask, grid, factor), mask)
    thrown = expand_mask(cells.thrown, grid, factor)
    assert torch.equal(on_grid(tokens.thrown, grid, factor), thrown)
    # SimMIMMaskGenerator.transform
    rows = cells.mask.view(-1, *grid).numpy().repeat(factor, axis=1)
    assert (mask.numpy() == rows.repeat(factor, axis=2)).all()


@given(cases())
def test_cells_keep_their_order_and_tokens_are_in_raster_order(case):
    cells, grid, factor = case
    tokens = expand_partition(cells, grid, factor)
    for name in ('ids_keep', 'ids_mask', 'ids_throw'):
        ids = getattr(tokens, name).unflatten(1, (-1, factor**2))
        row, column = ids // (grid[1] * factor), ids % (grid[1] * factor)
        cell = row // factor * grid[1] + column // factor
        assert torch.equal(cell[..., 0], getattr(cells, name))
        assert (cell == cell[..., :1]).all()
        assert (ids.diff(dim=-1) > 0).all()


def test_one_image_of_six_cells():
    cells = partition_patches(torch.tensor([[4, 0, 5, 1, 2, 3]]), PatchBudget(2, 3, 1))
    tokens = expand_partition(cells, (2, 3), 2)
    # tokens:  0  1 |  2  3 |  4  5
    #          6  7 |  8  9 | 10 11
    #         12 13 | 14 15 | 16 17
    #         18 19 | 20 21 | 22 23
    assert tokens.ids_keep.tolist() == [[14, 15, 20, 21, 0, 1, 6, 7]]
    assert tokens.ids_mask.tolist() == [[16, 17, 22, 23, 2, 3, 8, 9, 4, 5, 10, 11]]
    assert tokens.ids_throw.tolist() == [[12, 13, 18, 19]]
    assert tokens.mask.view(4, 6).tolist() == [
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 1, 1],
    ]


@pytest.mark.parametrize(
    ('grid', 'factor', 'numbers'),
    [
        ((2, 4), 2, '2 x 4 has 8 cells, the mask 6'),
        ((2, 3), 0, 'at least 1, got 0'),
    ],
)
def test_sizes_that_do_not_fit_are_refused(grid, factor, numbers):
    cells = partition_patches(torch.arange(6)[None], PatchBudget(2, 3, 1))
    with pytest.raises(ValueError, match=numbers):
        expand_partition(cells, grid, factor)
    with pytest.raises(ValueError, match=numbers):
        expand_mask(cells.mask, grid, factor)
