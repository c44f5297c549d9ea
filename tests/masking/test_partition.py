"""Counts and index tensors of visible, masked and thrown patches."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from mmattmask.masking import PatchBudget, partition_patches

ratios = st.floats(0, 1)


@st.composite
def budgets(draw):
    counts = [draw(st.integers(low, 30)) for low in (1, 1, 0)]
    return PatchBudget(*counts)


@pytest.mark.parametrize('count', [3.5, float('nan')])
def test_counts_are_whole(count):
    with pytest.raises(ValueError, match=rf'whole numbers, got \(4, {count}, 0\)'):
        PatchBudget(4, count)


@given(budgets(), st.integers(1, 4), st.integers(0, 2**31))
def test_partition_is_a_permutation_with_exact_counts(budget, batch_size, seed):
    generator = torch.Generator().manual_seed(seed)
    num_patches = budget.num_patches
    ids_shuffle = torch.rand(batch_size, num_patches, generator=generator).argsort(1)
    partition = partition_patches(ids_shuffle, budget)

    assert partition.budget == budget
    ids = torch.cat([partition.ids_keep, partition.ids_mask, partition.ids_throw], 1)
    arange = torch.arange(num_patches).expand(batch_size, -1)
    assert torch.equal(ids.sort(1).values, arange)
    assert torch.equal(ids, ids_shuffle)
    # ids_restore is the inverse permutation, from both sides
    assert torch.equal(ids.gather(1, partition.ids_restore), arange)
    assert torch.equal(partition.ids_restore.gather(1, ids), arange)

    expected_mask = torch.zeros(batch_size, num_patches)
    expected_thrown = torch.zeros(batch_size, num_patches, dtype=torch.bool)
    for row in range(batch_size):
        expected_mask[row, partition.ids_mask[row]] = 1
        expected_thrown[row, partition.ids_throw[row]] = True
    assert partition.mask.dtype == torch.float32
    assert torch.equal(partition.mask, expected_mask)
    assert torch.equal(partition.thrown, expected_thrown)
    assert (partition.mask.sum(1) == budget.num_masked).all()


@given(st.integers(1, 400), ratios, ratios)
def test_from_ratios_rounds_both_sums_down(num_patches, mask_ratio, throw_ratio):
    assume(mask_ratio + throw_ratio <= 1)
    masked = int(num_patches * mask_ratio)
    hidden = int(num_patches * (mask_ratio + throw_ratio))
    if masked < 1 or hidden == num_patches:
        with pytest.raises(ValueError, match=f'{masked} masked'):
            PatchBudget.from_ratios(num_patches, mask_ratio, throw_ratio)
        return
    budget = PatchBudget.from_ratios(num_patches, mask_ratio, throw_ratio)
    assert budget.num_masked == masked
    assert budget.num_masked + budget.num_thrown == hidden
    assert budget.num_patches == num_patches


@given(st.integers(2, 400), st.floats(0.01, 0.99))
def test_from_mask_ratio_rounds_like_the_stock_model(num_patches, mask_ratio):
    len_keep = int(num_patches * (1 - mask_ratio))  # MAEViT.random_masking
    assume(0 < len_keep < num_patches)
    budget = PatchBudget.from_mask_ratio(num_patches, mask_ratio)
    assert budget == PatchBudget(len_keep, num_patches - len_keep, 0)


@pytest.mark.parametrize(
    ('num_patches', 'rule', 'expected'),
    [
        (196, lambda n: PatchBudget.from_ratios(n, 0.45, 0.40), (30, 88, 78)),
        (196, lambda n: PatchBudget.from_ratios(n, 0.75), (49, 147, 0)),
        (196, lambda n: PatchBudget.from_mask_ratio(n, 0.75), (49, 147, 0)),
        # 49 patches: MAE rounds the visible ones down, AMT the masked ones
        (49, lambda n: PatchBudget.from_mask_ratio(n, 0.75), (12, 37, 0)),
        (49, lambda n: PatchBudget.from_ratios(n, 0.75), (13, 36, 0)),
    ],
)
def test_known_counts(num_patches, rule, expected):
    assert rule(num_patches) == PatchBudget(*expected)


def test_counts_equal_the_released_code(golden):
    case = golden('amt_mae')
    counts = case['out/counts']
    for i, num_patches in enumerate(case.config['count_L']):
        for j, (mask_ratio, throw_ratio) in enumerate(case.config['count_ratios']):
            budget = PatchBudget.from_ratios(num_patches, mask_ratio, throw_ratio)
            masked, thrown, visible = counts[i, j].tolist()
            assert budget == PatchBudget(visible, masked, thrown), (num_patches, j)


@pytest.mark.parametrize(
    ('arguments', 'numbers'),
    [
        ((196, 0.0, 0.0), '196 visible, 0 masked and 0 thrown of 196'),
        ((196, 1.0, 0.0), '0 visible, 196 masked'),
        ((196, 0.5, 0.5), '0 visible, 98 masked and 98 thrown'),
        ((4, 0.2, 0.5), '0 masked'),
        ((196, 0.75, 0.30), r'0\.75 \+ 0\.3 = 1\.05'),
        ((196, -0.1, 0.5), r'-0\.1'),
        ((196, 0.5, -0.1), r'-0\.1'),
        ((196, 1.5, 0.0), r'1\.5'),
        ((196, float('nan'), 0.0), 'nan'),
    ],
)
def test_ratios_that_do_not_fit_are_refused_with_numbers(arguments, numbers):
    with pytest.raises(ValueError, match=numbers):
        PatchBudget.from_ratios(*arguments)


@pytest.mark.parametrize('mask_ratio', [0.0, 1.0, 1.1])
def test_a_mask_ratio_needs_visible_and_masked_patches(mask_ratio):
    with pytest.raises(ValueError, match=r'196|1\.1'):
        PatchBudget.from_mask_ratio(196, mask_ratio)


@pytest.mark.parametrize('counts', [(0, 5, 1), (5, 0, 1), (5, 5, -1)])
def test_impossible_counts_are_refused(counts):
    with pytest.raises(ValueError, match=f'{counts[0]} visible, {counts[1]} masked'):
        PatchBudget(*counts)


def test_budget_and_order_must_fit():
    with pytest.raises(ValueError, match=r'for 9 patches, the order has 10'):
        partition_patches(torch.arange(10)[None], PatchBudget(4, 3, 2))
