"""Official iBOT checkpoints, whole or in part, in and out."""

import argparse

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmattmask.export import from_official_ibot, load_official_ibot, to_official_ibot

ARCH = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=24)
OFFICIAL_HEAD = {
    *(f'mlp.{layer}.{kind}' for layer in (0, 2, 4) for kind in ('weight', 'bias')),
    *(f'last_layer{n}.weight_{part}' for n in ('', '2') for part in 'gv'),
}


def ibot(seed, own=None, layers=2, num_layers=3):
    """A model with random weights, another teacher and moved centres."""
    torch.manual_seed(seed)
    model = MODELS.build(
        dict(
            type='mmattmask.IBOT',
            backbone=dict(
                type='mmattmask.IBOTViT',
                arch={**ARCH, 'num_layers': layers},
                img_size=16,
                patch_size=8,
            ),
            head=dict(
                type='mmattmask.IBOTHead',
                out_channels=10,
                patch_out_channels=own,
                hid_channels=16,
                bottleneck_channels=8,
                num_layers=num_layers,
                norm_last_layer=False,
            ),
            mask_generator=dict(type='mmattmask.IBOTMaskGenerator'),
        )
    )
    for value in model.state_dict().values():
        nn.init.normal_(value)
    return model


def whole_checkpoint(model):
    """What the official training scripts save."""
    optimizer = torch.optim.AdamW(model.backbone.parameters())
    return {
        **to_official_ibot(model.state_dict()),
        'optimizer': optimizer.state_dict(),
        'epoch': 100,
        'args': argparse.Namespace(arch='vit_small', lr=5e-4),
        'fp16_scaler': {'scale': 1024.0, 'growth_factor': 2.0},
    }


def assert_equal_states(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize('num_layers', [3, 1])
@pytest.mark.parametrize('own', [None, 7])
def test_a_whole_checkpoint_and_back(tmp_path, own, num_layers):
    source, target = ibot(0, own, num_layers=num_layers), ibot(1, own, 2, num_layers)
    path = tmp_path / 'checkpoint.pth'
    torch.save(whole_checkpoint(source), path)
    count = len(source.state_dict())
    assert (
        load_official_ibot(target, path) == f'matched {count}/{count} weights of {path}'
    )
    assert_equal_states(target.state_dict(), source.state_dict())
    content = to_official_ibot(source.state_dict())
    assert_equal_states(from_official_ibot(content), source.state_dict())


@pytest.mark.parametrize('own', [None, 7])
def test_official_names_and_shapes(own):
    content = to_official_ibot(ibot(0, own).state_dict())
    assert set(content) == {'student', 'teacher', 'ibot_loss'}
    student, teacher = content['student'], content['teacher']
    assert all(name.startswith('module.') for name in student)
    assert student['module.backbone.masked_embed'].shape == (1, 12)
    assert 'backbone.masked_embed' not in teacher
    assert {f'module.{name}' for name in teacher} | {
        'module.backbone.masked_embed'
    } == set(student)
    head = {k.removeprefix('head.') for k in teacher if k.startswith('head.')}
    assert head == OFFICIAL_HEAD
    assert {
        'backbone.cls_token',
        'backbone.pos_embed',
        'backbone.patch_embed.proj.weight',
        'backbone.blocks.1.norm2.bias',
        'backbone.blocks.0.attn.qkv.weight',
        'backbone.blocks.0.mlp.fc1.weight',
        'backbone.blocks.0.mlp.fc2.bias',
        'backbone.norm.weight',
    } <= set(teacher)
    assert teacher['head.last_layer.weight_g'].shape == (10, 1)
    assert teacher['head.last_layer2.weight_v'].shape == (own or 10, 8)
    first, second = (teacher[f'head.last_layer{n}.weight_v'] for n in ('', '2'))
    assert torch.equal(first, second) == (own is None)
    assert content['ibot_loss']['center'].shape == (1, 10)
    assert content['ibot_loss']['center2'].shape == (1, 1, own or 10)


@pytest.mark.parametrize('net', ['teacher', 'student'])
def test_a_backbone_alone_goes_to_student_and_teacher(tmp_path, net):
    source, target = ibot(0), ibot(1)
    weights = to_official_ibot(source.state_dict())[net]
    weights = {k.removeprefix('module.'): w for k, w in weights.items()}
    start = 'backbone.'
    weights = {k.removeprefix(start): w for k, w in weights.items() if start in k}
    path = tmp_path / 'backbone.pth'
    torch.save({'state_dict': weights}, path)
    before = {k: v.clone() for k, v in target.state_dict().items()}
    count = len(target.backbone.state_dict())
    found = count - (net == 'teacher')  # which has no mask token
    expected = f'matched {found}/{count} weights of {path}'
    assert load_official_ibot(target, path) == expected
    state = source.backbone if net == 'student' else source.teacher['backbone']
    for name, value in state.state_dict().items():
        assert torch.equal(target.backbone.state_dict()[name], value), name
        if name != 'mask_token':
            assert torch.equal(target.teacher['backbone'].state_dict()[name], value)
    for name, value in target.state_dict().items():
        if 'backbone.' not in name:
            assert torch.equal(value, before[name]), name


def test_a_student_alone_is_its_own_teacher(tmp_path):
    source, target = ibot(0), ibot(1)
    content = to_official_ibot(source.state_dict())
    del content['teacher']
    torch.save(content, tmp_path / 'student.pth')
    load_official_ibot(target, tmp_path / 'student.pth')
    for name, value in target.teacher.state_dict().items():
        assert torch.equal(value, source.state_dict()[name]), name


def test_other_models_are_refused(tmp_path):
    path = tmp_path / 'checkpoint.pth'
    torch.save(whole_checkpoint(ibot(0)), path)
    with pytest.raises(
        ValueError, match=r'matched \d+/\d+ weights; missing .*layers\.2'
    ):
        load_official_ibot(ibot(1, layers=3), path)
    # of another shape: load_matched leaves that to torch
    with pytest.raises((ValueError, RuntimeError), match='patch_center'):
        load_official_ibot(ibot(1, own=7), path)
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ValueError, match=r'matched 0/\d+ weights; missing'):
        load_official_ibot(ibot(1), path)
    torch.save({'epoch': 3}, path)
    with pytest.raises(ValueError, match=r'matched 0/\d+ weights; missing'):
        load_official_ibot(ibot(1), path)


def test_damaged_and_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        load_official_ibot(ibot(0), tmp_path / 'missing.pth')
    path = tmp_path / 'cut.pth'
    torch.save(whole_checkpoint(ibot(0)), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match='damaged'):
        load_official_ibot(ibot(0), path)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path = tmp_path / 'bad.pth'
    torch.save({'teacher': {}, 'args': pytest.main}, path)
    with pytest.raises(ValueError, match='holds more than weights'):
        load_official_ibot(ibot(0), path)
