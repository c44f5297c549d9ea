"""Parse and build shipped configs without memory, data or a runner."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope
from PIL import Image

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / 'configs').rglob('*.py')
    if '_base_' not in path.parts
)


@cache
def load(name):
    """Parse a config; do not change what comes back."""
    return Config.fromfile(str(ROOT / name))


def find(part):
    """Parse the one config whose name contains `part`."""
    (name,) = [name for name in CONFIGS if part in name]
    return load(name)


def build_model(cfg):
    """Build without memory: parameters are on torch's meta device."""
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        preprocessor = MODELS.build(cfg.data_preprocessor)
        with torch.device('meta'):
            return MODELS.build({**cfg.model, 'data_preprocessor': preprocessor})


def build_pipeline(cfg):
    """Build the training pipeline without its dataset's files."""
    dataset = {**cfg.train_dataloader.dataset, 'lazy_init': True}
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return DATASETS.build(dataset).pipeline


def write_images(folder, number):
    """Write PNG images of different heights; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for index in range(number):
        pixels = rng.integers(0, 256, (50 + index, 70, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index:02}.png')
    return sorted(folder.iterdir())
