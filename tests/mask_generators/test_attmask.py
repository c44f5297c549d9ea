"""AttMaskGenerator: High, Hint and Low with exact and with drawn counts."""

import doctest

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.mask_generators import AttMaskGenerator, attmask
from mmattmask.masking import PatchBudget

MODES = ['high', 'hint', 'low']
RELEASED = dict(mask_ratio=(0.1, 0.5), mask_prob=0.5)
MST = dict(mask_ratio=0.6, patch_prob=0.5)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_examples_in_the_docstring():
    results = doctest.testmod(attmask)
    assert results.failed == 0
    assert results.attempted > 0


@pytest.mark.parametrize(
    ('mode', 'ratio', 'num_patches', 'masked'),
    [
        ('high', 0.3, 196, 58),
        ('low', 0.75, 196, 147),
        # hints: int(196 * 0.1 * 0.3) = 5, int(196 * 0.1 * 0.75) = 14
        ('hint', 0.3, 196, 53),
        ('hint', 0.75, 196, 133),
        ('high', 0.75, 50, 37),
    ],
)
def test_counts_are_rounded_down(mode, ratio, num_patches, masked):
    budget = AttMaskGenerator(mode, ratio).budget(num_patches)
    assert budget == PatchBudget(num_patches - masked, masked)


def test_counts_of_hints_are_the_released_codes(golden):
    case = golden('attmask_masks')
    for num_patches in case.config['L']:
        for call, arguments in enumerate(case.config['calls']):
            mode, mask_prob, ratio, show_ratio, show_max = arguments
            generator = AttMaskGenerator(
                mode.removeprefix('attmask_'),
                ratio,
                show_max=show_max,
                show_ratio=show_ratio / show_max,
            )
            masked = case[f'draw/L{num_patches}/call{call}/u'] <= mask_prob
            counts = case[f'out/L{num_patches}/call{call}/count'][masked]
            assert (counts == generator.budget(num_patches).num_masked).all()


@given(st.integers(6, 100), st.floats(0.2, 0.5), st.integers(0, 2**31))
def test_high_holds_hint_and_has_nothing_of_low(num_patches, ratio, seed):
    score = torch.rand(4, num_patches, generator=seeded(seed)).double()
    high, hint, low = (AttMaskGenerator(mode, ratio).mask(score) for mode in MODES)
    assert (hint <= high).all()
    assert (high * low).sum() == 0
    hints = score.masked_fill((high - hint) == 0, 2.0).amin(1)
    # hints are of the most attended tenth
    pool = score.sort(1, descending=True).values[:, max(int(num_patches * 0.1), 1) - 1]
    assert (hints >= pool).all()


def test_ties_at_the_cut_are_masked_equally_often():
    draws = 6000
    score = torch.tensor([0.5, 0.9, 0.5, 0.1, 0.5]).expand(draws, -1)
    rate = AttMaskGenerator('high', 0.6).mask(score).double().mean(0)
    assert (rate[1], rate[3]) == (1, 0)
    bound = 5 * (2 / 9 / draws) ** 0.5
    assert (rate[[0, 2, 4]] - 2 / 3).abs().max() < bound


def test_released_settings_draw_one_ratio_per_batch():
    generator = AttMaskGenerator('high', **RELEASED)
    assert generator.variable_counts
    score = torch.rand(40, 196)
    batches = [generator.mask(score, seeded(seed)).sum(1) for seed in range(300)]
    masked = [set(counts[counts > 0].tolist()) for counts in batches]
    assert all(len(counts) == 1 for counts in masked)
    ratios = torch.tensor([counts.pop() for counts in masked]) / 196
    assert 0.09 < ratios.min() < 0.13
    assert 0.47 < ratios.max() <= 98 / 196
    # uniform in 0.1..0.5: standard deviation 0.4 / sqrt(12)
    assert abs(ratios.mean() - 0.3) < 5 * 0.115 / 300**0.5 + 0.5 / 196
    kept = (torch.stack(batches) > 0).double().mean()
    assert abs(kept - 0.5) < 5 * (0.25 / (40 * 300)) ** 0.5


def test_released_settings_draw_the_share_of_hints_on_its_own():
    high, hint = (AttMaskGenerator(mode, (0.1, 0.5)) for mode in ('high', 'hint'))
    score = torch.rand(2, 196)
    shown, ratios = [], []
    for seed in range(300):
        counts = [each.mask(score, seeded(seed)).sum(1) for each in (high, hint)]
        assert counts[1][0] == counts[1][1]
        shown.append(counts[0][0] - counts[1][0])
        ratios.append(counts[0][0])
    shown, ratios = torch.stack(shown), torch.stack(ratios)
    assert (shown.min(), shown.max()) == (1, 9)
    assert torch.stack([shown, ratios]).corrcoef()[0, 1].abs() < 5 / 300**0.5


def test_ratios_may_differ_between_images():
    generator = AttMaskGenerator('low', (0.1, 0.5), ratio_per_image=True)
    counts = generator.mask(torch.rand(200, 196)).sum(1)
    assert len(counts.unique()) > 30
    assert counts.max() <= generator.max_masked(196) == 98


@pytest.mark.parametrize('num_patches', [4, 6, 9, 16, 36, 64])
def test_small_grids_show_at_least_one_patch(num_patches):
    # the released code stops with an error: int(64 * 0.1 * 0.1) patches are none
    high, hint = (AttMaskGenerator(m, 0.5, show_ratio=0.1) for m in ('high', 'hint'))
    masked = high.budget(num_patches).num_masked
    assert hint.budget(num_patches).num_masked == masked - 1
    variable = AttMaskGenerator('hint', (0.1, 0.5))
    assert (variable.mask(torch.rand(5, num_patches)).sum(1) <= masked).all()


def test_patches_of_the_pool_are_masked_each_for_itself():
    """MST: attended patches never, the others by tosses of one coin."""
    draws, score = 4000, torch.linspace(0, 1, 20)
    mask = AttMaskGenerator('low', **MST).mask(score.expand(draws, -1), seeded(0))
    assert (mask[:, 12:] == 0).all()
    pool = mask[:, :12]
    assert (pool.mean(0) - 0.5).abs().max() < 5 * (0.25 / draws) ** 0.5
    spread = pool.sum(1).var()  # of a sum of 12 tosses: 12 / 4
    assert abs(spread - 3) < 5 * 3 * (2 / draws) ** 0.5
    assert not AttMaskGenerator('low', **MST).least_ratio


def test_at_least_one_patch_stays_masked():
    # one patch of 4 is masked, the pool is all of them
    generator = AttMaskGenerator('hint', 0.25, show_max=1.0, show_ratio=1.0)
    assert generator.budget(4) == PatchBudget(3, 1)
    assert generator(torch.tensor([[0.0, 3.0, 1.0, 2.0]])).ids_mask.tolist() == [[1]]
    assert generator.budget(40) == PatchBudget(39, 1)


@pytest.mark.parametrize(
    'options',
    [
        RELEASED,
        dict(mask_ratio=(0.1, 0.5)),
        dict(mask_ratio=0.3, mask_prob=0.5),
        dict(mode='low', mask_ratio=0.3, patch_prob=0.5),
        dict(mode='hint', mask_ratio=0.3, show_ratio=(0.1, 0.5)),
    ],
)
def test_drawn_counts_are_refused_where_one_number_is_needed(options):
    generator = AttMaskGenerator(**options)
    assert generator.variable_counts
    with pytest.raises(ValueError, match=r'mask_ratio=\(0\.\d, 0\.\d\).*mask_prob=\d'):
        generator.budget(196)
    with pytest.raises(ValueError, match='a host with mask tokens'):
        generator(torch.rand(2, 196))
    assert generator.mask(torch.rand(2, 196)).shape == (2, 196)


def test_high_has_one_count_whatever_the_hints_would_be():
    generator = AttMaskGenerator('high', 0.5, show_ratio=(0.1, 0.5))
    assert not generator.variable_counts
    assert generator.budget(10) == PatchBudget(5, 5)


@pytest.mark.parametrize('ratio', [0.0, 1.0])
def test_ratios_zero_and_one_leave_nothing_to_do(ratio):
    with pytest.raises(ValueError, match='of 196 patches'):
        AttMaskGenerator('high', ratio).budget(196)
