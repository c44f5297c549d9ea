"""Fixtures: golden values, data, and models small enough for one core."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings
from mmengine.registry import MODELS

# The same examples everywhere; no time limit on a busy machine; nothing left on disk.
settings.register_profile(
    'mmattmask', deadline=None, max_examples=25, derandomize=True, database=None
)
settings.load_profile('mmattmask')

BUNDLED_GOLDEN = Path(__file__).parent / 'data' / 'golden'


@pytest.fixture(scope='session', autouse=True)
def one_thread():
    """One torch thread: sums have one order, and workers do not fight for cores."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Make a test's draws independent of the tests that ran before it."""
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002  MMCV's transforms draw from it


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
    return folder_of('MMATTMASK_GOLDEN', 'golden values')


@pytest.fixture(scope='session')
def data_folder() -> Path:
    """Small public datasets."""
    return folder_of('MMATTMASK_DATA', 'datasets')


@dataclasses.dataclass(frozen=True)
class GoldenCase:
    """Numbers of an official implementation, see ``tests/data/golden/README.md``."""

    meta: dict
    arrays: dict[str, np.ndarray]

    @property
    def config(self) -> dict:
        return self.meta['config']

    def __getitem__(self, key: str) -> torch.Tensor:
        array = self.arrays[key]
        if array.dtype.kind == 'i':
            array = array.astype(np.int64)
        return torch.from_numpy(array)

    def state_dict(
        self, prefix: str = 'weights', names: dict[str, str] | None = None
    ) -> dict[str, torch.Tensor]:
        """Weights under the names of MMPretrain, by default of the case's own map."""
        return {
            new: self[f'{prefix}/{old}']
            for old, new in (names or self.meta['param_map']).items()
            if new and f'{prefix}/{old}' in self.arrays
        }

    def assert_close(self, value: torch.Tensor, key: str, part=lambda x: x) -> None:
        """Compare with ``key``, or a part of it, at the tolerance stated for it."""
        golden = part(self[key])
        step = self.meta.get('reduced', {}).get('pred_step', 1)
        if key.endswith('/pred'):
            value = value[..., ::step]
        if key.startswith('f64/'):
            tolerance = dict(rtol=1e-6, atol=1e-9)
            assert value.dtype == golden.dtype == torch.float64, key
        else:
            stated = self.meta['tolerance']
            stated = stated.get('per_key', stated)[key]
            tolerance = dict(rtol=stated['rtol'], atol=stated['atol'])
        torch.testing.assert_close(
            value.detach(),
            golden.to(value.dtype),
            **tolerance,
            msg=lambda message: f'{key}: {message}',
        )


@pytest.fixture(scope='session', params=['bundled', 'full'])
def golden(request):
    """Loader of a golden case by name, from the repository and from the folder."""
    if request.param == 'full':
        folder = request.getfixturevalue('golden_folder')
    else:
        folder = BUNDLED_GOLDEN
    cases: dict[str, GoldenCase] = {}

    def load(name: str) -> GoldenCase:
        if name not in cases:
            meta = json.loads((folder / f'{name}.json').read_text())
            with np.load(folder / f'{name}.npz', allow_pickle=False) as file:
                cases[name] = GoldenCase(meta, {key: file[key] for key in file.files})
        return cases[name]

    return load


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
