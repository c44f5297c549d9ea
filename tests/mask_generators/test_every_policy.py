"""What every policy keeps: permutations, counts, its randomness, and no waiting."""

import pytest
import torch

from mmattmask import mask_generators as m
from mmattmask.mask_generators.trial import check_partition, check_policy

POLICIES = {
    'random': m.RandomMaskGenerator(),
    'random throwing': m.RandomMaskGenerator(0.45, 0.40),
    'blocks': m.BlockMaskGenerator(min_patches=2),
    'iBOT': m.IBOTMaskGenerator(),
    'colour noise': m.ColorNoiseMaskGenerator(),
    'uniform': m.UniformMaskGenerator(),
    'balanced': m.UniformMaskGenerator(balanced=True),
    'most attended of a cell': m.UniformMaskGenerator(show='most'),
    'least attended of a cell': m.UniformMaskGenerator(show='least'),
    'AMT': m.AMTMaskGenerator(),
    'AMT, low': m.AMTMaskGenerator(throw='low'),
    'first visible': m.AMTMaskGenerator(0.75, 0.0, first='visible'),
    'High': m.AttMaskGenerator('high'),
    'Hint': m.AttMaskGenerator('hint'),
    'Low': m.AttMaskGenerator('low'),
    'MST': m.AttMaskGenerator('low', patch_prob=0.5),
    'GPA': m.SoftToHardMaskGenerator(),
    'AutoMAE': m.SoftToHardMaskGenerator(soft=(1 / 3, 1 / 3), hard=(0, 0)),
    'parts': m.PartMaskGenerator(),
}
GRIDS = [(4, 4), (14, 14), (4, 10), (12, 2)]
PLACED = ('blocks', 'iBOT')  # their corners are masked less often
every_policy = pytest.mark.parametrize('name', POLICIES)


def score_for(policy, shape, **options):
    if policy.takes_labels:
        return torch.randint(4, shape, **options)
    return torch.rand(shape, **options)


def test_no_policy_is_left_out():
    names = {type(policy).__name__ for policy in POLICIES.values()}
    assert names == {n for n in m.__all__ if n.endswith('Generator')} - {
        'BaseMaskGenerator'
    }


@every_policy
@pytest.mark.parametrize('grid', GRIDS)
def test_orders_are_permutations_with_the_budgets_counts(name, grid):
    policy, shape = POLICIES[name], (5, grid[0] * grid[1])
    check_policy(policy, grid)
    if policy.variable_counts:
        return
    for progress in (0.0, 0.3, 1.0):
        partition = policy(score_for(policy, shape), None, progress, grid)
        check_partition(partition, name)
        assert partition.budget == policy.budget(shape[1])
        assert torch.equal(
            partition.mask.sum(1), torch.full((5,), partition.mask[0].sum())
        )


@every_policy
def test_the_given_generator_is_the_only_randomness(name):
    policy, grid = POLICIES[name], (4, 6)
    score = score_for(policy, (40, 24))
    before = torch.get_rng_state()
    first, second, other = (
        policy.mask(score, torch.Generator().manual_seed(seed), 0.3, grid)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    ranked = name in ('High', 'Low', 'most attended of a cell')
    ranked |= name == 'least attended of a cell'
    assert torch.equal(first, other) == ranked


@every_policy
def test_a_constant_score_says_nothing(name):
    policy, draws, grid = POLICIES[name], 4000, (4, 6)
    score = torch.full((draws, 24), 2)
    score = score if policy.takes_labels else score / 4
    mask = policy.mask(score, torch.Generator().manual_seed(0), 0.3, grid)
    if name not in PLACED:
        share = mask.mean()
        bound = 5 * (share * (1 - share) / draws) ** 0.5
        assert (mask.mean(dim=0) - share).abs().max() < bound


@every_policy
def test_nothing_reads_a_value_of_the_device(name):
    """Tensors on the meta device have none, so nothing can wait for them."""
    policy, grid = POLICIES[name], (4, 6)
    score = score_for(policy, (3, 24), device='meta')
    mask = policy.mask(score, None, 0.3, grid)
    assert (mask.shape, mask.device.type) == ((3, 24), 'meta')
