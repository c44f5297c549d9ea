"""A checkpoint with code in it is refused by every way into a run; nothing is run."""

import os
from functools import reduce

import pytest
import torch
from mmengine.registry import MODELS
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


# command: what follows the config and the checkpoint with code in it
COMMANDS = {
    'train': ['CONFIG', '--resume', 'FILE'],
    'check': ['CONFIG', '--cfg-options', 'load_from=FILE'],
    'check --score': ['CONFIG', '--score', 'FILE'],
    'knn': ['CONFIG', 'FILE', '--train=DATA', '--val=DATA', '--device=cpu'],
    'linear': ['CONFIG', 'FILE', '--train=DATA', '--val=DATA', '--device=cpu'],
    'visualize': ['CONFIG', 'FILE', '--photographs', '--device=cpu'],
    'convert': ['FILE', '--list'],
    'maps': ['CONFIG', '--checkpoint=FILE', '--images=DATA', '--out=x.safetensors'],
    'select': ['FILE', '--config=CONFIG', '--images=DATA', '--unsupervised'],
    'convert --to': ['FILE', '--to=timm', '--out=x.safetensors'],
}


@pytest.mark.parametrize('command', COMMANDS)
def test_commands_refuse_it(run, tmp_path, monkeypatch, command):
    root, data_root, bad = run
    monkeypatch.chdir(tmp_path)
    cfg = toy_config('work', data_root, custom_hooks=[])
    del cfg.model['scorer']
    cfg.model.mask_generator.type = 'mmattmask.RandomMaskGenerator'
    if command == 'check --score':
        cfg = toy_config('work', data_root)
    cfg.dump('config.py')
    values = {'CONFIG': 'config.py', 'FILE': str(bad), 'DATA': data_root}
    argv = [
        reduce(lambda a, b: a.replace(*b), values.items(), word)
        for word in COMMANDS[command]
    ]
    with pytest.raises((ValueError, SystemExit), match='holds more than weights'):
        mmattmask(command.split()[0], *argv)
    assert not (root / 'executed').exists()


def from_scratch(root, data_root, bad):
    cfg = toy_config(root / 'w', data_root)
    cfg.dump(root / 'config.py')
    return get_model(str(root / 'config.py'), pretrained=str(bad))


def own_init_cfg(root, data_root, bad):
    vit = toy_config(root / 'w', data_root).model.backbone
    init_cfg = dict(type='Pretrained', _scope_='mmattmask', checkpoint=str(bad))
    return MODELS.build(dict(vit, init_cfg=init_cfg)).init_weights()


def teacher(root, data_root, bad):
    vit = dict(toy_config(root / 'w', data_root).model.backbone)
    vit['type'] = 'mmpretrain.VisionTransformer'
    scorer = dict(type='mmattmask.FrozenTeacher', backbone=vit, checkpoint=str(bad))
    return MODELS.build(dict(scorer, block=1, head=0)).load()


@pytest.mark.parametrize('way', [from_scratch, own_init_cfg, teacher])
def test_functions_refuse_it(run, tmp_path, way):
    root, data_root, bad = run
    with pytest.raises(ValueError, match='holds more than weights'):
        way(tmp_path, data_root, bad)
    assert not (root / 'executed').exists()
