"""Rankings: permutations, order, and the law of the sampled one."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mmattmask.masking import (
    rank_by_score,
    rank_random,
    rank_sampled,
    shuffle_soft_to_hard,
)

RANKINGS = {
    'random': rank_random,
    'top': rank_by_score,
    'bottom': partial(rank_by_score, lowest_first=True),
    'sampled': rank_sampled,
}
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def place_of(ranking: Tensor) -> Tensor:
    """Return at which place each patch is drawn, (B, L)."""
    return ranking.argsort(dim=1)


def draw(score: Tensor, times: int, seed: int = 0, rank=rank_sampled) -> Tensor:
    """Rank one score (L,) many times, (times, L)."""
    generator = torch.Generator().manual_seed(seed)
    return rank(score.expand(times, -1), generator)


@pytest.mark.parametrize('name', RANKINGS)
@given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 40)),
    dtype=st.sampled_from(DTYPES),
    zeros=st.booleans(),
)
def test_every_ranking_is_a_permutation(name, shape, dtype, zeros):
    score = torch.zeros(shape, dtype=dtype) if zeros else torch.rand(shape).to(dtype)
    ranking = RANKINGS[name](score)
    assert ranking.dtype == torch.int64
    assert torch.equal(ranking.sort(1).values, torch.arange(shape[1]).expand(shape))


def test_top_and_bottom_sort_by_score_and_break_ties_at_random():
    score = torch.tensor([0.2, 0.9, 0.2, 0.9, 0.5])
    top = {tuple(row) for row in draw(score, 50, rank=rank_by_score).tolist()}
    assert top == {(a, 4 - a, 4, b, 2 - b) for a in (1, 3) for b in (0, 2)}
    lowest = partial(rank_by_score, lowest_first=True)
    bottom = {tuple(row) for row in draw(score, 50, rank=lowest).tolist()}
    assert bottom == {(b, 2 - b, 4, a, 4 - a) for a in (1, 3) for b in (0, 2)}
    noise = torch.tensor([[0.5, 0.9, 0.1, 0.2, 0.3]])
    assert rank_by_score(score[None], noise=noise).tolist() == [[3, 1, 4, 2, 0]]


def test_a_constant_score_makes_hard_masks_random():
    shuffles = shuffle_soft_to_hard(torch.zeros(200, 9), 4, 0, 4)
    masked = torch.zeros(200, 9).scatter(1, shuffles[:, 5:], 1.0).mean(dim=0)
    assert masked.amin() > 0.3
    assert masked.amax() < 0.6


def test_random_ranking_is_the_stock_models_noise():
    score = torch.rand(3, 36)
    torch.manual_seed(5)
    expected = torch.rand(3, 36).argsort(1)
    torch.manual_seed(5)
    assert torch.equal(rank_random(score), expected)


def test_given_noise_decides_the_sampled_ranking():
    score = torch.tensor([[1.0, 2.0, 4.0]])
    # a patch is drawn in the order of noise / score: 3, 1, 2
    noise = torch.tensor([[3.0, 2.0, 8.0]])
    assert rank_sampled(score, noise=noise).tolist() == [[1, 2, 0]]
    with pytest.raises(ValueError, match=r'\(1, 2\) and score \(1, 3\)'):
        rank_sampled(score, noise=noise[:, :2])


@given(st.floats(1e-3, 1e3), st.integers(0, 2**31))
def test_scale_of_the_score_does_not_matter(scale, seed):
    generator = torch.Generator().manual_seed(seed)
    score = torch.rand(2, 30, generator=generator, dtype=torch.float64) + 0.01
    noise = torch.rand(2, 30, generator=generator, dtype=torch.float64) + 0.01
    expected = rank_sampled(score, noise=noise)
    assert torch.equal(rank_sampled(score * scale, noise=noise), expected)


def test_sampled_ranking_follows_the_law_of_drawing_without_replacement(golden):
    case = golden('amt_sampling')
    draws = 40000
    probability = case['ref/probability']  # maps, splits, (masked, thrown, visible), L
    for i, score in enumerate(case['in/map'].flatten(1)):
        place = place_of(draw(score, draws, seed=i))
        for j, (mask_ratio, throw_ratio) in enumerate(case.config['splits']):
            masked = int(score.numel() * mask_ratio)
            hidden = int(score.numel() * (mask_ratio + throw_ratio))
            sets = [place < masked, (place >= masked) & (place < hidden)]
            sets.append(place >= hidden)
            for k, member in enumerate(sets):
                p = probability[i, j, k]
                bound = 5 * (p * (1 - p) / draws).sqrt() + 1e-9
                error = (member.double().mean(0) - p).abs()
                assert (error <= bound).all(), (i, j, k, error / bound)


def test_order_of_the_first_two_follows_the_law():
    score = torch.tensor([5.0, 3.0, 2.0])
    draws = 40000
    ranking = draw(score, draws)
    for first in range(3):
        for second in range(3):
            if first == second:
                continue
            p = score[first] / 10 * score[second] / (10 - score[first])
            hit = (ranking[:, 0] == first) & (ranking[:, 1] == second)
            bound = 5 * (p * (1 - p) / draws).sqrt()
            assert abs(hit.double().mean() - p) < bound


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('value', [0.0, 1e-3, 0.5, 1.0])
def test_constant_maps_give_uniform_rankings(value, dtype):
    draws, patches = 8000, 12
    place = place_of(draw(torch.full((patches,), value, dtype=dtype), draws))
    counts = torch.stack([(place == k).sum(0) for k in range(patches)]).double()
    expected = draws / patches
    # 12 x 12 cells, 121 degrees of freedom: mean 121, standard deviation 15.6
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert 121 - 5 * 15.6 < statistic < 121 + 5 * 15.6


@pytest.mark.parametrize('dtype', DTYPES)
def test_zero_scores_are_drawn_after_all_positive_ones(dtype):
    score = torch.rand(500, 30) + 1e-3
    zero = torch.rand(500, 30) < 0.4
    ranking = rank_sampled(score.masked_fill(zero, 0).to(dtype))
    drawn_zero = zero.gather(1, ranking)
    assert torch.equal(drawn_zero, drawn_zero.sort(dim=1).values)


def test_zero_scores_are_drawn_in_random_order_among_themselves():
    draws = 9000
    last = draw(torch.tensor([1.0, 0.0, 0.5, 0.0, 0.0]), draws)[:, -1]
    counts = last.bincount(minlength=5)
    assert counts[[0, 2]].sum() == 0
    bound = 5 * (draws * 1 / 3 * 2 / 3) ** 0.5
    assert (counts[[1, 3, 4]] - draws / 3).abs().max() < bound


def test_tiny_float16_scores_keep_their_order():
    score = torch.tensor([[6e-8, 1.2e-7, 6e-5]], dtype=torch.float16).expand(4000, -1)
    first = rank_sampled(score)[:, 0].bincount(minlength=3)
    assert first[2] > 0.99 * 4000


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_faint_maps_are_drawn_by_their_values(dtype):
    """Below the smallest normal number, where a map used to be sampled uniformly."""
    unit = torch.finfo(dtype).tiny * 2.0**-12
    score = torch.tensor([[6.0, 3.0, 1.0]], dtype=dtype) * unit
    first = rank_sampled(score.expand(20_000, 3))[:, 0].bincount(minlength=3)
    torch.testing.assert_close(
        first / 20_000, torch.tensor([0.6, 0.3, 0.1]), rtol=0, atol=0.015
    )


@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.float16, torch.bool, torch.uint8, torch.int64]
)
def test_exclusive_soft_patches_are_never_hard_ones(dtype):
    """Six patches have a score and six are masked: three hard, three soft."""
    score = torch.zeros(500, 12).scatter(
        1, torch.rand(500, 12).argsort(dim=1)[:, :6], 1.0
    )
    order = shuffle_soft_to_hard(score.to(dtype), 6, 3, 3, exclusive=True)
    masked = torch.zeros(500, 12).scatter(1, order[:, 6:], 1.0)
    assert torch.equal(masked, score)
