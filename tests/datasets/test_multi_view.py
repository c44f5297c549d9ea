"""Views are the stock ones; the first one's place in the image is kept."""

import copy

import numpy as np
import pytest
from mmengine.registry import TRANSFORMS, DefaultScope
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets import MultiView, RandomCrop
from mmattmask.datasets.recording import check_pipeline

CROP = dict(type='mmattmask.RandomCrop', crop_size=24)
FLIP = dict(type='RandomFlip', prob=0.5)
SOLARIZE = dict(type='Solarize', thr=128, prob=1.0)
VIEWS = dict(num_views=[1, 1], transforms=[[CROP, FLIP], [CROP, SOLARIZE, FLIP]])


@pytest.fixture(autouse=True)
def mmpretrain_scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return dict(img=pixels, sample_idx=3, ori_shape=(40, 50), img_path='a.png')


def run(transform, results):
    np.random.seed(4)  # noqa: NPY002  MMCV's transforms draw from it
    return transform(copy.deepcopy(results))


def test_pixels_and_draws_are_those_of_the_stock_transform(image):
    ours, theirs = (run(kind(**VIEWS), image) for kind in (MultiView, stock.MultiView))
    assert len(ours['img']) == 2
    for one, other in zip(ours['img'], theirs['img'], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(*ours['img'])


def test_geometry_is_that_of_the_first_view(image):
    for seed in range(8):
        np.random.seed(seed)  # noqa: NPY002
        results = MultiView(**VIEWS)(copy.deepcopy(image))
        packed = TRANSFORMS.build(dict(type='mmattmask.PackInputs'))(results)
        sample = packed['data_samples']
        top, left, height, width = map(int, sample.crop_box)
        crop = image['img'][top : top + height, left : left + width]
        view = crop[:, ::-1] if sample.flip else crop
        np.testing.assert_array_equal(packed['inputs'][0].permute(1, 2, 0), view)
        assert sample.sample_idx == 3
        assert sample.img_shape[:2] == (24, 24)


def test_a_view_without_a_crop_shows_the_whole_image(image):
    results = MultiView(num_views=[1, 1], transforms=[[SOLARIZE], [CROP]])(image)
    assert results['crop_box'] == (0, 0, 40, 50)


def test_pipeline_check_looks_into_the_views():
    pack = TRANSFORMS.build(dict(type='mmattmask.PackInputs'))
    check_pipeline([MultiView(**VIEWS), pack])
    bad = dict(type='RandomResizedCrop', scale=24)
    with pytest.raises(ValueError, match='contains RandomResizedCrop'):
        check_pipeline([MultiView(num_views=[2], transforms=[[bad]]), pack])
    with pytest.raises(ValueError, match=r"use type='mmattmask\.MultiView'"):
        check_pipeline([stock.MultiView(**VIEWS), pack])


def test_random_crop_pads_as_padding_mode_says(image):
    crop = RandomCrop(crop_size=(48, 58), padding=4, padding_mode='reflect')
    expected = np.pad(image['img'], ((4, 4), (4, 4), (0, 0)), mode='reflect')
    results = crop(copy.deepcopy(image))
    np.testing.assert_array_equal(results['img'], expected)
    assert results['crop_box'] == (-4, -4, 48, 58)
