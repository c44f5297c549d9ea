"""Torch's kernels give Pillow's pixels."""

import mmcv
import numpy as np
import pytest

from mmattmask.datasets.resize import resize

SIZES = [(224, 224), (96, 64), (7, 300), (1, 1), (90, 120)]


def images():
    """Noise, which no rounding spares, and smooth and saturated pictures."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (90, 120, 3), np.uint8)
    smooth = mmcv.imresize(noise[:6, :8], (120, 90), interpolation='bicubic')
    return [noise, smooth, (noise > 127).astype(np.uint8) * 255]


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('size', SIZES)
def test_as_pillow(size, interpolation):
    options = dict(interpolation=interpolation, backend='pillow')
    for image in images():
        image.flags.writeable = False
        view = image[3:80, 5:]  # of another image, as a crop is
        expected = mmcv.imresize(view, size[::-1], **options).astype(int)
        resized = resize(view, size, **options)
        assert resized.dtype == np.uint8
        assert resized.flags.writeable
        difference = np.abs(resized - expected)
        assert difference.max() <= 2
        assert difference.mean() <= 0.1


def test_others_are_mmcvs():
    image = images()[0]
    for backend in ('cv2', None):
        expected = mmcv.imresize(image, (40, 30), interpolation='bicubic')
        resized = resize(image, (30, 40), 'bicubic', backend)
        np.testing.assert_array_equal(resized, expected)
    for other, how in ((image[..., 0], 'bicubic'), (image, 'lanczos')):
        options = dict(interpolation=how, backend='pillow')
        expected = mmcv.imresize(other, (40, 30), **options)
        np.testing.assert_array_equal(resize(other, (30, 40), **options), expected)
