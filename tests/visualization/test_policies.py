"""Policies on one score: who is masked is what the policy says."""

import numpy as np
import pytest
import torch

from mmattmask.mask_generators import IBOTMaskGenerator
from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.visualization import (
    Membership,
    Policy,
    apply_policy,
    example_policies,
    membership,
)
from mmattmask.visualization.policies import describe_counts

GRIDS = [(4, 4), (14, 14), (16, 8), (3, 10)]


def scored(grid, count=2):
    generator = torch.Generator().manual_seed(7)  # not that of the masks
    return torch.rand(count, grid[0] * grid[1], generator=generator)


@pytest.mark.parametrize('grid', GRIDS)
def test_every_example_works_on_every_grid(grid):
    num_patches, score = grid[0] * grid[1], scored(grid)
    policies = example_policies(num_patches)
    assert len({policy.name for policy in policies}) == 10
    for policy in policies:
        sets = apply_policy(policy, score, grid, seed=3)
        assert sets.shape == (2, *grid)
        if policy.name != 'AMT':
            assert (sets != Membership.THROWN).all()
        again = apply_policy(policy, score, grid, seed=3)
        assert np.array_equal(sets, again)


def test_examples_mean_what_their_names_say():
    grid = (14, 14)
    score = scored(grid, 1)
    sets = {
        policy.name: apply_policy(policy, score, grid)[0].reshape(-1)
        for policy in example_policies(196)
    }
    order = score[0].argsort(descending=True).numpy()
    masked = {name: own == Membership.MASKED for name, own in sets.items()}
    assert set(np.nonzero(masked['AttMask High'])[0]) == set(order[:147])
    assert set(np.nonzero(masked['AttMask Low'])[0]) == set(order[-147:])
    hints = masked['AttMask High'] & ~masked['AttMask Hint']
    assert hints.sum() > 0
    assert set(np.nonzero(hints)[0]) <= set(order[:19])
    assert describe_counts(sets['AMT']) == '88 masked, 78 thrown'
    assert describe_counts(sets['random']) == '147 masked'
    # GPA ends with the most attended half of what is masked
    assert masked['GPA, at 100 %'][order[:73]].all()
    assert not masked['GPA, at 0 %'][order[:73]].all()


def test_policies_with_variable_counts():
    policy = Policy(
        'iBOT', IBOTMaskGenerator(mask_ratios=((0.5, 0.5),), shape='random')
    )
    sets = apply_policy(policy, scored((4, 6)), (4, 6))
    assert (sets == Membership.MASKED).sum(axis=(1, 2)).tolist() == [12, 12]


def test_membership_of_a_partition_and_of_a_mask():
    budget = PatchBudget(num_visible=1, num_masked=2, num_thrown=3)
    ids = torch.tensor([[5, 0, 2, 1, 3, 4], [0, 1, 2, 3, 4, 5]])
    sets = membership(partition_patches(ids, budget), (2, 3))
    assert sets.tolist() == [[[1, 2, 1], [2, 2, 0]], [[0, 1, 1], [2, 2, 2]]]
    mask = torch.tensor([[0.0, 1, 1, 0, 0, 0]])
    assert membership(mask, (2, 3)).tolist() == [[[0, 1, 1], [0, 0, 0]]]
