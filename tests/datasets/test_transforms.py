"""Recording transforms: the stock pixels, the stock random numbers, and the box."""
# ruff: noqa: NPY002  the stock transforms draw from numpy's global stream

import numpy as np
import pytest
from mmcv.transforms import CenterCrop as StockCenterCrop
from mmcv.transforms import Compose, RandomFlip
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets import transforms as ours

TWO_PIC = 'RandomResizedCropAndInterpolationWithTwoPic'
NEAREST = dict(interpolation='nearest')
CASES = [
    ('RandomResizedCrop', dict(scale=24, crop_ratio_range=(0.2, 1.0))),
    ('RandomResizedCrop', dict(scale=(24, 40), **NEAREST)),
    ('RandomResizedCrop', dict(scale=24, backend='pillow', interpolation='bicubic')),
    # always too wide: the central fallback crop
    ('RandomResizedCrop', dict(scale=24, aspect_ratio_range=(6.0, 7.0))),
    ('RandomResizedCrop', dict(scale=24, max_attempts=0)),
    ('RandomCrop', dict(crop_size=24)),
    ('RandomCrop', dict(crop_size=(24, 40))),
    ('RandomCrop', dict(crop_size=(60, 80))),
    ('RandomCrop', dict(crop_size=24, padding=4)),
    ('RandomCrop', dict(crop_size=24, padding=(3, 5))),
    ('RandomCrop', dict(crop_size=24, padding=(2, 9, 5, 1))),
    ('RandomCrop', dict(crop_size=90, pad_if_needed=True)),
    ('RandomCrop', dict(crop_size=95, padding=(2, 9, 5, 1), pad_if_needed=True)),
    ('RandomCrop', dict(crop_size=90)),  # larger than the image: all of it
    ('CenterCrop', dict(crop_size=24)),
    ('CenterCrop', dict(crop_size=(40, 25))),
    ('CenterCrop', dict(crop_size=(500, 25))),
    ('CenterCrop', dict(crop_size=500)),
    (TWO_PIC, dict(size=24)),
    (TWO_PIC, dict(size=24, second_size=12, interpolation='random')),
    (TWO_PIC, dict(size=24, second_size=12, second_interpolation='nearest', **NEAREST)),
]
IDS = [f'{name}-{index}' for index, (name, _) in enumerate(CASES)]


def stock_twin(name):
    return StockCenterCrop if name == 'CenterCrop' else getattr(stock, name)


@pytest.mark.parametrize(('name', 'options'), CASES, ids=IDS)
def test_same_pixels_same_random_numbers_same_results(name, options, coordinate_image):
    for seed in range(5):
        image = coordinate_image(60, 80, np.uint8)
        twins = []
        for cls in (getattr(ours, name), stock_twin(name)):
            np.random.seed(seed)
            results = cls(**options)({'img': image.copy(), 'ori_shape': (60, 80)})
            twins.append((results, np.random.random(3)))
        (results, random), (expected, expected_random) = twins
        np.testing.assert_array_equal(random, expected_random)
        results = dict(results)
        results.pop('crop_box')
        assert results.keys() == expected.keys()
        for key, value in expected.items():
            if key == 'img' and isinstance(value, list):
                assert len(value) == len(results['img']) == 2
                for pair in zip(value, results['img'], strict=True):
                    np.testing.assert_array_equal(*pair)
            elif key == 'img':
                np.testing.assert_array_equal(results[key], value)
            else:
                assert results[key] == value


@pytest.mark.parametrize('flip', [None, 'horizontal', 'vertical', 'diagonal'])
@pytest.mark.parametrize(('name', 'options'), CASES, ids=IDS)
def test_the_box_is_where_the_pixels_came_from(
    name, options, flip, coordinate_image, expected_coordinates
):
    for seed in range(4):
        np.random.seed(seed)
        results = {'img': coordinate_image(60, 80), 'ori_shape': (60, 80)}
        if options.get('backend') == 'pillow':
            results['img'] = results['img'].astype(np.uint8)
        if flip is not None:
            results = RandomFlip(prob=1.0, direction=flip)(results)
        results = getattr(ours, name)(**options)(results)
        image = results['img']
        image = image[0] if isinstance(image, list) else image
        height, width = results['crop_box'][2:]
        step = max(1, height / image.shape[0], width / image.shape[1])
        axes = np.meshgrid(*expected_coordinates(results), indexing='ij')
        inside = (
            (axes[0] > -0.5) & (axes[0] < 59.5) & (axes[1] > -0.5) & (axes[1] < 79.5)
        )
        # outside there is padding, zero here; a pixel of the source inside
        assert inside.any()
        for axis in (0, 1):
            error = np.abs(image[..., axis] - axes[axis])[inside]
            assert error.max() <= step, (seed, axis)
            # nearest neighbours and smoothing err to both sides alike
            assert error.mean() <= step / 2 + 0.05
        if not inside.all():
            assert (image[~inside] == 0).all()
            assert 'padding' in options or 'pad_if_needed' in options


def test_center_crop_refuses_padding():
    with pytest.raises(ValueError, match='auto_pad=True'):
        ours.CenterCrop(crop_size=24, auto_pad=True)


def test_packing_keeps_the_view_and_all_stock_keys(coordinate_image):
    results = {
        'img': coordinate_image(60, 80, np.uint8),
        'ori_shape': (60, 80),
        'img_path': 'photo.png',
        'sample_idx': 7,
        'gt_label': 2,
    }
    flip = RandomFlip(prob=1.0, direction='vertical')
    pack = TRANSFORMS.build(dict(type='mmattmask.PackInputs'))
    crop = ours.RandomResizedCrop(scale=24)
    results = Compose([crop, flip])(results)
    expected = stock.PackInputs()(dict(results))
    packed = pack(dict(results))
    assert set(packed) == {'inputs', 'data_samples'}
    assert packed['inputs'].equal(expected['inputs'])
    sample = packed['data_samples']
    assert sample.gt_label.equal(expected['data_samples'].gt_label)
    metainfo = dict(sample.metainfo)
    assert metainfo.pop('crop_box') == results['crop_box']
    assert metainfo == expected['data_samples'].metainfo
    assert metainfo['sample_idx'] == 7
    assert metainfo['flip_direction'] == 'vertical'


def test_packing_without_a_crop_shows_the_whole_image(coordinate_image):
    for size in ((60, 80), (24, 24)):  # as loaded, and squashed by a resize
        results = {'img': coordinate_image(*size), 'ori_shape': (60, 80)}
        sample = ours.PackInputs()(results)['data_samples']
        assert sample.crop_box == (0, 0, 60, 80)


def test_arrays_that_were_never_loaded_get_their_own_size(coordinate_image):
    """CIFAR and other datasets in memory give no ori_shape."""
    results = ours.PackInputs()({'img': coordinate_image(32, 32), 'sample_idx': 0})
    assert results['data_samples'].crop_box == (0, 0, 32, 32)
    assert results['data_samples'].ori_shape == (32, 32)


def test_more_meta_keys_may_be_packed(coordinate_image):
    keys = ('sample_idx', 'crop_box', 'camera')
    pack = ours.PackInputs(meta_keys=keys, input_key='img')
    results = {'img': coordinate_image(9, 9), 'camera': 'left', 'sample_idx': 1}
    assert pack(results)['data_samples'].metainfo['camera'] == 'left'


def test_random_crop_pads_as_padding_mode_says(coordinate_image):
    image = coordinate_image(40, 50, np.uint8)
    crop = ours.RandomCrop(crop_size=(48, 58), padding=4, padding_mode='reflect')
    expected = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode='reflect')
    results = crop({'img': image})
    np.testing.assert_array_equal(results['img'], expected)
    assert results['crop_box'] == (-4, -4, 48, 58)
