"""Fixtures: golden values, data, and models small enough for one core."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.registry import MODELS
from mmengine.visualization import Visualizer

from .golden import BUNDLED, VARIABLE, GoldenCase, load
from .processes import spare_what_nobody_sees

# The same examples everywhere; no time limit on a busy machine; nothing left on disk.
settings.register_profile(
    'mmattmask', deadline=None, max_examples=25, derandomize=True, database=None
)
settings.load_profile('mmattmask')


@pytest.fixture(scope='session', autouse=True)
def sparing():
    """One torch thread: sums have one order, and workers do not fight for cores."""
    torch.set_num_threads(1)
    spare_what_nobody_sees()


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Make a test's draws independent of the tests that ran before it."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  MMCV's transforms draw from it


@pytest.fixture(autouse=True)
def own_visualizer():
    """Do not write where a run of the same second did: its folder is gone."""
    yield
    Visualizer._instance_dict.clear()


def folder_of(variable: str, content: str) -> Path:
    """Return the folder an environment variable names, or skip the test."""
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f'{variable} does not name the folder of {content}')
    if not Path(folder).is_dir():
        pytest.fail(f'{variable}={folder} is not a folder')
    return Path(folder)


@pytest.fixture(scope='session')
def golden_folder() -> Path:
    """All golden cases in full."""
    return folder_of(VARIABLE, 'golden values')


@pytest.fixture(scope='session')
def data_folder() -> Path:
    """Small public datasets."""
    return folder_of('MMATTMASK_DATA', 'datasets')


@pytest.fixture(scope='session')
def weights_folder() -> Path:
    """Real pre-trained weights."""
    return folder_of('MMATTMASK_WEIGHTS', 'pre-trained weights')


def loader(folder: Path):
    def load_or_skip(name: str) -> GoldenCase:
        if folder != BUNDLED and not (folder / f'{name}.json').is_file():
            pytest.skip(f'{folder} does not have {name}')
        return load(folder, name)

    return load_or_skip


@pytest.fixture(scope='session', params=['bundled', 'full'])
def golden(request):
    """Loader of a golden case by name, from the repository and from the folder."""
    if request.param == 'full':
        return loader(request.getfixturevalue('golden_folder'))
    return loader(BUNDLED)


@pytest.fixture(scope='session')
def full_golden(golden_folder):
    """Loader of cases that are too large to be bundled."""
    return loader(golden_folder)


def mae_config(
    img_size=48, patch_size=8, dims=48, depth=2, heads=3, norm_pix=True, **changes
) -> dict:
    """Config of a guided MAE of two small blocks."""
    config = dict(
        type='mmattmask.GuidedMAE',
        backbone=dict(
            type='mmattmask.GuidedMAEViT',
            arch=dict(
                embed_dims=dims,
                num_layers=depth,
                num_heads=heads,
                feedforward_channels=4 * dims,
            ),
            img_size=img_size,
            patch_size=patch_size,
        ),
        neck=dict(
            type='mmattmask.GuidedMAEDecoder',
            decoder_embed_dim=32,
            decoder_depth=2,
            decoder_num_heads=4,
        ),
        head=dict(
            type='mmpretrain.MAEPretrainHead',
            norm_pix=norm_pix,
            loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
        ),
        mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
        data_preprocessor=dict(type='mmpretrain.SelfSupDataPreprocessor'),
    )
    for key, value in changes.items():
        part, _, name = key.partition('__')
        if name:
            config[part][name] = value
        else:
            config[part] = value
    return config


@pytest.fixture
def guided_mae_config():
    """Builder of configs; ``neck__decoder_depth=1`` changes one line of one part."""
    return mae_config


@pytest.fixture
def guided_mae():
    """Builder of initialised tiny models, from the arguments of a config."""

    def build(seed=0, **changes):
        torch.manual_seed(seed)
        model = MODELS.build(mae_config(**changes))
        model.init_weights()
        return model

    return build
