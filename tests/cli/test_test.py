"""Arguments of tools/test.py, and one real evaluation."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.fileio import load
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from PIL import Image

from mmattmask.cli import test as tool
from tests.command_line import arguments, mmattmask

from .test_train import stock_tool

CONFIG = """
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='LeNet5', num_classes=2),
    head=dict(type='ClsHead', loss=dict(type='CrossEntropyLoss'), topk=(1,)),
    data_preprocessor=dict(mean=[127.5], std=[127.5], num_classes=2),
)
pipeline = [
    dict(type='LoadImageFromFile', color_type='grayscale'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs'),
]
test_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='CustomDataset', data_root='ROOT', pipeline=pipeline),
)
test_cfg = dict()
test_evaluator = dict(type='Accuracy', topk=(1,))
default_hooks = dict(visualization=dict(type='VisualizationHook', enable=False))
"""


@pytest.fixture
def config_file(tmp_path) -> Path:
    """A config over four small images in two classes."""
    draw = np.random.default_rng(0)
    for index in range(4):
        folder = tmp_path / 'images' / f'class{index % 2}'
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 255, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index}.png')
    path = tmp_path / 'small.py'
    path.write_text(CONFIG.replace('ROOT', str(tmp_path / 'images')))
    return path


@pytest.fixture
def classifier(config_file):
    """The config's model, whatever scope an earlier run left behind."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(Config.fromfile(config_file).model)


@pytest.mark.parametrize(
    'argv',
    [
        [],
        ['--amp'],
        ['--tta'],
        ['--show-dir', 'pictures', '--interval', '3'],
        ['--show', '--wait-time', '0.5'],
        ['--no-pin-memory', '--work-dir', 'here', '--launcher', 'mpi'],
        ['--cfg-options', 'test_dataloader.batch_size=7'],
    ],
    ids=' '.join,
)
def test_same_as_the_stock_tool(config_file, argv, monkeypatch):
    stock = stock_tool('test')
    command = [str(config_file), 'some.pth', *argv]
    monkeypatch.setattr(sys, 'argv', ['test.py', *command])
    monkeypatch.setenv('LOCAL_RANK', '0')
    theirs = stock.merge_args(Config.fromfile(config_file), stock.parse_args())
    ours = tool.merge_args(Config.fromfile(config_file), arguments('test', *command))
    expected, got = theirs.to_dict(), ours.to_dict()
    assert Path(got.pop('work_dir')) == Path(expected.pop('work_dir'))
    # Only ours turns them off where there are no workers.
    assert got['test_dataloader'].pop('persistent_workers') is False
    assert got == expected


def test_metrics_are_those_of_the_checkpoint(config_file, classifier, tmp_path):
    # Says class 1 whatever it sees: right for two images of four.
    for parameter in classifier.parameters():
        parameter.data.zero_()
    classifier.backbone.classifier[-1].bias.data[1] = 1.0
    checkpoint = tmp_path / 'small.pth'
    torch.save(dict(state_dict=classifier.state_dict()), checkpoint)

    out = tmp_path / 'metrics.json'
    options = ['--work-dir', str(tmp_path / 'work'), '--out-item', 'metrics']
    mmattmask('test', config_file, checkpoint, *options, '--out', out)
    assert json.loads(out.read_text()) == {'accuracy/top1': 50.0}


def test_a_head_of_other_classes_is_refused(config_file, classifier, tmp_path):
    """Fine-tuning may start from such a file; there is nothing to measure."""
    state = classifier.state_dict()
    names = [name for name in state if name.startswith('backbone.classifier.2')]
    for change in (lambda value: torch.cat([value, value]), None):
        weights = {k: v for k, v in state.items() if change or k not in names}
        weights |= {k: change(state[k]) for k in names if change}
        torch.save({'state_dict': weights}, tmp_path / 'other.pth')
        with pytest.raises(ValueError, match=r'backbone\.classifier\.2\.weight'):
            mmattmask('test', config_file, tmp_path / 'other.pth')


def test_other_classes_than_in_training_are_refused(config_file, classifier, tmp_path):
    """Folders are numbered as they are listed."""
    path = tmp_path / 'small.pth'
    classes = ('class0', 'class1')
    for known in (classes, classes[::-1], ('class0', 'between', 'class1')):
        meta = dict(dataset_meta=dict(classes=known))
        torch.save(dict(state_dict=classifier.state_dict(), meta=meta), path)
        options = config_file, path, '--work-dir', tmp_path / 'work'
        if known == classes:
            mmattmask('test', *options)
            continue
        with pytest.raises(ValueError, match=rf'{len(known)} classes and test_dataloa'):
            mmattmask('test', *options)


def test_predictions_are_written(config_file, classifier, tmp_path):
    checkpoint = tmp_path / 'small.pth'
    torch.save(dict(state_dict=classifier.state_dict()), checkpoint)
    out = tmp_path / 'predictions.pkl'
    options = ['--work-dir', str(tmp_path / 'work'), '--out', str(out)]
    mmattmask('test', config_file, checkpoint, *options)
    assert len(load(out)) == 4


def test_out_item_needs_out():
    with pytest.raises(ValueError, match='--out-item needs --out'):
        mmattmask('test', 'some.py', 'some.pth', '--out-item', 'metrics')


def test_pictures_need_the_hook(config_file):
    config_file.write_text(config_file.read_text() + 'default_hooks = dict()')
    args = arguments('test', config_file, 'some.pth', '--show')
    with pytest.raises(ValueError, match='VisualizationHook'):
        tool.merge_args(Config.fromfile(config_file), args)
