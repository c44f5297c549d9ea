"""A short run of a small model, and a zoo in a folder of its own."""

import json

import pytest

from mmattmask.zoo import entries
from mmattmask.zoo.publish import publish_model
from tests.config_building import ROOT, write_images
from tests.train_tool import train

NAME = 'amt_vit-tiny-p8_images'
BASE = ROOT / 'configs' / 'amt' / 'amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
CONFIG = f"""_base_ = {str(BASE)!r}

model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True,
            embed_dims=48,
            num_layers=2,
            num_heads=3,
            feedforward_channels=96,
        )
    ),
    neck=dict(
        embed_dim=48, decoder_embed_dim=24, decoder_depth=1, decoder_num_heads=3
    ),
)
"""
RESULTS = {
    'data': '8 images of noise',
    'budget': '2 epochs, 3 seconds',
    'machine': '1 core',
    'results': [
        {
            'task': 'Image Classification',
            'dataset': 'noise',
            'metrics': {'k-NN top-1, k = 10': 12.5, 'linear top-1': 13},
        }
    ],
}


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    """Config and checkpoint of a finished run."""
    folder = tmp_path_factory.mktemp('run')
    config = folder / 'small.py'
    config.write_text(CONFIG)
    images = folder / 'images'
    write_images(images / 'nested', 8)
    train(config, folder / 'out', f'train_dataloader.dataset.data_root={images}')
    return config, folder / 'out' / 'epoch_2.pth'


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """An empty zoo."""
    folder = tmp_path / 'entries'
    monkeypatch.setattr(entries, 'ENTRIES', folder)
    return folder


@pytest.fixture
def published(run, zoo):
    """What was published of the run as ``NAME``."""
    config, checkpoint = run
    return publish_model(checkpoint, NAME, config, RESULTS)


@pytest.fixture
def results(tmp_path):
    """RESULTS as a file."""
    path = tmp_path / 'results.json'
    path.write_text(json.dumps(RESULTS))
    return path
