"""What the model is shown whole comes from the training pipeline."""

import random

import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS
from PIL import Image

from mmattmask.datasets.whole_images import (
    Squash,
    WholeImages,
    measuring_steps,
    squash,
)

CROP = dict(type='mmattmask.RandomResizedCrop', scale=16)
PACK = dict(type='mmattmask.PackInputs')


@DATASETS.register_module(force=True)
class ArraysDataset(BaseDataset):
    """Sample i is the i-th array; None cannot be read."""

    def __init__(self, arrays, **kwargs):
        self.arrays = arrays
        super().__init__(serialize_data=False, **kwargs)

    def load_data_list(self):
        return [dict(img_path=f'{i}.tif', gt_label=i) for i in range(len(self.arrays))]

    def get_data_info(self, idx):
        return {**super().get_data_info(idx), 'array': self.arrays[idx]}


@TRANSFORMS.register_module(force=True)
class ReadTiff(BaseTransform):
    """A loader by another name."""

    def transform(self, results):
        if results['array'] is None:
            raise RuntimeError('no tag')
        results['img'] = np.array(results['array'])
        results['ori_shape'] = results['img'].shape[:2]
        return results


@TRANSFORMS.register_module(force=True)
class Window(BaseTransform):
    """An own photometric step, a little random."""

    def transform(self, results):
        noise = np.random.rand() + random.random() + torch.rand(()).item()  # noqa: NPY002
        results['img'] = results['img'].astype(np.float32) / 100 + noise
        return results


def whole(arrays, *steps, size=(8, 8), **kwargs):
    steps = [dict(type='ReadTiff'), *steps, PACK]
    dataset = DATASETS.build(
        dict(type='ArraysDataset', arrays=arrays, pipeline=list(steps))
    )
    return WholeImages([dataset], size, **kwargs)


def image(*shape, dtype=np.uint8, high=256):
    return np.random.default_rng(0).integers(0, high, shape).astype(dtype)


NORMALIZE = dict(
    type='mmcv.Normalize', mean=[100, 110, 120], std=[50, 60, 70], to_rgb=False
)


@pytest.mark.parametrize('steps', [(NORMALIZE, CROP), (CROP, NORMALIZE)])
def test_photometric_steps_of_the_pipeline_are_kept(steps):
    array = image(24, 32, 3)
    seen, index, label, error = whole([array], *steps)[0]
    plain = np.stack([squash(array[..., c], (8, 8)) for c in range(3)]).astype(float)
    expected = (plain - np.array([100, 110, 120])[:, None, None]) / np.array(
        [50, 60, 70]
    )[:, None, None]
    assert seen.dtype == torch.float32
    torch.testing.assert_close(
        seen.double(), torch.from_numpy(expected), atol=0.03, rtol=0
    )
    assert (index, label, error) == (0, 0, '')


def test_of_several_views_the_first_branch_counts():
    views = dict(
        type='mmattmask.MultiView', num_views=[1, 1], transforms=[[NORMALIZE, CROP]] * 2
    )
    array = image(24, 32, 3)
    assert torch.equal(
        whole([array], views)[0][0], whole([array], NORMALIZE, CROP)[0][0]
    )


def test_random_steps_are_left_out():
    jitter = dict(type='mmpretrain.ColorJitter', brightness=0.9)
    flip = dict(type='RandomFlip', prob=1.0)
    gray = dict(type='RandomGrayscale', prob=0.5)
    lighting = dict(
        type='mmpretrain.Lighting', eigval=[9.0] * 3, eigvec=[[1.0] * 3] * 3
    )
    array = image(24, 32, 3)
    seen = whole([array], jitter, lighting, flip, gray, CROP, jitter)[0][0]
    assert torch.equal(seen, whole([array], CROP)[0][0])


def test_own_random_steps_depend_on_the_image_alone():
    images = whole([image(24, 32, 3)] * 2, dict(type='Window'), CROP)
    states = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    torch_state = torch.get_rng_state()
    first, again, other = images[0][0], images[0][0], images[1][0]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_state)


@pytest.mark.parametrize(
    ('shape', 'dtype', 'high'),
    [
        ((64, 48, 3), np.float32, 4000),
        ((64, 48), np.uint16, 60000),
        ((64, 48, 1), np.uint8, 256),
        ((64, 48, 2), np.float64, 9),
        ((64, 48, 7), np.uint8, 256),
        ((64, 48, 13), np.int16, 3000),
    ],
)
def test_any_type_and_number_of_channels_is_resized(shape, dtype, high):
    """Blocks of 8 x 6 equal pixels: area means are exact inside."""
    array = image(8, 8, *shape[2:], dtype=dtype, high=high)
    large = array.repeat(8, axis=0).repeat(6, axis=1)
    assert large.shape == shape
    small = squash(large, (8, 8))
    assert small.dtype == dtype
    assert small.shape == (8, 8, *shape[2:])
    constant = squash(np.full(shape, 7, dtype), (8, 8))
    np.testing.assert_allclose(constant, 7, rtol=1e-6)
    channel = large.reshape(64, 48, -1)[..., 0]
    pillow = Image.fromarray(channel.astype(np.float32)).resize((8, 8), 2)
    got = small.reshape(8, 8, -1)[..., 0].astype(float)
    np.testing.assert_allclose(got, np.array(pillow), atol=0.51, rtol=1e-5)
    seen = whole([large], CROP)[0][0]
    assert seen.shape == (shape[2] if len(shape) == 3 else 1, 8, 8)
    assert seen.numpy().dtype == dtype


@pytest.mark.parametrize(('channels', 'dtype'), [(1, np.uint8), (5, np.float32)])
def test_unreadable_images_are_zeros_like_the_others(channels, dtype):
    images = whole([None, None, image(24, 32, channels, dtype=dtype)], CROP)
    pixels, index, _, error = images[1]
    assert index == 1
    assert error == '1.tif (no tag)'
    assert pixels.shape == (channels, 8, 8)
    assert pixels.dtype == images[2][0].dtype
    assert not pixels.any()
    assert images.check().shape == (channels, 8, 8)


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        (
            [None] * 3,
            r'none of the first 3 images of Arrays.*0\.tif \(no tag\)',
        ),
        ([image(2, 24, 32, 3)], r'Squash does not take 0\.tif: .*\(2, 24, 32, 3\)'),
    ],
)
def test_an_image_of_every_dataset_is_tried(arrays, message):
    with pytest.raises(ValueError, match=message):
        whole(arrays, CROP).check()


def test_datasets_of_different_channels_are_refused():
    gray, color = whole([image(9, 9)], CROP), whole([image(9, 9, 3)], CROP)
    both = WholeImages([*gray.datasets, *color.datasets], (8, 8))
    with pytest.raises(ValueError, match=r'of one type .*\(1, 8, 8\).*\(3, 8, 8\)'):
        both.check()
    with pytest.raises(ValueError, match=r'must be \(C, 8, 8\).*\(3, 9, 9\)'):
        whole([image(9, 9, 3)], CROP, pipeline=[dict(type='ReadTiff')]).check()


def test_loaders_are_kept_whatever_they_are_called():
    class LoadCropOfSlide(BaseTransform):
        def transform(self, results):
            return results

    steps = measuring_steps(
        [LoadCropOfSlide(), TRANSFORMS.build(CROP)], [Squash((8, 8))]
    )
    assert [type(step).__name__ for step in steps] == ['LoadCropOfSlide', 'Squash']
