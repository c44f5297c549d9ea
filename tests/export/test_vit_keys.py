"""Weights of other projects: renamed, matched, and never code."""

import argparse
import os
import pickle

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer
from torch import nn

from mmattmask.export import load_matched, read_state_dict, to_mmpretrain_vit
from mmattmask.safe_globals import safe_globals

ARCH = dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16)
OFFICIAL = {
    '.ffn.layers.0.0.': '.mlp.fc1.',
    '.ffn.layers.1.': '.mlp.fc2.',
    'layers.': 'blocks.',
    'patch_embed.projection': 'patch_embed.proj',
    '.ln1.': '.norm1.',
    '.ln2.': '.norm2.',
}


def vit():
    return VisionTransformer(arch=ARCH, img_size=16, patch_size=8)


def official(state):
    """Return the weights under timm's names."""
    renamed = {}
    for name, value in state.items():
        if name.startswith('ln1.'):
            name = 'norm.' + name.removeprefix('ln1.')
        for ours, theirs in OFFICIAL.items():
            name = name.replace(ours, theirs)
        renamed[name] = value
    return renamed


LAYOUTS = {
    'mmpretrain backbone': lambda state: state,
    'mmpretrain model': lambda state: {
        'state_dict': {f'backbone.{k}': v for k, v in state.items()}
        | {'neck.weight': torch.zeros(1)}
    },
    'mae': lambda state: {'model': official(state) | {'mask_token': torch.zeros(1)}},
    'ibot': lambda state: {
        'student': {'module.backbone.x': torch.zeros(1)},
        'teacher': {f'backbone.{k}': v for k, v in official(state).items()}
        | {'head.mlp.0.weight': torch.zeros(1)},
        'args': argparse.Namespace(arch='vit_small'),
        'epoch': 3,
    },
    'distributed': lambda state: {
        'student': {f'module.backbone.{k}': v for k, v in official(state).items()}
    },
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_every_layout_gives_the_same_weights(tmp_path, layout):
    source, target = vit(), vit()
    path = tmp_path / 'weights.pth'
    torch.save(LAYOUTS[layout](source.state_dict()), path)
    report = load_matched(target, to_mmpretrain_vit(read_state_dict(path)), path)
    count = len(source.state_dict())
    assert report == f'matched {count}/{count} weights of {path}'
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def test_reading_leaves_the_allow_list_as_it_was(tmp_path):
    path = tmp_path / 'weights.pth'
    torch.save({'model': vit().state_dict()}, path)
    entries = safe_globals()[:1]
    torch.serialization.add_safe_globals(entries)
    before = torch.serialization.get_safe_globals()
    read_state_dict(path)
    after = torch.serialization.get_safe_globals()
    assert set(map(str, after)) == set(map(str, before))


def test_safetensors(tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    source, target = vit(), vit()
    path = tmp_path / 'weights.safetensors'
    save_file(official(source.state_dict()), path)
    load_matched(target, to_mmpretrain_vit(read_state_dict(path)), path)
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def test_nothing_matches(tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(nn.Linear(2, 2).state_dict(), path)
    with pytest.raises(ValueError, match=r'matched 0/\d+ .*missing cls_token.*weight'):
        load_matched(vit(), to_mmpretrain_vit(read_state_dict(path)), path)


def test_another_architecture_names_the_missing(tmp_path):
    deeper = MODELS.build(
        dict(
            type='mmpretrain.VisionTransformer',
            arch={**ARCH, 'num_layers': 3},
            img_size=16,
            patch_size=8,
        )
    )
    with pytest.raises(ValueError, match=r'missing layers\.2\.ln1'):
        load_matched(deeper, vit().state_dict(), 'a file')


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    path, trace = tmp_path / 'bad.pth', tmp_path / 'was_here'
    torch.save({'model': vit().state_dict(), 'extra': Malicious(str(trace))}, path)
    with pytest.raises(ValueError, match='holds more than weights'):
        read_state_dict(path)
    path.write_bytes(pickle.dumps(Malicious(str(trace))))
    with pytest.raises(ValueError, match='nothing of it was run'):
        read_state_dict(path)
    assert not trace.exists()


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match='there is no checkpoint'):
        read_state_dict(tmp_path / 'missing.pth')
    path = tmp_path / 'cut.pth'
    torch.save(vit().state_dict(), path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match='damaged'):
        read_state_dict(path)
    torch.save({'epoch': 3}, path)
    with pytest.raises(ValueError, match='holds no weights'):
        read_state_dict(path)


def test_weights_of_another_shape_are_named_with_both_shapes():
    module = torch.nn.Linear(2, 3)
    state = {'weight': torch.zeros(3, 4), 'bias': torch.zeros(3)}
    with pytest.raises(
        ValueError, match=r'FILE .* weight \(3, 4\) instead of \(3, 2\)'
    ):
        load_matched(module, state, 'FILE')


def test_position_embeddings_of_another_image_size_are_resized():
    arch = dict(embed_dims=12, num_layers=1, num_heads=2, feedforward_channels=12)
    small, large = (
        VisionTransformer(arch=arch, img_size=size, patch_size=4) for size in (16, 24)
    )
    assert 'matched' in load_matched(large, small.state_dict(), 'FILE')
    assert torch.equal(large.ln1.weight, small.ln1.weight)
