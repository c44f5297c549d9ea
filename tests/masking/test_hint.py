"""Masks cut from a ranking, and hints: AttMask's own masks, counts and laws."""

import doctest
from itertools import product

import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.masking import (
    hint,
    mask_first,
    mask_some_images,
    rank_by_score,
    reveal_hints,
)

from ..golden import each


def sizes_and_calls(case):
    return product(case.config['L'], range(len(case.config['calls'])))


@each('attmask_masks', sizes_and_calls, 'size_and_call')
def test_masks_are_the_released_codes(golden, size_and_call):
    case, (num_patches, call) = golden('attmask_masks'), size_and_call
    mode, mask_prob, mask_ratio, show_ratio, show_max = case.config['calls'][call]
    draws, out = f'draw/L{num_patches}/call{call}', f'out/L{num_patches}/call{call}'
    score = case[f'in/L{num_patches}/attention']
    ranking = rank_by_score(score, lowest_first=mode == 'attmask_low')
    mask = mask_first(ranking, int(num_patches * mask_ratio))
    if mode == 'attmask_hint':
        # the smallest draws of the pool become hints: 0 for those that were drawn
        drawn = case[f'{draws}/reveal']
        noise = torch.ones_like(score).scatter(1, drawn, 0.0)
        pool = int(num_patches * show_max)
        mask = reveal_hints(
            mask, ranking, pool, int(num_patches * show_ratio), noise=noise
        )
    mask = mask_some_images(mask, mask_prob, noise=case[f'{draws}/u'])
    assert torch.equal(mask, case[f'{out}/mask'])
    assert torch.equal(mask.sum(1), case[f'{out}/count'])


def test_examples_in_the_docstrings():
    names = dict(torch=torch, rank_by_score=rank_by_score)
    results = doctest.testmod(hint, extraglobs=names)
    assert results.failed == 0
    assert results.attempted > 0


@given(st.integers(1, 60), st.integers(0, 60), st.booleans(), st.integers(0, 2**31))
def test_first_masks_the_patches_of_the_best_scores(count, num_masked, lowest, seed):
    generator = torch.Generator().manual_seed(seed)
    # few values: many ties
    score = torch.randint(0, 5, (3, count), generator=generator).float()
    mask = mask_first(rank_by_score(score, generator, lowest), num_masked)
    assert (mask.sum(1) == min(num_masked, count)).all()
    signed = -score if lowest else score
    worst_masked = signed.masked_fill(~mask, 9).amin(1)
    best_visible = signed.masked_fill(mask, -9).amax(1)
    assert (worst_masked >= best_visible).all()


@given(st.integers(1, 40), st.data())
def test_hints_are_of_the_pool_and_exactly_counted(num_patches, data):
    num_masked = data.draw(st.integers(1, num_patches))
    num_pool = data.draw(st.integers(0, num_masked))
    num_hints = data.draw(st.integers(0, num_patches))
    ranking = torch.rand(4, num_patches).argsort(1)
    mask = mask_first(ranking, num_masked)
    left = reveal_hints(mask, ranking, num_pool, num_hints)
    hints = mask & ~left
    assert not (left & ~mask).any()
    assert not (hints & ~mask_first(ranking, num_pool)).any()
    assert (hints.sum(1) == min(num_hints, num_pool)).all()


def test_counts_may_differ_between_images():
    score = torch.rand(3, 20)
    ranking = rank_by_score(score)
    counts = torch.tensor([[4], [0], [15]])
    pool = torch.tensor([[2], [0], [7]])
    hints = torch.tensor([[1], [1], [7]])
    noise = torch.rand(3, 20)
    together = mask_first(ranking, counts)
    shown = reveal_hints(together, ranking, pool, hints, noise=noise)
    for i, (count, size, number) in enumerate(zip(counts, pool, hints, strict=True)):
        one = slice(i, i + 1)
        alone = mask_first(ranking[one], int(count))
        assert torch.equal(together[one], alone)
        alone = reveal_hints(
            alone, ranking[one], int(size), int(number), noise=noise[one]
        )
        assert torch.equal(shown[one], alone)


def test_every_patch_of_the_pool_is_a_hint_equally_often():
    draws, pool, hints = 6000, 5, 2
    ranking = torch.arange(12).expand(draws, -1)
    mask = mask_first(ranking, 8)
    rate = (mask & ~reveal_hints(mask, ranking, pool, hints)).double().mean(0)
    p = hints / pool
    bound = 5 * (p * (1 - p) / draws) ** 0.5
    assert (rate[:pool] - p).abs().max() < bound
    assert rate[pool:].sum() == 0


def test_some_images_lose_their_whole_mask():
    mask = torch.rand(8000, 6) < 0.5
    mask[:, 0] = True
    kept = mask_some_images(mask, 0.3)
    is_kept = kept.any(1)
    assert torch.equal(kept[is_kept], mask[is_kept])
    assert abs(is_kept.double().mean() - 0.3) < 5 * (0.3 * 0.7 / 8000) ** 0.5
    assert torch.equal(mask_some_images(mask, 1.0), mask)
    assert not mask_some_images(mask, 0.0, noise=torch.rand(8000) + 1e-6).any()
