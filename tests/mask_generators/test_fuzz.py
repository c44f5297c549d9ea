"""Ten thousand partitions of any scores: none breaks the contract."""

import itertools

import pytest
import torch

from mmattmask import mask_generators as policies
from mmattmask.mask_generators.trial import check_partition

GRIDS = ((4, 4), (7, 5), (14, 14), (1, 9))
BATCH = 32


def floats(shape, rng):
    return torch.rand(shape, generator=rng)


def integers(shape, rng, dtype=torch.int64):
    return torch.randint(0, 5, shape, generator=rng).to(dtype)


SCORES = {
    'float32': floats,
    'float16': lambda shape, rng: floats(shape, rng).half(),
    'float64': lambda shape, rng: floats(shape, rng).double(),
    'huge': lambda shape, rng: floats(shape, rng) * 3e38,
    'faint': lambda shape, rng: floats(shape, rng) * 1e-40,
    'sparse': lambda shape, rng: floats(shape, rng).relu().sub(0.9).relu(),
    'zero': lambda shape, rng: torch.zeros(shape),
    'int64': integers,
    'uint8': lambda shape, rng: integers(shape, rng, torch.uint8),
    'bool': lambda shape, rng: integers(shape, rng) > 2,
}


def combinations(**options):
    keys, values = options.keys(), options.values()
    return [
        dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*values)
    ]


POLICIES = {
    'RandomMaskGenerator': combinations(
        mask_ratio=(0.3, 0.6), throw_ratio=(0.0, 0.2), rounding=('up', None)
    ),
    'AMTMaskGenerator': combinations(
        throw=('middle', 'low'), ranking=('sampled', 'top'), throw_ratio=(0.0, 0.4)
    ),
    'AttMaskGenerator': combinations(
        mode=('high', 'low', 'hint'), mask_ratio=(0.3, 0.75)
    ),
    'SoftToHardMaskGenerator': combinations(
        exclusive=(False, True), mask_ratio=(0.5, 0.75), soft=((0.5, 0.0), (1.0, 0.3))
    ),
    'BlockMaskGenerator': combinations(mask_ratio=(0.3, 0.4), min_patches=(1, 4)),
}


@pytest.mark.parametrize('name', POLICIES)
def test_no_partition_breaks_the_contract(name):
    rng = torch.Generator().manual_seed(3)
    count = 0
    for options, (kind, make), grid in itertools.product(
        POLICIES[name], SCORES.items(), GRIDS
    ):
        policy = getattr(policies, name)(**options)
        num_patches = grid[0] * grid[1]
        progress = torch.rand((), generator=rng).item()
        score = make((BATCH, num_patches), rng)
        label = f'{name} {options} of {kind} on {grid}'
        partition = policy(score, rng, progress, grid)
        check_partition(partition, label)
        budget = policy.budget(num_patches)
        assert partition.budget == budget, label
        mask = policy.mask(score, rng, progress, grid)
        assert ((mask == 0) | (mask == 1)).all(), label
        assert (mask.sum(dim=1) == budget.num_masked).all(), label
        count += 2 * BATCH
    assert count >= 10_000
