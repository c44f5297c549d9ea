"""A checkpoint with code in it is refused by every way into a run; nothing is run."""

import os

import pytest
import torch
from mmengine.runner import Runner
from mmpretrain import get_model

from tests.command_line import mmattmask
from tests.engine.toy_run import toy_config, train, write_images

pytestmark = pytest.mark.onedl  # the official runtime leaves it to torch's default


class Payload:
    """Makes a folder when it is un-pickled."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """A finished run, its images, its checkpoint and one with code in it."""
    root = tmp_path_factory.mktemp('run')
    data_root = write_images(root / 'images')
    cfg = toy_config(root / 'work', data_root, train_cfg__max_epochs=1)
    train(cfg)
    good = root / 'work' / 'epoch_1.pth'
    content = torch.load(good, weights_only=False)
    bad = root / 'evil.pth'
    torch.save({**content, 'evil': Payload(root / 'executed')}, bad)
    return root, data_root, bad


def pretrained(cfg, file):
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=str(file))


def load_from(cfg, file):
    cfg.load_from = str(file)


def resume(cfg, file):
    cfg.load_from, cfg.resume = str(file), True


def resume_of_the_folder(cfg, file):
    os.makedirs(cfg.work_dir)
    with open(f'{cfg.work_dir}/last_checkpoint', 'w') as pointer:
        pointer.write(str(file))
    cfg.resume = True


@pytest.mark.parametrize('way', [pretrained, load_from, resume, resume_of_the_folder])
def test_runs_refuse_it(run, tmp_path, way):
    root, data_root, bad = run
    cfg = toy_config(tmp_path / 'work', data_root, train_cfg__max_epochs=2)
    way(cfg, bad)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=r'evil\.pth holds more than weights'):
        runner.train()
    assert runner.iter == 0
    assert not (root / 'executed').exists()


def test_the_command_refuses_it(run, tmp_path):
    root, data_root, bad = run
    cfg = toy_config(tmp_path / 'work', data_root)
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(ValueError, match='holds more than weights'):
        mmattmask('train', tmp_path / 'config.py', '--resume', bad)
    assert not (root / 'executed').exists()


def test_get_model_refuses_it(run, tmp_path):
    root, data_root, bad = run
    cfg = toy_config(tmp_path / 'work', data_root)
    cfg.dump(tmp_path / 'config.py')
    with pytest.raises(ValueError, match='holds more than weights'):
        get_model(str(tmp_path / 'config.py'), pretrained=str(bad))
    assert not (root / 'executed').exists()
