"""A tiny guided MAE in two files, as the commands read it."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS

from tests.conftest import mae_config
from tests.engine.toy_run import write_images

SIZES = dict(dims=24, heads=2, neck__decoder_depth=1, neck__decoder_num_heads=2)
PIXELS = dict(mean=[120, 121, 122], std=[60, 61, 62], to_rgb=True)


@pytest.fixture(autouse=True)
def own_scope():
    """The commands set a default scope; the next test must not meet it."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


def write_config(name, pixels=PIXELS, **changes):
    """Write the config; return what is in it."""
    how = dict(type='mmpretrain.SelfSupDataPreprocessor', **pixels)
    dataset = dict(type='CustomDataset', data_root='train', with_label=False)
    cfg = Config(
        dict(
            model=mae_config(**SIZES, data_preprocessor=how, **changes),
            train_dataloader=dict(dataset=dataset),
        )
    )
    cfg.dump(name)
    return cfg


def write_weights(model, name):
    """Write random weights of a model, which it gets."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.3 * torch.randn_like(parameter))
    torch.save(dict(state_dict=model.state_dict()), name)


@pytest.fixture
def mae_files(tmp_path, monkeypatch):
    """Write mae.py and mae.pth into a folder of its own; return the model."""
    monkeypatch.chdir(tmp_path)

    def write(**changes):
        model = MODELS.build(write_config('mae.py', **changes).model)
        write_weights(model, 'mae.pth')
        return model

    return write


@pytest.fixture
def files(mae_files):
    """These two files of 2 x 2 patches and 4 blocks, and two folders of images."""
    model = mae_files(img_size=16, depth=4)
    write_images('train', count=14)
    write_images('val', count=20)
    return model
