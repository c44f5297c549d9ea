"""The export, made once per process, and images to train on."""

import numpy as np
import pytest
from PIL import Image

from projects.export import export
from projects.style import missing_tools


@pytest.fixture(scope='session')
def exported(tmp_path_factory):
    """A folder like a clone of MMPretrain; in its style if the formatters are here."""
    target = tmp_path_factory.mktemp('upstream')
    export(target, style=not missing_tools())
    return target


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """A folder of eight small images: one iteration per epoch."""
    folder = tmp_path_factory.mktemp('images')
    draws = np.random.default_rng(0)
    for index in range(8):
        shape = (72 + index, 80 - index, 3)
        pixels = draws.integers(0, 256, shape, dtype=np.uint8)
        pixels[20:50, 30:60] //= 8
        Image.fromarray(pixels).save(folder / f'{index}.png')
    return folder
