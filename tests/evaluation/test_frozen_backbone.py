"""Backbones by name or config, and the weights of other projects' files."""

import argparse

import pytest
import torch
from mmpretrain.registry import MODELS

from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.frozen_backbone import (
    load_backbone,
    named_backbone,
    normalisation_of,
)

from ..export.tiny_vits import prefixed, timm_names

CONFIG = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16),
    img_size=16,
    patch_size=8,
    out_type='raw',
)


def official(seed, **extra):
    """Random weights of CONFIG under the names of the official code."""
    torch.manual_seed(seed)
    state = MODELS.build(CONFIG).state_dict()
    return timm_names({n: torch.randn_like(v) for n, v in state.items()}) | extra


@pytest.fixture
def full(tmp_path):
    """What main_ibot.py and main_attmask.py save."""
    path = tmp_path / 'checkpoint.pth'
    head = {'head.mlp.0.bias': torch.zeros(3)}
    student = official(1, masked_embed=torch.zeros(1, 8))
    content = dict(
        student=prefixed('module.', prefixed('backbone.', student) | head),
        teacher=prefixed('backbone.', official(2)) | head,
        epoch=100,
        args=argparse.Namespace(arch='vit_small'),
    )
    torch.save(content, path)
    return path


def check(path, key, seed, line=None):
    backbone, matched = load_backbone(CONFIG, path, key)
    state, total = official(seed), len(backbone.state_dict())
    assert matched.startswith(line or f'matched {total}/{total} weights of {path}')
    assert torch.equal(backbone.cls_token, state['cls_token'])
    assert torch.equal(backbone.layers[1].ln2.bias, state['blocks.1.norm2.bias'])
    assert torch.equal(backbone.ln1.weight, state['norm.weight'])


def test_full_checkpoint(full):
    check(full, None, seed=2)
    check(full, 'teacher', seed=2)
    check(full, 'student', seed=1)


def test_backbone_only_checkpoint(tmp_path):
    path = tmp_path / 'backbone.pth'
    torch.save(dict(state_dict=official(3)), path)
    check(path, None, seed=3)
    check(path, 'state_dict', seed=3)
    # the official evaluation goes on with random weights
    message = "nothing called 'teacher'; it has state_dict, blocks, cls_token, norm"
    with pytest.raises(ValueError, match=message):
        load_backbone(CONFIG, path, 'teacher')


@pytest.mark.parametrize('has_head', [False, True])
def test_network_within_a_flat_checkpoint(tmp_path, has_head):
    """With a teacher's head it is self-distillation, evaluated by its teacher."""
    state = prefixed('teacher.backbone.', official(4))
    state |= prefixed('backbone.', official(5))
    state |= {'teacher.head.mlp.0.bias': torch.zeros(3)} if has_head else {}
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=state), path)
    line = f'matched 30/30 weights of {path} (teacher)'
    check(path, None, *((4, line) if has_head else (5,)))
    check(path, 'teacher', seed=4)
    check(path, 'backbone', seed=5)


def test_weights_of_pretraining_only_may_be_missing(tmp_path):
    torch.save(dict(state_dict=official(7)), tmp_path / 'vit.pth')
    beit = dict(CONFIG, type='mmpretrain.MaskFeatViT')
    _, matched = load_backbone(beit, tmp_path / 'vit.pth')
    found, total = map(int, matched.split()[1].split('/'))
    assert total - found == 1


def test_positions_of_the_same_number_stay_on_their_grid(tmp_path):
    torch.manual_seed(0)
    oblong = dict(CONFIG, img_size=(32, 72))  # 4 x 9 patches, as many as 6 x 6
    positions = torch.randn(1, 37, 8)
    torch.save(
        dict(teacher=official(8) | dict(pos_embed=positions)), tmp_path / 'x.pth'
    )
    backbone, _ = load_backbone(oblong, tmp_path / 'x.pth')
    assert torch.equal(backbone.pos_embed, positions)


def test_what_cannot_be_built_or_filled(tmp_path, full):
    deep = dict(CONFIG, arch=dict(CONFIG['arch'], num_layers=3))
    with pytest.raises(ValueError, match=r'matched 30/42 weights; missing layers\.2'):
        load_backbone(deep, full)
    torch.save(dict(state_dict={'conv1.weight': torch.zeros(2)}), tmp_path / 'cnn.pth')
    with pytest.raises(ValueError, match=r'matched 0/\d+ .*names are conv1'):
        load_backbone(CONFIG, tmp_path / 'cnn.pth')
    with pytest.raises(ValueError, match="no backbone 'NoViT'"):
        load_backbone(dict(type='NoViT'), full)


def test_names():
    with torch.device('meta'):
        small = MODELS.build(named_backbone('vit-small-p16'))
        tiny = MODELS.build(named_backbone('vit-tiny-p8', (32, 64)))
    assert (small.embed_dims, len(small.layers)) == (384, 12)
    assert small.pos_embed.shape == (1, 197, 384)
    assert tiny.pos_embed.shape == (1, 33, 192)
    for name in ('vit-small', 'vit-giant-p14', 'resnet50', 'vit-small-p16x'):
        with pytest.raises(ValueError, match=f'{name!r} is neither a config'):
            named_backbone(name)


@pytest.mark.parametrize(
    ('dataset', 'to_rgb', 'rgb'),
    [
        (dict(type='CIFAR10'), False, True),
        (dict(type='mmpretrain.CIFAR100'), True, False),
        (dict(type='ImageNet'), True, True),
        (dict(type='CustomDataset'), False, False),
        (dict(type='RepeatDataset', dataset=dict(type='CIFAR10')), False, True),
        (None, True, True),
    ],
)
def test_the_models_channels_are_those_of_its_training(dataset, to_rgb, rgb):
    cfg = dict(data_preprocessor=dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=to_rgb))
    if dataset:
        cfg['train_dataloader'] = dict(dataset=dataset)
    assert normalisation_of(cfg) == Normalisation((1, 2, 3), (4, 5, 6), rgb)


def test_normalisation_of_the_model_or_none_stated():
    how = dict(mean=[1, 2, 3], std=[4, 5, 6], to_rgb=True)
    cfg = dict(model=dict(data_preprocessor=how), data_preprocessor=dict(mean=[0] * 3))
    assert normalisation_of(cfg) == Normalisation((1, 2, 3), (4, 5, 6), True)
    assert normalisation_of(dict(model={})) == Normalisation()
    bare = dict(data_preprocessor=dict(type='SelfSupDataPreprocessor'))
    assert normalisation_of(bare) == Normalisation((0,) * 3, (1,) * 3, False)
