"""Stock parts and pipelines become guided ones: the long form, digit by digit."""

import copy
import json

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets import recording
from mmattmask.datasets.transforms import PackInputs
from tests.engine.toy_run import toy_config, write_images
from tests.tiny_hosts import HOSTS

THREE = """
_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'
model = dict(
    type='mmattmask.GuidedMAE',
    scorer=dict(type='mmattmask.CachedAttention'),
    mask_generator=dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40
    ),
)
custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)]
"""
LONG = """
_base_ = './three.py'
model = dict(
    backbone=dict(type='mmattmask.GuidedMAEViT'),
    neck=dict(type='mmattmask.GuidedMAEDecoder'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='mmattmask.RandomResizedCrop',
        scale=224,
        crop_ratio_range=(0.2, 1.0),
        backend='pillow',
        interpolation='bicubic',
    ),
    dict(type='RandomFlip', prob=0.5),
    dict(type='mmattmask.PackInputs'),
]
train_dataloader = dict(
    collate_fn=dict(_delete_=True, type='default_collate'),
    dataset=dict(pipeline=train_pipeline),
)
"""
TINY = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
CACHED = dict(type='mmattmask.CachedAttention')
AM = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.0)
CROP = dict(type='RandomResizedCrop', scale=64)
LOAD, FLIP = dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5)
TWO_PIC = dict(
    type='RandomResizedCropAndInterpolationWithTwoPic',
    size=32,
    second_size=32,
    interpolation='bicubic',
    second_interpolation='bicubic',
    scale=(0.2, 1.0),
)
BLOCKS = dict(
    type='BEiTMaskGenerator',
    input_size=(4, 4),
    num_masking_patches=8,
    max_num_patches=None,
    min_num_patches=2,
)
VIEWS = dict(
    type='mmattmask.MultiCrop',
    num_views=[2, 2],
    transforms=[
        [dict(type='RandomResizedCrop', scale=32), FLIP],
        [dict(type='RandomResizedCrop', scale=16), FLIP],
    ],
)
PIPELINES = {
    'SimMIM (ViT)': [CROP, FLIP],
    'BEiT': [FLIP, TWO_PIC, BLOCKS],
    'iBOT': [VIEWS],
}


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def shrunk(cfg, work_dir, data_root):
    """The full-size config, at the size of a toy."""
    cfg.model.backbone.update(arch=TINY, img_size=32, patch_size=8)
    cfg.model.neck.update(
        patch_size=8,
        num_patches=16,
        embed_dim=24,
        decoder_embed_dim=16,
        decoder_depth=1,
        decoder_num_heads=2,
    )
    cfg.model.head.patch_size = 8
    cfg.train_dataloader.update(batch_size=8, num_workers=2, persistent_workers=True)
    cfg.train_dataloader.dataset.update(type='CustomDataset', data_root=data_root)
    cfg.train_dataloader.dataset.pop('split')
    cfg.train_dataloader.dataset.pipeline[1].scale = 32
    cfg.optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3))
    cfg.train_cfg.max_epochs = 2
    cfg.param_scheduler = []
    cfg.default_hooks.logger.interval = 1
    cfg.randomness = dict(seed=3)
    cfg.work_dir = str(work_dir)
    return cfg


def result(cfg, work_dir):
    """Losses as they were logged, the bank's bytes, and the log."""
    # MMEngine takes two runs of one second for one
    cfg.experiment_name = f'{work_dir.parent.name}-{work_dir.name}'
    Runner.from_cfg(cfg).train()
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    (bank,) = (work_dir / 'attention_bank').glob('*.bank')
    log = ''.join(file.read_text() for file in work_dir.glob('*/*.log'))
    return losses, bank.read_bytes(), log


def test_stock_mae_by_three_statements(tmp_path, data_root):
    results = []
    for name, text in (('three', THREE), ('long', LONG)):
        path = tmp_path / f'{name}.py'
        path.write_text(text)
        cfg = shrunk(Config.fromfile(path), tmp_path / name, data_root)
        assert ('mmattmask.PackInputs' in str(cfg)) == (name == 'long')
        results.append(result(cfg, tmp_path / name))
    (losses, bank, log), (long_losses, long_bank, long_log) = results
    assert len(losses) == 6
    assert losses == long_losses
    assert bank == long_bank
    for ours, theirs in (
        ('GuidedMAEViT', 'MAEViT'),
        ('GuidedMAEDecoder', 'MAEPretrainDecoder'),
        ('GuidedMAEHead', 'MAEPretrainHead'),
    ):
        assert log.count(f'{ours} stands in for {theirs}') == 1
    assert log.count('RandomResizedCrop, PackInputs of mmattmask stand in') == 1
    assert 'of mmattmask stand in' not in long_log


def recording_form(pipeline):
    """The same pipeline with every stock crop and packing replaced."""
    if isinstance(pipeline, list):
        return [recording_form(part) for part in pipeline]
    if not isinstance(pipeline, dict):
        return pipeline
    form = {key: recording_form(value) for key, value in pipeline.items()}
    if form.get('type') in {own.__name__ for own in recording.RECORDING.values()}:
        form['type'] = f'mmattmask.{form["type"]}'
    return form


@pytest.mark.parametrize('name', PIPELINES)
@pytest.mark.parametrize('by_epoch', [True, False])
def test_other_hosts_with_a_stock_pipeline(tmp_path, data_root, name, by_epoch):
    host = HOSTS[name]
    pipeline = [LOAD, *PIPELINES[name], dict(type='PackInputs')]
    results = []
    for form in ('stock', 'recording'):
        work_dir = tmp_path / form
        cfg = toy_config(work_dir, data_root)
        cfg.model = host.guided(host.stock(), dict(AM), dict(CACHED))
        cfg.pop('data_preprocessor')
        steps = pipeline if form == 'stock' else recording_form(pipeline)
        cfg.train_dataloader.dataset.pipeline = copy.deepcopy(steps)
        cfg.custom_hooks = cfg.custom_hooks[:1]
        cfg.train_cfg.max_epochs = 2
        if name == 'iBOT':
            cfg.custom_hooks += [dict(type='mmattmask.EMATeacherHook')]
        if not by_epoch:
            cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=5)
            cfg.train_dataloader.update(num_workers=1)
            cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=True)
            cfg.custom_hooks[0].update(begin=2, interval=None, by_epoch=False)
            cfg.default_hooks.checkpoint.by_epoch = False
        results.append(result(cfg, work_dir))
    (losses, bank, log), (long_losses, long_bank, _) = results
    assert losses == long_losses
    assert bank == long_bank
    assert 'of mmattmask stand in' in log


@pytest.mark.parametrize('own', recording.RECORDING.values())
def test_exchanged_transforms_give_the_same_pixels(own):
    options = {
        'RandomCrop': dict(crop_size=12, padding=3, padding_mode='reflect'),
        'RandomResizedCrop': dict(scale=12),
        'RandomResizedCropAndInterpolationWithTwoPic': TWO_PIC,
        'CenterCrop': dict(crop_size=12),
        'PackInputs': dict(meta_keys=('img_path', 'note')),
    }[own.__name__]
    options = {k: v for k, v in options.items() if k != 'type'}
    theirs = next(k for k, v in recording.RECORDING.items() if v is own)(**options)
    ours, rng = own.from_stock(theirs), np.random.default_rng(0)
    image = rng.integers(1, 256, (20, 30, 3), dtype=np.uint8)
    for seed in range(10):
        assert_same_pixels(theirs, ours, image, seed)


def assert_same_pixels(theirs, ours, image, seed):
    found = []
    for transform in (theirs, ours):
        np.random.seed(seed)  # noqa: NPY002  MMCV draws from it
        results = dict(img=image.copy(), img_path='a.png', sample_idx=3, note=1)
        found.append(transform(results | dict(ori_shape=(20, 30))))
    if isinstance(ours, PackInputs):
        assert isinstance(theirs, stock.PackInputs)
        sample = found[1]['data_samples']
        assert sample.note == found[0]['data_samples'].note == 1
        assert sample.sample_idx == 3
        assert sample.crop_box == (0.0, 0.0, 20.0, 30.0)
        return
    for one, other in zip(*(np.atleast_1d(f['img']) for f in found), strict=True):
        assert np.array_equal(one, other)
    assert len(found[1]['crop_box']) == 4
