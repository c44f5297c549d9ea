"""UM-MAE's masks: one visible patch per 2 x 2 cell, golden, balanced, by the score."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.mask_generators import UniformMaskGenerator
from mmattmask.masking import PatchBudget, mask_all_but

from ..golden import each

NAME = 'policies/um_mae_masks'
GRIDS = [(2, 2), (4, 6), (14, 14), (2, 10)]
OPTIONS = [
    dict(),
    dict(balanced=True),
    dict(show='most'),
    dict(show='least'),
]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def inside(values, grid):
    """Put the patches of each cell side by side: (B, L) to (B, cells, 4)."""
    rows, columns = grid[0] // 2, grid[1] // 2
    cells = values.view(-1, rows, 2, columns, 2).transpose(2, 3)
    return cells.reshape(len(values), rows * columns, 4)


@each(NAME, lambda case: case.config['grids'], 'side')
def test_golden_masks(golden, side):
    case = golden(NAME)
    drawn = case[f'draw/visible_in_cell{side}']
    mask = mask_all_but(drawn, (side // 2, side // 2), 2)
    assert torch.equal(mask, case[f'out/mask{side}'])


@each(NAME, lambda case: case.config['grids'], 'side')
def test_balanced_counts_spread_as_released(golden, side):
    case = golden(NAME)
    grid, draws = (side, side), 4000
    for balanced, variance in [
        (True, case[f'ref/kind_count_var{side}'].mean()),
        (False, case[f'ref/kind_count_var_if_independent{side}']),
    ]:
        mask = UniformMaskGenerator(balanced=balanced).mask(
            torch.zeros(draws, side**2), seeded(), grid=grid
        )
        counts = (inside(mask, grid) == 0).sum(dim=1).double()
        assert (counts.mean(0) - (side // 2) ** 2 / 4).abs().max() < 0.3
        # four kinds, of which three are free
        assert counts.var(dim=0).mean() == pytest.approx(float(variance), rel=0.06)


@given(st.sampled_from(GRIDS), st.sampled_from(OPTIONS), st.integers(0, 99))
def test_every_cell_shows_one_patch(grid, options, seed):
    num_patches = grid[0] * grid[1]
    generator = UniformMaskGenerator(**options)
    partition = generator(torch.rand(3, num_patches), seeded(seed), grid=grid)
    assert partition.budget == PatchBudget(num_patches // 4, num_patches * 3 // 4)
    assert (inside(partition.mask, grid).sum(dim=2) == 3).all()
    everyone = partition.ids_seen.sort(dim=1).values
    assert torch.equal(everyone, torch.arange(num_patches).expand(3, -1))
    # the encoder's order is the raster's, as released
    assert torch.equal(partition.ids_keep, partition.ids_keep.sort(dim=1).values)


@pytest.mark.parametrize('show', ['most', 'least'])
def test_the_score_says_which_patch_is_shown(show):
    score = torch.rand(5, 24)
    mask = UniformMaskGenerator(show=show).mask(score, grid=(4, 6))
    cells, masks = inside(score, (4, 6)), inside(mask, (4, 6))
    best = cells.argmax(2) if show == 'most' else cells.argmin(2)
    assert torch.equal((masks == 0).int().argmax(2), best)


def test_worked_example():
    score = torch.tensor([[0.1, 0.9, 0.3, 0.2, 0.4, 0.5, 0.8, 0.6]])  # 2 x 4
    mask = UniformMaskGenerator(show='most').mask(score, grid=(2, 4))
    assert mask.tolist() == [[1, 0, 1, 1, 1, 1, 0, 1]]


@pytest.mark.parametrize(
    ('grid', 'message'),
    [
        ((3, 4), 'do not divide a grid of 3 x 4'),
        ((3, 3), '9 patches are no number of 2 x 2 cells'),
        ((12, 1), 'do not divide a grid of 12 x 1'),
    ],
)
def test_odd_grids_are_refused(grid, message):
    score = torch.zeros(1, grid[0] * grid[1])
    with pytest.raises(ValueError, match=message):
        UniformMaskGenerator()(score, grid=grid)


def test_a_host_with_an_odd_grid_is_refused_before_training(guided_mae):
    generator = dict(type='mmattmask.UniformMaskGenerator')
    with pytest.raises(ValueError, match=r'UniformMaskGenerator cannot.*5 x 5 patches'):
        guided_mae(img_size=40, mask_generator=generator)
