"""Runs of iBOT: schedules, resuming, maps that are looked up for every large crop."""

import pytest
import torch

from ..engine.toy_run import (
    NUM_IMAGES,
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)
from .ibot_model import ibot_config

PER_EPOCH = -(-NUM_IMAGES // 8)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def config(work_dir, data_root, scorer=None, hooks=(), **changes):
    """AttMask on crops of 16 and 8 px."""
    cfg = toy_config(work_dir, data_root, train_cfg__max_epochs=3, **changes)
    crops = [
        [
            dict(type='mmattmask.RandomResizedCrop', scale=side),
            dict(type='RandomFlip', prob=0.5),
        ]
        for side in (16, 8)
    ]
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmattmask.MultiCrop', num_views=[2, 2], transforms=crops),
        dict(type='mmattmask.PackInputs'),
    ]
    cfg.train_dataloader.drop_last = False
    model = ibot_config(img_size=16, patch_size=4)
    del model['data_preprocessor']
    generator = dict(
        type='mmattmask.AttMaskGenerator', mask_ratio=(0.1, 0.5), mask_prob=0.5
    )
    cfg.model = {**model, 'mask_generator': generator, 'scorer': scorer}
    cfg.optim_wrapper = dict(
        type='mmattmask.PerTensorClipOptimWrapper',
        constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
        clip_grad=dict(max_norm=3.0),
        optimizer=dict(type='AdamW', lr=1e-3),
    )
    cfg.custom_hooks = [
        dict(type='mmattmask.EMATeacherHook'),
        dict(type='mmattmask.TeacherTemperatureHook', warmup_epochs=3),
        dict(type='mmattmask.FreezeLastLayerHook'),
        dict(type='mmattmask.EpochSeedHook'),
        *hooks,
    ]
    return cfg


def test_resumed_run_equals_an_uninterrupted_one(tmp_path, data_root):
    whole = train(config(tmp_path / 'whole', data_root))
    model = whole.model
    assert whole.iter == 3 * PER_EPOCH
    assert model.teacher_temp == model.teacher_patch_temp == 0.07
    first = weights(tmp_path / 'whole' / 'epoch_1.pth')
    for name in ('distillation.cls_center', 'distillation.patch_center'):
        assert not torch.equal(first[name], weights(whole)[name])
    token = 'teacher.backbone.cls_token'
    assert not torch.equal(first[token], weights(whole)[token])
    assert not torch.equal(
        model.backbone.cls_token, model.teacher['backbone'].cls_token
    )
    resumed = train(
        config(
            tmp_path / 'resumed',
            data_root,
            load_from=str(tmp_path / 'whole' / 'epoch_1.pth'),
            resume=True,
        )
    )
    assert_equal_weights(weights(whole), weights(resumed))


def test_cached_attention_guides_every_large_crop(tmp_path, data_root):
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=1)
    scorer = dict(type='mmattmask.CachedAttention')
    runner = train(config(tmp_path, data_root, scorer, [refresh]))
    model = runner.model
    assert model.guidance.scorer.bank is not None
    batch = next(iter(runner.train_dataloader))
    data = model.data_preprocessor(batch, training=True)
    scores = []
    model.guidance.mask_generator.mask = lambda score, *args: (
        scores.append(score) or score * 0
    )
    model(**data, mode='loss')
    first, second = scores[0].chunk(2)
    assert not torch.equal(first, second)  # other crops of the same images
    for sample in data['data_samples']:
        boxes = sample.crop_box
        sample.set_metainfo(dict(crop_box=[boxes[1], boxes[0], *boxes[2:]]))
        flips = sample.flip
        sample.set_metainfo(dict(flip=[flips[1], flips[0], *flips[2:]]))
        ways = sample.flip_direction
        sample.set_metainfo(dict(flip_direction=[ways[1], ways[0], *ways[2:]]))
    model(**data, mode='loss')
    assert torch.equal(scores[1], torch.cat([second, first]))
