"""Block-wise masks: limits on any grid, and the laws of BEiT and iBOT."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmattmask.masking import block_masks, rank_around

GRIDS = [(1, 1), (1, 9), (9, 1), (2, 2), (4, 4), (3, 8), (14, 14), (7, 20)]


def masked_neighbours(masks: Tensor) -> float:
    """Mean number of masked among the four neighbours of a masked patch."""
    padded = torch.nn.functional.pad(masks.float(), (1, 1, 1, 1))
    around = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1]
    around += padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]
    return float(around[masks].mean())


def ibot_mask(ratio: float, grid: tuple[int, int], rng: np.random.Generator):
    """iBOT's rule, one image at a time, (h, w)."""
    mask = np.zeros(grid, dtype=bool)
    failed = 0
    while failed < 10 and (left := ratio * mask.size - mask.sum()) > 0:
        failed += 1
        area = rng.uniform(0, 1) * (left - (min(grid) // 3) ** 2)
        area += (min(grid) // 3) ** 2
        aspect = math.exp(rng.uniform(math.log(0.3), -math.log(0.3)))
        height, width = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if height < grid[0] and width < grid[1]:
            top = rng.integers(0, grid[0] - height, endpoint=True)
            start = rng.integers(0, grid[1] - width, endpoint=True)
            block = mask[top : top + height, start : start + width]
            if 0 < (~block).sum() <= left:
                block[:] = True
                failed = 0
    return torch.from_numpy(mask)


@given(
    st.sampled_from(GRIDS),
    st.floats(0, 1),
    st.integers(0, 30),
    st.sampled_from([None, 1, 10]),
    st.integers(0, 2**31),
)
def test_any_grid_gets_masks_within_the_limit(grid, ratio, area, patience, seed):
    wanted = torch.tensor([0.0, ratio, 1.0]) * grid[0] * grid[1]
    generator = torch.Generator().manual_seed(seed)
    mask = block_masks(wanted, grid, area, patience=patience, generator=generator)
    assert mask.shape == (3, grid[0] * grid[1])
    assert mask.dtype == torch.bool
    assert (mask.sum(1) <= wanted).all()


@pytest.mark.parametrize('grid', [(14, 14), (7, 20)])
def test_the_first_block_is_a_rectangle_shorter_than_the_grid(grid):
    mask = block_masks(torch.full((500,), 75), grid, rounds=1).unflatten(1, grid)
    heights, widths = mask.any(2).sum(1), mask.any(1).sum(1)
    counts = mask.flatten(1).sum(1)
    assert torch.equal(heights * widths, counts)
    assert (heights < grid[0]).all()
    assert (widths < grid[1]).all()
    some = counts > 0
    assert some.float().mean() > 0.5
    # sides are rounded: areas from 16 may come out a little smaller
    assert counts[some].min() >= 10
    assert counts.max() <= 75


def test_blocks_have_the_aspects_asked_for():
    wanted = torch.full((300,), 60)
    mask = block_masks(wanted, (20, 20), aspect=(2.0, 3.0), rounds=1)
    mask = mask.unflatten(1, (20, 20))[mask.any(1)]
    aspects = mask.any(2).sum(1) / mask.any(1).sum(1)
    assert 2 < aspects.mean() < 3
    assert aspects.min() > 1


@pytest.mark.parametrize('grid', [(1, 9), (9, 1), (2, 2)])
def test_grids_of_one_row_have_blocks_too(grid):
    mask = block_masks(torch.full((200,), grid[0] * grid[1] // 2), grid, min_patches=1)
    assert mask.any(1).float().mean() > 0.9


def test_last_row_and_column_are_masked_as_often_as_the_first():
    mask = block_masks(torch.full((4000,), 75), (14, 14)).unflatten(1, (14, 14))
    rate = mask.float().mean(0)
    for line in (rate, rate.T):
        assert line[-1].mean() == pytest.approx(float(line[0].mean()), rel=0.15)
        # away from the border, where more places reach, more is masked
        assert line[0].mean() < line[7].mean()


@pytest.mark.parametrize('grid', [(14, 14), (10, 16), (6, 6)])
def test_law_is_ibots(grid):
    rng = np.random.default_rng(0)
    ratios = torch.from_numpy(rng.uniform(0.1, 0.5, 600))
    expected = torch.stack([ibot_mask(float(r), grid, rng) for r in ratios])
    mask = block_masks(
        ratios.repeat(4) * grid[0] * grid[1],
        grid,
        min_patches=(min(grid) // 3) ** 2,
        patience=10,
    ).unflatten(1, grid)
    # the same ratios: 600 draws have a standard error below 0.001, and 0.015
    assert mask.float().mean() == pytest.approx(
        float(expected.float().mean()), abs=4e-3
    )
    assert masked_neighbours(mask) == pytest.approx(
        masked_neighbours(expected), abs=0.06
    )


def test_an_image_without_patience_stops_where_the_others_go_on():
    wanted = torch.full((300,), 75.5)

    def draw(patience, rounds=24):
        # the draws of a round depend on the number of rounds
        generator = torch.Generator().manual_seed(1)
        return block_masks(
            wanted, (14, 14), patience=patience, rounds=rounds, generator=generator
        )

    first, tenth, last = draw(1), draw(10), draw(None)
    assert not (first & ~tenth).any()
    assert not (tenth & ~last).any()
    assert first.sum() < tenth.sum() < last.sum()
    assert torch.equal(draw(24), last)


def test_what_is_added_touches_the_mask():
    mask = torch.zeros(1, 4, 5, dtype=torch.bool)
    mask[0, 1:3, 1:3] = True
    ranking = rank_around(mask.flatten(1), (4, 5))[0].tolist()
    masked = [6, 7, 11, 12]
    touching = [1, 2, 5, 8, 10, 13, 16, 17]
    assert sorted(ranking[:4]) == masked
    assert sorted(ranking[4:12]) == touching
    assert sorted(ranking) == list(range(20))


def test_what_is_added_is_random():
    draws = 4000
    mask = torch.zeros(draws, 9, dtype=torch.bool)
    mask[:, 4] = True
    fifth = rank_around(mask, (3, 3))[:, 1].bincount(minlength=9)
    beside = fifth[[1, 3, 5, 7]]
    assert beside.sum() == draws
    assert (beside - draws / 4).abs().max() < 5 * (draws * 3 / 16) ** 0.5


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(num_masked=torch.full((2, 1), 4)), r'must be \(B,\), got \(2, 1\)'),
        (dict(min_patches=-1), r'got -1 and'),
        (dict(aspect=(2.0, 0.5)), r'ascending order, got 16 and \(2\.0, 0\.5\)'),
        (dict(aspect=(0.0, 1.0)), r'\(0\.0, 1\.0\)'),
        (dict(aspect=(0.3,)), r'\(0\.3,\)'),
    ],
)
def test_wrong_arguments_are_refused(changes, message):
    arguments = dict(num_masked=torch.full((2,), 4), grid=(4, 4))
    with pytest.raises(ValueError, match=message):
        block_masks(**(arguments | changes))
