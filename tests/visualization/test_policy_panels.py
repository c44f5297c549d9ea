"""Policies side by side: who is masked is what the policy says, and is drawn so."""

import numpy as np
import pytest
import torch

from mmattmask.mask_generators import IBOTMaskGenerator
from mmattmask.visualization import (
    Membership,
    Policy,
    apply_policy,
    draw_partition,
    draw_policies,
    example_policies,
)
from mmattmask.visualization.gallery import fit
from mmattmask.visualization.palette import MASKED
from mmattmask.visualization.policy_panels import describe_counts

from .test_attention_panels import find, has_text, image_of

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


@pytest.mark.parametrize('size', [(32, 32), (64, 32)])
def test_page_shows_masked_patches_where_the_partition_says(size):
    grid = (size[0] // 8, size[1] // 8)
    score = scored(grid, 1)
    sets = {
        policy.name: apply_policy(policy, score, grid)[0]
        for policy in example_policies(grid[0] * grid[1])
    }
    image = image_of(size)
    page = draw_policies(
        image, score[0].reshape(grid).numpy(), sets, 'caption', side=48
    )
    small = fit(image, 48)
    for own in sets.values():
        panel = draw_partition(small, own)
        found = find(page, panel)
        assert found
        top, left = found[0]
        assert has_text(page[top - 46 : top, left : left + 60])  # its name
        height, width = small.shape[:2]
        for row, column in np.ndindex(grid):  # the middle of each patch
            y = top + round((row + 0.5) * height / grid[0])
            x = left + round((column + 0.5) * width / grid[1])
            flat = tuple(page[y, x]) == MASKED
            assert flat == (own[row, column] == Membership.MASKED)
