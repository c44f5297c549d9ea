"""The colours of the multi-crop fragment are torchvision's and Pillow's."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as TF
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms as T

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'multi_crop.py'


@pytest.fixture(scope='module')
def cfg():
    return Config.fromfile(str(CONFIG))


@pytest.fixture
def bgr():
    """A smooth image with some noise, as OpenCV loads it."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:60, :80]
    smooth = np.stack([3 * rows, 2 * columns + 40, 200 - rows - columns], axis=-1)
    return (smooth + rng.integers(0, 30, smooth.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture
def pil(bgr):
    return Image.fromarray(bgr[:, :, ::-1].copy())


def build(config, **changes):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return TRANSFORMS.build({**config, **changes})


def seed(value):
    torch.manual_seed(value)
    np.random.seed(value)  # noqa: NPY002  MMCV's transforms draw from it


def rgb(results):
    return results['img'][:, :, ::-1]


def through_pil(cfg, image, *transforms):
    """Run between the fragment's conversions to Pillow and back."""
    to_pil, to_numpy = cfg.flip_and_color[1], cfg.flip_and_color[-1]
    results = {'img': image}
    for config in (to_pil, *transforms, to_numpy):
        results = build(config)(results)
    return results


@pytest.mark.parametrize('part', ['global_crop', 'local_crop'])
def test_crops_are_resized_as_by_pillow(cfg, bgr, pil, part):
    crop = build(cfg[part])
    for value in range(4):
        seed(value)
        results = crop({'img': bgr})
        box = map(int, results['crop_box'])
        size = [cfg[part].scale] * 2
        expected = TF.resized_crop(pil, *box, size, TF.InterpolationMode.BICUBIC)
        difference = np.abs(rgb(results).astype(int) - np.asarray(expected))
        assert difference.max() <= 2
        assert difference.mean() <= 0.01


def test_jitter_is_torchvisions_on_rgb(cfg, bgr, pil):
    jitter = T.ColorJitter(0.4, 0.4, 0.2, 0.1)
    hues = set()
    for value in range(12):
        seed(value)
        results = through_pil(cfg, bgr, cfg.jitter)
        seed(value)
        np.testing.assert_array_equal(rgb(results), jitter(pil))
        seed(value)
        *_, hue = T.ColorJitter.get_params(
            jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue
        )
        hues.add(hue < 0)
    assert hues == {True, False}  # MMCV 2.2.0's jitter fails on the first with NumPy 2


def test_gray_is_pillows_on_rgb(cfg, bgr, pil):
    gray = {**cfg.flip_and_color[3], 'p': 1.0}
    results = through_pil(cfg, bgr, gray)
    for channel in range(3):
        np.testing.assert_array_equal(results['img'][:, :, channel], pil.convert('L'))


def test_blur_is_pillows_with_a_radius_per_image(cfg, bgr, pil, monkeypatch):
    blur, used = build(cfg.blur, prob=1.0), []
    draw = blur.random_magnitude
    monkeypatch.setattr(
        blur, 'random_magnitude', lambda: used.append(draw()) or used[-1]
    )
    for _ in range(3):
        results = blur({'img': bgr})
        expected = pil.filter(ImageFilter.GaussianBlur(used[-1]))
        np.testing.assert_array_equal(rgb(results), expected)
    assert len(set(used)) == 3
    assert all(0.1 <= radius <= 2 for radius in used)


def test_solarize_is_pillows(cfg, bgr, pil):
    results = build(cfg.solarize, prob=1.0)({'img': bgr})
    np.testing.assert_array_equal(rgb(results), ImageOps.solarize(pil, 128))


@pytest.mark.parametrize(
    ('view', 'blur', 'solarize'), [(0, 1.0, 0.0), (1, 0.1, 0.2), (2, 0.5, 0.0)]
)
def test_order_and_probabilities_of_each_view(cfg, view, blur, solarize):
    steps = cfg.multi_crop.transforms[view]
    assert [step.type for step in steps][:7] == [
        'mmattmask.RandomResizedCrop',
        'RandomFlip',
        'NumpyToPIL',
        'RandomApply',
        'torchvision/RandomGrayscale',
        'PILToNumpy',
        'GaussianBlur',
    ]
    flip, apply, gray = steps[1], steps[3], steps[4]
    assert (flip.prob, apply.prob, gray.p, steps[6].prob) == (0.5, 0.8, 0.2, blur)
    assert [step.prob for step in steps[7:]] == [solarize] * bool(solarize)
