"""iBOT and AttMask through tools/train.py: resuming, and learning on real images."""

import csv

import numpy as np
import pytest
import torch

from tests.config_building import CONFIGS, ROOT, write_images
from tests.engine.toy_run import assert_equal_weights
from tests.train_tool import train

(HINT,) = [name for name in CONFIGS if 'attmask-hint_vit-tiny-p8_1xb8' in name]
ARCH = dict(
    _delete_=True, embed_dims=48, num_layers=2, num_heads=2, feedforward_channels=192
)
# Three epochs of two steps: the temperatures rise, the last layer waits for the third.
RESUMABLE = f"""
_base_ = {str(ROOT / HINT)!r}
model = dict(backbone=dict(arch={ARCH}))
train_cfg = dict(max_epochs=3)
custom_hooks = [
    {{**_base_.hooks.teacher, 'momentum': 0.1}},
    {{**_base_.hooks.temperature, 'warmup_epochs': 3}},
    {{**_base_.hooks.last_layer, 'epochs': 2}},
    dict(type='mmattmask.EpochSeedHook'),
]
"""
LAST_LAYER = 'head.last_layer.parametrizations.weight.original1'

# A smaller ViT on CIFAR-10, where an image is known again by its crops.
SMALL = """
_base_ = {base!r}
model = dict(
    backbone=dict(arch={arch}),
    head=dict(
        out_channels=256,
        hid_channels=128,
        bottleneck_channels=32,
        norm_last_layer=True,
    ),
)
flip = dict(type='RandomFlip', prob=0.5)
views = [[_base_.large, flip], [_base_.small, flip]]
multi_crop = {{**_base_.multi_crop, 'num_views': [2, 2], 'transforms': views}}
images = dict(type='CustomDataset', data_root={data_root!r})
subset = dict(type='mmattmask.FirstPerClass', images_per_class=20)
pipeline = [dict(type='LoadImageFromFile'), multi_crop, _base_.pack]
train_dataloader = dict(
    batch_size=20,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(
        _delete_=True,
        **subset,
        dataset=dict(**images, data_prefix='train', pipeline=pipeline),
    ),
)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
train_cfg = dict(max_epochs=4)
warmup, cosine, weight_decay = _base_.param_scheduler
param_scheduler = [{{**warmup, 'end': 1}}, {{**cosine, 'begin': 1}}, weight_decay]
knn = dict(
    type='mmattmask.KNNHook',
    memory=dict(**subset, dataset=dict(**images, data_prefix='train')),
    query=dict(**subset, dataset=dict(**images, data_prefix='test')),
    target='teacher',
)
custom_hooks = [
    {{**_base_.hooks.teacher, 'momentum': 0.02}},
    {{**_base_.hooks.temperature, 'warmup_epochs': 0, 'temp': 0.04}},
    {{**_base_.hooks.last_layer, 'epochs': 0}},
    knn,
]
default_hooks = dict(logger=dict(interval=1))
"""


def read(path):
    return torch.load(path, weights_only=False)


def test_resumed_run_equals_an_uninterrupted_one(tmp_path):
    data_root = tmp_path / 'images'
    write_images(data_root, 16)
    config = tmp_path / 'config.py'
    config.write_text(RESUMABLE)
    options = [
        f'train_dataloader.dataset.data_root={data_root}',
        'optim_wrapper.optimizer.lr=1e-3',
    ]
    rows = train(config, tmp_path / 'whole', *options)
    first, second, last = (
        read(tmp_path / 'whole' / f'epoch_{epoch}.pth') for epoch in (1, 2, 3)
    )
    weights = [content['state_dict'] for content in (first, second, last)]
    for name in (
        'distillation.cls_center',
        'distillation.patch_center',
        'backbone.mask_token',
        'teacher.backbone.pos_embed',
        'head.mlp.0.weight',
    ):
        assert not torch.equal(weights[0][name], weights[1][name])
        assert not torch.equal(weights[1][name], weights[2][name])
    assert torch.equal(weights[0][LAST_LAYER], weights[1][LAST_LAYER])
    assert not torch.equal(weights[1][LAST_LAYER], weights[2][LAST_LAYER])

    again = train(
        config,
        tmp_path / 'resumed',
        *options,
        'resume=True',
        f'load_from={tmp_path / "whole" / "epoch_1.pth"}',
    )
    assert [row['step'] for row in again] == [3, 4, 5, 6]
    for row, other in zip(rows[2:], again, strict=True):
        for name in ('loss', 'loss_cls', 'loss_patch', 'lr'):
            assert row[name] == other[name]
    resumed = read(tmp_path / 'resumed' / 'epoch_3.pth')
    assert_equal_weights(last['state_dict'], resumed['state_dict'])
    states = last['optimizer']['state'], resumed['optimizer']['state']
    assert states[0].keys() == states[1].keys()
    for index, state in states[0].items():
        assert_equal_weights(state, states[1][index])
    assert last['param_schedulers'] == resumed['param_schedulers']


@pytest.mark.parametrize('method', ['ibot/ibot', 'attmask/attmask-high'])
def test_students_learn_to_predict_their_teachers(method, data_folder, tmp_path):
    start = f'configs/{method}_vit-tiny-p4'
    (base,) = [name for name in CONFIGS if name.startswith(start)]
    config = tmp_path / 'config.py'
    values = dict(base=str(ROOT / base), data_root=str(data_folder / 'cifar10'))
    config.write_text(SMALL.format(arch=ARCH, **values))
    losses = {}
    # The losses rise while the centres settle, so their start tells nothing; without
    # a learning rate the centres do the same.
    for rate in (2e-3, 1e-9):
        work_dir = tmp_path / str(rate) / 'work_dir'
        work_dir.parent.mkdir()
        options = ('randomness.seed=0', f'optim_wrapper.optimizer.lr={rate}')
        rows = [row for row in train(config, work_dir, *options) if 'loss' in row]
        assert len(rows) == 40
        values = np.array([(row['loss_cls'], row['loss_patch']) for row in rows])
        assert np.isfinite(values).all()
        losses[rate] = values[-10:].mean(axis=0)
        with (work_dir / 'knn.csv').open(newline='') as file:
            measured = [row['epoch'] for row in csv.DictReader(file)]
        assert measured == ['0', '4']
    assert (losses[2e-3] < 0.85 * losses[1e-9]).all(), losses
