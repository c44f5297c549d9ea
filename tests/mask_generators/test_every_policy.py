"""What every policy keeps: permutations, counts, its randomness, and no waiting."""

import itertools

import numpy as np
import pytest
import torch

from mmattmask import mask_generators as m
from mmattmask.mask_generators.trial import check_partition, check_policy

POLICIES = {
    'random': m.RandomMaskGenerator(),
    'random throwing': m.RandomMaskGenerator(0.45, 0.40),
    'rounded up': m.RandomMaskGenerator(0.3, 0.2, rounding='up'),
    'blocks': m.BlockMaskGenerator(min_patches=2),
    'iBOT': m.IBOTMaskGenerator(),
    'iBOT, random': m.IBOTMaskGenerator(shape='random'),
    'colour noise': m.ColorNoiseMaskGenerator(),
    'uniform': m.UniformMaskGenerator(),
    'balanced': m.UniformMaskGenerator(balanced=True),
    'most attended of a cell': m.UniformMaskGenerator(show='most'),
    'least attended of a cell': m.UniformMaskGenerator(show='least'),
    'AMT': m.AMTMaskGenerator(),
    'AMT, low': m.AMTMaskGenerator(throw='low'),
    'AMT, top': m.AMTMaskGenerator(ranking='top'),
    'first visible': m.AMTMaskGenerator(0.75, 0.0, first='visible'),
    'High': m.AttMaskGenerator('high'),
    'Hint': m.AttMaskGenerator('hint'),
    'Low': m.AttMaskGenerator('low'),
    'drawn ratio': m.AttMaskGenerator('high', (0.1, 0.5), 0.5, ratio_per_image=True),
    'drawn ratio and hints': m.AttMaskGenerator('hint', (0.1, 0.5), 0.5, 0.4),
    'MST': m.AttMaskGenerator('low', patch_prob=0.5),
    'GPA': m.SoftToHardMaskGenerator(),
    'GPA, exclusive': m.SoftToHardMaskGenerator(exclusive=True, soft=(1.0, 0.3)),
    'AutoMAE': m.SoftToHardMaskGenerator(soft=(1 / 3, 1 / 3), hard=(0, 0)),
    'parts': m.PartMaskGenerator(),
}
GRIDS = [(4, 4), (14, 14), (4, 10), (12, 2)]
ODD = [(7, 5), (1, 9)]  # not for cells of 2 x 2
PLACED = ('blocks', 'iBOT')  # their corners are masked less often
# without ties nothing is drawn
RANKED = {'High', 'Low', 'AMT, top'}
RANKED |= {'most attended of a cell', 'least attended of a cell'}


def integers(shape, dtype=torch.int64):
    return torch.randint(0, 5, shape).to(dtype)


SCORES = {
    'float32': torch.rand,
    'float16': lambda shape: torch.rand(shape).half(),
    'float64': lambda shape: torch.rand(shape).double(),
    'huge': lambda shape: torch.rand(shape) * 3e38,
    'faint': lambda shape: torch.rand(shape) * 1e-40,
    'sparse': lambda shape: torch.rand(shape).sub(0.9).relu(),
    'zero': torch.zeros,
    'int64': integers,
    'uint8': lambda shape: integers(shape, torch.uint8),
    'bool': lambda shape: integers(shape) > 2,
}
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


def grids_of(policy):
    return GRIDS if isinstance(policy, m.UniformMaskGenerator) else GRIDS + ODD


@pytest.mark.parametrize(
    ('name', 'grid'), [(n, grid) for n, p in POLICIES.items() for grid in grids_of(p)]
)
def test_the_trial_before_training_is_passed(name, grid):
    check_policy(POLICIES[name], grid)


@pytest.mark.parametrize(
    ('name', 'kind'),
    [
        (name, kind)
        for name, policy in POLICIES.items()
        for kind, make in SCORES.items()
        if not (policy.takes_labels and make((1,)).is_floating_point())
    ],
)
def test_no_score_breaks_the_contract(name, kind):
    policy = POLICIES[name]
    for grid, progress in itertools.product(grids_of(policy), (0.0, 0.3, 1.0)):
        score = SCORES[kind]((32, grid[0] * grid[1]))
        mask = policy.mask(score, None, progress, grid)
        assert ((mask == 0) | (mask == 1)).all()
        assert mask.sum(dim=1).max() <= policy.max_masked(score.shape[1])
        if not policy.variable_counts:
            partition = policy(score, None, progress, grid)
            check_partition(partition, name)
            assert partition.budget == policy.budget(score.shape[1])
            assert (mask.sum(dim=1) == partition.budget.num_masked).all()


@every_policy
def test_the_given_generator_is_the_only_randomness(name):
    policy, grid = POLICIES[name], (4, 6)
    score = score_for(policy, (40, 24))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first, second, other = (
        policy.mask(score, torch.Generator().manual_seed(seed), 0.3, grid)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    assert torch.equal(first, second)
    assert torch.equal(first, other) == (name in RANKED)


@pytest.mark.parametrize('name', [name for name in POLICIES if name not in PLACED])
def test_a_constant_score_says_nothing(name):
    policy, draws, grid = POLICIES[name], 4000, (4, 6)
    score = torch.full((draws, 24), 2)
    score = score if policy.takes_labels else score / 4
    mask = policy.mask(score, torch.Generator().manual_seed(0), 0.3, grid)
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
