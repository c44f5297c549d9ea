"""One debug pre-training, for all that a checkpoint is carried to."""

import pytest

from tests.config_building import write_images
from tests.train_tool import train


@pytest.fixture(scope='session')
def pre_trained(tmp_path_factory):
    """The checkpoint of a debug pre-training, made once."""
    folder = tmp_path_factory.mktemp('pre_training')
    write_images(folder / 'images' / 'nested', 8)
    root = f'train_dataloader.dataset.data_root={folder / "images"}'
    name = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    train(name, folder / 'work_dir', root)
    return folder / 'work_dir' / 'epoch_2.pth'
