"""Arguments of tools/train.py: what MMPretrain's tool makes of them, and ours."""

import importlib.util
import logging
import re
import sys
from pathlib import Path

import mmpretrain
import pytest
import torch
from mmengine.config import Config

from mmattmask import launching
from mmattmask.cli import train
from mmattmask.run_warnings import other_batch
from tests.command_line import arguments

CONFIG = """
model = dict(type='MAE')
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1))
train_dataloader = dict(batch_size=2, num_workers=2, dataset=dict(type='CIFAR10'))
val_dataloader = dict(batch_size=4, num_workers=1, pin_memory=False)
test_dataloader = None
val_cfg = dict()
val_evaluator = dict(type='Accuracy')
auto_scale_lr = dict(base_batch_size=4096)
"""


@pytest.fixture
def config_file(tmp_path) -> Path:
    path = tmp_path / 'small.py'
    path.write_text(CONFIG)
    return path


def stock_tool(name: str):
    path = Path(mmpretrain.__file__).parent / '.mim' / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(f'stock_{name}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def merged(path: Path, *argv: str) -> Config:
    args = arguments('train', path, *argv)
    return train.merge_args(Config.fromfile(path), args)


@pytest.mark.parametrize(
    'argv',
    [
        [],
        ['--work-dir', 'here'],
        ['--resume'],
        ['--resume', 'some.pth'],
        ['--no-validate'],
        ['--auto-scale-lr'],
        ['--no-pin-memory', '--no-persistent-workers'],
        ['--launcher', 'slurm', '--local-rank', '1'],
        ['--cfg-options', 'optim_wrapper.optimizer.lr=3', 'model.size="[1,2]"'],
        ['--cfg-options', 'train_dataloader.batch_size=7', '--work-dir', 'here'],
    ],
    ids=' '.join,
)
def test_same_as_the_stock_tool(config_file, argv, monkeypatch):
    stock = stock_tool('train')
    monkeypatch.setattr(sys, 'argv', ['train.py', str(config_file), *argv])
    monkeypatch.setenv('LOCAL_RANK', '0')
    theirs = stock.merge_args(Config.fromfile(config_file), stock.parse_args())
    ours = merged(config_file, *argv)
    expected, got = theirs.to_dict(), ours.to_dict()
    # The stock tool writes './work_dirs'.
    assert Path(got.pop('work_dir')) == Path(expected.pop('work_dir'))
    assert got == expected


def test_resume_starts_from_weights_where_nothing_can_be_resumed(config_file, tmp_path):
    """As job scripts say it at every start; the stock tool forgets the weights."""
    weights = ['--cfg-options', 'load_from=weights.pth']
    argv = ['--work-dir', str(tmp_path / 'run'), '--resume']
    for given in (weights, []):
        if not given:
            config_file.write_text(f"{CONFIG}\nload_from = 'weights.pth'")
        cfg = merged(config_file, *argv, *given)
        assert (cfg.resume, cfg.load_from) == (False, 'weights.pth')
    (tmp_path / 'run').mkdir()
    torch.save({}, tmp_path / 'run' / 'epoch_1.pth')
    cfg = merged(config_file, *argv)
    assert (cfg.resume, cfg.load_from) == (True, None)
    cfg = merged(config_file, *argv, 'other.pth')
    assert (cfg.resume, cfg.load_from) == (True, 'other.pth')


def test_options_have_the_last_word(config_file):
    options = ['train_dataloader.pin_memory=False', 'resume=False']
    cfg = merged(config_file, '--resume', '--cfg-options', *options)
    assert cfg.train_dataloader.pin_memory is False
    assert cfg.resume is False


def test_no_persistent_workers_without_workers(config_file):
    cfg = merged(config_file, '--cfg-options', 'train_dataloader.num_workers=0')
    assert cfg.train_dataloader.persistent_workers is False
    assert cfg.val_dataloader.persistent_workers is True


def test_auto_scale_lr_needs_a_batch_size(config_file):
    config_file.write_text(CONFIG.split('auto_scale_lr')[0])
    with pytest.raises(ValueError, match=r'small\.py has no .*base_batch_size'):
        merged(config_file, '--auto-scale-lr')


def test_auto_scale_lr_counts_accumulation(config_file):
    options = ['--cfg-options', 'optim_wrapper.accumulative_counts=4']
    cfg = merged(config_file, '--auto-scale-lr', *options)
    assert cfg.auto_scale_lr.base_batch_size == 1024
    assert not other_batch(cfg, 8)
    told = r'lr 0\.1 is for 4096 .* 8 processes and 4 acc.* make 64, .*lr=0\.0015625 '
    assert re.search(told, other_batch(merged(config_file, *options), 8))


@pytest.fixture
def printed(monkeypatch) -> list[tuple[str, int]]:
    lines = []
    monkeypatch.setattr(
        launching, 'print_log', lambda text, logger, level: lines.append((text, level))
    )
    return lines


@pytest.mark.parametrize('device', ['cpu', 'mps'])
@pytest.mark.parametrize('name', ['AmpOptimWrapper', 'mmengine.AmpOptimWrapper'])
def test_amp_falls_back_with_one_warning(
    config_file, monkeypatch, printed, device, name
):
    monkeypatch.setattr(launching, 'get_device', lambda: device)
    options = [f'optim_wrapper.type={name}', 'optim_wrapper.dtype=bfloat16']
    cfg = merged(config_file, '--amp', '--cfg-options', *options)
    assert cfg.optim_wrapper.to_dict() == dict(
        type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)
    )
    ((text, level),) = printed
    assert 'AmpOptimWrapper' in text
    assert device in text
    assert level == logging.WARNING


def test_amp_stays_on_an_accelerator(config_file, monkeypatch, printed):
    monkeypatch.setattr(launching, 'get_device', lambda: 'cuda')
    cfg = merged(config_file, '--amp')
    assert cfg.optim_wrapper.type == 'AmpOptimWrapper'
    assert cfg.optim_wrapper.loss_scale == 'dynamic'
    assert printed == []


def test_full_precision_says_nothing(config_file, monkeypatch, printed):
    monkeypatch.setattr(launching, 'get_device', lambda: 'cpu')
    assert merged(config_file).optim_wrapper.type == 'OptimWrapper'
    assert printed == []


@pytest.mark.parametrize(('device', 'kind'), [('cpu', ''), ('cuda', 'Amp')])
@pytest.mark.parametrize('configured', ['', 'Amp'])
def test_amp_keeps_clipping_each_gradient(
    config_file, monkeypatch, printed, device, kind, configured
):
    monkeypatch.setattr(launching, 'get_device', lambda: device)
    name = 'mmattmask.PerTensorClip{}OptimWrapper'
    config_file.write_text(CONFIG.replace('OptimWrapper', name.format(configured)))
    cfg = merged(config_file, '--amp')
    assert cfg.optim_wrapper.type == name.format(kind)
    assert ('loss_scale' in cfg.optim_wrapper) == (device == 'cuda')
    assert len(printed) == (device == 'cpu')


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg'])
def test_images_of_other_sizes_are_collated_as_their_library_does(tmp_path, scope):
    path = tmp_path / 'other.py'
    path.write_text(f'{CONFIG}default_scope = {scope!r}\n')
    assert 'collate_fn' not in merged(path).train_dataloader
