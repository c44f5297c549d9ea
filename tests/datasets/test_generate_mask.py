"""GenerateMask: stock mask transforms' shapes and counts, drawn by any policy."""

import numpy as np
import pytest
import torch
from mmcv.transforms import Compose
from mmengine.dataset import worker_init_fn
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets import transforms as stock
from safetensors.torch import save_file
from torch.utils.data import DataLoader

from mmattmask.datasets import GenerateMask
from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator

RANDOM = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.6)
TOP = dict(
    type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0, ranking='top'
)


class Coins(BaseMaskGenerator):
    """Masks every patch with probability 1/2: counts differ."""

    variable_counts = True

    def budget(self, num_patches):
        raise ValueError('every image has its own count')

    def shuffle(self, *args):
        raise ValueError('every image has its own count')

    def mask(self, score, rng=None, progress=0.0, grid=None):
        assert score.shape[1] == grid[0] * grid[1]
        return (torch.rand(score.shape, generator=rng) < 0.5).float()


@pytest.mark.parametrize(
    ('input_size', 'cell', 'token', 'count'),
    [(224, 32, 4, 30), (192, 32, 4, 22), (192, 32, 16, 22), (224, 16, 16, 118)],
)
def test_as_many_cells_as_simmim_in_the_same_form(input_size, cell, token, count):
    expected = stock.SimMIMMaskGenerator(input_size, cell, token, 0.6)({})['mask']
    mask = GenerateMask(RANDOM, input_size, cell, token)({})['mask']
    assert isinstance(mask, np.ndarray)
    assert (mask.shape, mask.dtype) == (expected.shape, np.int64)
    assert set(np.unique(mask)) == {0, 1}
    assert mask.sum() == expected.sum() == count * (cell // token) ** 2
    cells = mask.reshape(input_size // cell, cell // token, -1, cell // token)
    assert (cells == cells[:, :1, :, :1]).all()


def test_other_keys_stay_and_the_view_may_be_wide():
    results = GenerateMask(RandomMaskGenerator(0.5), (32, 64), 16, 8)({'img': 'x'})
    assert results['img'] == 'x'
    assert results['mask'].shape == (4, 8)
    assert results['mask'].sum() == 4 * 4


def test_without_a_scorer_all_cells_are_masked_equally_often():
    generate = GenerateMask(dict(TOP, ranking='sampled'), (16, 32), 8, 8)
    share = np.mean([generate({})['mask'] for _ in range(2000)], axis=0)
    np.testing.assert_allclose(share, 0.5, atol=0.06)  # 5 standard deviations


def test_policies_whose_counts_differ_are_welcome():
    generate = GenerateMask(Coins(), 32, 8, 8)
    assert len({generate({})['mask'].sum() for _ in range(20)}) > 1


@pytest.mark.parametrize('name', ['PackInputs', 'mmattmask'])
def test_stock_packing_hands_it_to_the_model(name, coordinate_image):
    kind = 'mmattmask.PackInputs' if name == 'mmattmask' else 'mmpretrain.PackInputs'
    pipeline = Compose(
        [
            dict(
                type='mmattmask.RandomResizedCropAndInterpolationWithTwoPic',
                size=32,
                second_size=16,
            ),
            dict(
                type='mmattmask.GenerateMask',
                mask_generator=RANDOM,
                input_size=32,
                mask_patch_size=8,
                model_patch_size=8,
            ),
            dict(type=kind),
        ]
    )
    packed = pipeline({'img': coordinate_image(60, 80, np.uint8)})
    assert len(packed['inputs']) == 2
    mask = packed['data_samples'].mask
    assert (mask.shape, mask.dtype, mask.sum()) == ((4, 4), torch.int64, 10)


def test_the_mask_covers_what_the_map_marks_in_the_view(tmp_path, coordinate_image):
    """The left of the image is attended: left of the view, right once flipped."""
    values = np.linspace(2, 1, 80, dtype=np.float32)[None].repeat(60, 0)
    np.save(tmp_path / 'x.npy', values)
    pipeline = Compose(
        [
            dict(type='mmpretrain.RandomFlip', prob=0.5),  # before the crop, as BEiT
            dict(type='mmattmask.RandomResizedCrop', scale=(16, 32)),
            dict(
                type='mmattmask.GenerateMask',
                mask_generator=TOP,
                input_size=(16, 32),
                mask_patch_size=8,
                model_patch_size=4,
                scorer=dict(type='mmattmask.UserMaps', path=str(tmp_path)),
            ),
        ]
    )
    seen = set()
    for _ in range(12):
        img = coordinate_image(60, 80)
        results = pipeline(
            {'img': img, 'img_path': 'a/x.png', 'sample_idx': 0, 'ori_shape': (60, 80)}
        )
        columns = results['img'][..., 1].reshape(4, 4, 8, 4).mean((1, 3))
        masked = results['mask'] == 1
        assert columns[masked].max() < columns[~masked].min()
        seen.add(results['flip'])
    assert seen == {True, False}


class Masks(torch.utils.data.Dataset):
    """One mask per index, and the worker that made it."""

    def __init__(self, generate):
        self.generate = generate

    def __len__(self):
        return 8

    def __getitem__(self, index):
        worker = torch.utils.data.get_worker_info().id
        results = dict(img_path=f'{index}.png', crop_box=(0, 0, 8, 8), ori_shape=(8, 8))
        return worker, self.generate(results)['mask']


def masks_of(generate, seed):
    loader = DataLoader(
        Masks(generate),
        batch_size=1,
        num_workers=2,
        worker_init_fn=lambda i: worker_init_fn(i, 2, 0, seed),
        multiprocessing_context='fork',
    )
    masks = {0: [], 1: []}
    for worker, mask in loader:
        masks[int(worker)].append(mask[0])
    return torch.stack([torch.stack(masks[worker]) for worker in masks])


def test_workers_differ_and_a_seed_repeats(tmp_path):
    save_file({str(i): torch.ones(3, 3) for i in range(8)}, tmp_path / 'm.safetensors')
    scorer = dict(type='mmattmask.UserMaps', path=tmp_path / 'm.safetensors')
    generate = GenerateMask(dict(TOP, ranking='sampled'), 64, 8, 8, scorer)
    first, again, other = (masks_of(generate, seed) for seed in (3, 3, 4))
    assert first.shape == (2, 4, 8, 8)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first[:, 0], first[:, 1])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(input_size=(64, 72)),
            r'mask_patch_size \(16\) must divide input_size \(64 x 72\)',
        ),
        (dict(model_patch_size=5), r'multiple of model_patch_size \(5\)'),
        (
            dict(mask_generator=dict(type='mmattmask.AMTMaskGenerator')),
            r'AMTMaskGenerator throws 6 of 16: set throw_ratio=0',
        ),
        (
            dict(mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator')),
            'SoftToHardMaskGenerator follows the progress of training',
        ),
        (
            dict(scorer=dict(type='mmattmask.CachedAttention')),
            'CachedAttention: scores from the model exist only in the main process, '
            'use GuidedDataPreprocessor or a guided host',
        ),
        (
            dict(mask_generator=dict(RANDOM, mask_ratio=0.99)),
            'at least one patch must be visible .* 0 visible, 16 masked',
        ),
    ],
)
def test_what_cannot_work_is_refused(options, message):
    options = {
        **dict(mask_generator=RANDOM, input_size=64, mask_patch_size=16),
        **options,
    }
    with pytest.raises(ValueError, match=message):
        GenerateMask(**options)


def test_a_schedule_that_stands_still_is_welcome():
    policy = dict(type='mmattmask.SoftToHardMaskGenerator')
    policy.update(soft=(0.5, 0.5), hard=(0.25, 0.25))
    assert GenerateMask(policy, 64, 16, 16)({})['mask'].sum() == 12


def test_the_check_draws_nothing_from_the_global_stream():
    before = torch.get_rng_state()
    GenerateMask(dict(TOP, ranking='sampled'), 64, 16, 16)
    assert torch.equal(before, torch.get_rng_state())


def test_a_crop_that_was_not_recorded_is_refused(tmp_path):
    np.save(tmp_path / 'x.npy', np.ones((2, 2)))
    scorer = dict(type='mmattmask.UserMaps', path=str(tmp_path))
    generate = GenerateMask(RANDOM, 64, 16, 16, scorer)
    view = dict(img_path='x.png', ori_shape=(9, 9))
    with pytest.raises(ValueError, match=r"crop with type='mmattmask\.RandomResized"):
        generate(view)
    with pytest.raises(ValueError, match=r'y\.png has no map'):
        generate({**view, 'crop_box': (0, 0, 9, 9), 'img_path': 'y.png'})


def test_it_prints_its_arguments(tmp_path):
    np.save(tmp_path / 'x.npy', np.ones((2, 2)))
    scorer = dict(type='mmattmask.UserMaps', path=str(tmp_path))
    config = dict(type='mmattmask.GenerateMask', mask_generator=RANDOM, scorer=scorer)
    assert repr(TRANSFORMS.build(config)) == (
        f'GenerateMask(mask_generator={RANDOM!r}, input_size=(192, 192), '
        f'mask_patch_size=32, model_patch_size=4, scorer={scorer!r})'
    )
