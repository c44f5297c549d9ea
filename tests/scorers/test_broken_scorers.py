"""A scorer or policy that returns what it must not is named before the second step."""

import numpy as np
import pytest
import torch
from mmpretrain.structures import DataSample

from mmattmask.mask_generators import BaseMaskGenerator, check_policy
from mmattmask.masking import PatchBudget, PatchPartition, partition_patches
from mmattmask.scorers import Scorer

L = 36


class Broken(Scorer):
    """Returns what a test wants."""

    def __init__(self, make):
        super().__init__()
        self.make = make

    def forward(self, inputs, data_samples, grid, cell_size):
        return self.make(len(inputs))


def spoiled(value, image=1):
    def make(batch_size):
        score = torch.rand(batch_size, L)
        score[image, 5] = value
        return score

    return make


SCORES = {
    'half NaN': (spoiled(torch.nan), r'undefined for 1 of 3 views.*view 1.*b\.png'),
    'all NaN': (lambda n: torch.full((n, L), torch.nan), r'3 of 3 views.*view 0'),
    'infinite': (spoiled(torch.inf), r'infinite.*1 of 3'),
    'negative': (spoiled(-0.1), r'negative.*1 of 3'),
    'negative integers': (
        lambda n: torch.full((n, L), -1),
        r'negative.*3 of 3',
    ),
    'too short': (lambda n: torch.rand(n, L - 1), r'\(3, 36\), got \(3, 35\)'),
    'of pixels': (lambda n: torch.rand(n, 4 * L), r'got \(3, 144\)'),
    'a map': (lambda n: torch.rand(n, 6, 6), r'got \(3, 6, 6\)'),
    'of one image': (lambda n: torch.rand(1, L), r'got \(1, 36\)'),
    'numpy': (lambda n: np.random.default_rng(0).random((n, L)), 'got ndarray'),
    'a list': (lambda n: [torch.rand(L)] * n, 'got list'),
    'elsewhere': (lambda n: torch.rand(n, L, device='meta'), 'on meta, not on cpu'),
    'complex': (lambda n: torch.rand(n, L, dtype=torch.complex64), 'real scores'),
}


@pytest.mark.parametrize('name', SCORES)
def test_broken_scores(guided_mae, name):
    make, message = SCORES[name]
    model = guided_mae(
        scorer=Broken(make), mask_generator=dict(type='mmattmask.AMTMaskGenerator')
    )
    samples = [DataSample(metainfo=dict(img_path=f'{c}.png')) for c in 'abc']
    with pytest.raises(ValueError, match=f'Broken.*{message}'):
        model(torch.randn(3, 3, 48, 48), samples, mode='loss')


def test_what_is_no_scorer(guided_mae):
    with pytest.raises(ValueError, match=r'Identity is no scorer.*scorers\.Scorer'):
        guided_mae(scorer=torch.nn.Identity())


@pytest.mark.parametrize('dtype', [torch.bool, torch.uint8, torch.int64, torch.half])
def test_scores_of_any_type_are_taken(guided_mae, dtype):
    model = guided_mae(
        scorer=Broken(lambda n: (torch.rand(n, L) * 3).to(dtype)),
        mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
    )
    assert model(torch.randn(3, 3, 48, 48), None, mode='loss')['loss'].isfinite()


class Policy(BaseMaskGenerator):
    """Half of the patches, in raster order."""

    def budget(self, num_patches):
        return PatchBudget(num_patches - num_patches // 2, num_patches // 2)

    def shuffle(self, score, budget, rng, progress, grid):
        return torch.arange(score.shape[1]).expand(score.shape).clone()


class Duplicates(Policy):
    def shuffle(self, score, *args):
        return torch.zeros_like(score, dtype=torch.int64)


class OutOfRange(Policy):
    def shuffle(self, *args):
        return super().shuffle(*args) + 1


class Short(Policy):
    def shuffle(self, *args):
        return super().shuffle(*args)[:, :-1]


class Floats(Policy):
    def shuffle(self, *args):
        return super().shuffle(*args).float()


class Nothing(Policy):
    def shuffle(self, *args):
        return None


class OtherMask(Policy):
    def mask(self, score, *args, **kwargs):
        mask = torch.zeros_like(score)
        mask[:, : score.shape[1] // 4] = 1
        return mask


class HalfMasks(Policy):
    def mask(self, score, *args, **kwargs):
        return torch.full_like(score, 0.5)


class OtherCounts(Policy):
    def __call__(self, score, *args):
        order = self.shuffle(score, None, None, 0.0, None)
        return partition_patches(order, PatchBudget(score.shape[1] - 1, 1))


class UnrelatedRestore(Policy):
    def __call__(self, *args) -> PatchPartition:
        partition = super().__call__(*args)
        partition.ids_restore.zero_()
        return partition


class TooMany(Policy):
    variable_counts = True

    def max_masked(self, num_patches):
        return 2

    def mask(self, score, *args, **kwargs):
        return torch.ones_like(score)


class Grid(Policy):
    def shuffle(self, score, budget, rng, progress, grid):
        return torch.arange(grid[0] * grid[2]).expand(score.shape)


@pytest.mark.parametrize(
    ('policy', 'message'),
    [
        (Duplicates, r'each once, in 8 of 8 images: shuffle'),
        (OutOfRange, 'cannot partition 6 x 6'),
        (Short, 'cannot partition 6 x 6 patches: .*the order has 35'),
        (Floats, 'cannot partition 6 x 6'),
        (Nothing, 'cannot partition 6 x 6'),
        (OtherMask, r'masks \[9\] patches, budget\(\) says 18 of 36'),
        (HalfMasks, r'1 for masked and 0 for other patches, got \[0\.5\]'),
        (OtherCounts, r'partitions as .*not as'),
        (UnrelatedRestore, 'each once'),
        (TooMany, r'masks 36 patches, max_masked\(\) says 2'),
        (Grid, 'cannot partition 6 x 6'),
    ],
)
def test_broken_policies(guided_mae, policy, message):
    with pytest.raises(ValueError, match=message) as error:
        check_policy(policy(), (6, 6))
    assert policy.__name__ in str(error.value)
    if not policy.variable_counts:
        with pytest.raises(ValueError, match=message):
            guided_mae(mask_generator=policy())


def test_a_trial_leaves_the_random_stream_alone():
    before = torch.get_rng_state()
    check_policy(Policy(), (6, 6))
    assert torch.equal(before, torch.get_rng_state())


def test_an_order_that_is_no_permutation_has_no_uninitialised_places():
    order = torch.zeros(2, 6, dtype=torch.int64)
    restore = partition_patches(order, PatchBudget(2, 4)).ids_restore
    assert restore.min() >= 0
    assert restore.max() < 6
