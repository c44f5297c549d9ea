"""One network of several; and an output that is whole or not there."""

import argparse
import hashlib
import os
import stat

import pytest
import torch
from safetensors import safe_open

from mmattmask.export import convert_checkpoint

from .tiny_vits import load, prefixed, save, simmim_vit, timm_names, vit

HF = dict(num_heads=2, grid=(4, 6))


@pytest.mark.parametrize('net', [None, 'teacher', 'student'])
def test_networks_of_official_ibot(tmp_path, net):
    student, teacher = vit(0), vit(1)
    content = {
        'student': prefixed('module.backbone.', timm_names(student.state_dict()))
        | {'module.backbone.masked_embed': torch.ones(1, 24)},
        'teacher': prefixed('backbone.', timm_names(teacher.state_dict()))
        | {'head.last_layer.weight_v': torch.ones(3, 2)},
        'args': argparse.Namespace(arch='vit_tiny'),
        'ibot_loss': {'center': torch.ones(1, 3)},
    }
    torch.save(content, tmp_path / 'official.pth')
    report = convert_checkpoint(
        tmp_path / 'official.pth', 'mmpretrain', tmp_path / 'o.pth', key=net, prefix=''
    )
    assert report.kind == 'timm'
    expected = {'mask token': 1} if net == 'student' else {'head': 1}
    assert report.left_out == expected
    assert ('student, teacher: --key' in str(report)) == (net is None)
    state = load(tmp_path / 'o.pth')['state_dict']
    model = student if net == 'student' else teacher
    assert all(torch.equal(state[n], v) for n, v in model.state_dict().items())


def test_networks_of_our_ibot(tmp_path):
    """Of iBOT the teacher, as its authors; of other hosts with teachers the student."""
    student, teacher = vit(0).state_dict(), vit(1).state_dict()
    others = {f'teacher.backbone.{name}': value for name, value in teacher.items()}
    path = save(student, tmp_path / 'lut.pth', **others)
    report = convert_checkpoint(path, 'timm', tmp_path / 's.safetensors')
    assert report.left_out == {'teacher': len(teacher)}
    assert 'note: networks in the file are teacher: --key' in str(report)
    others['teacher.head.mlp.0.bias'] = torch.ones(3)
    path = save(student, tmp_path / 'x.pth', **others)
    report = convert_checkpoint(path, 'timm', tmp_path / 't.safetensors')
    assert report.left_out == {'head': 1}
    note = 'this is its teacher, networks in the file are student, teacher: --key'
    assert note in str(report)
    out = tmp_path / 's.safetensors'
    convert_checkpoint(path, 'timm', out, key='student', force=True)
    for name, state in dict(s=student, t=teacher).items():
        found = load(tmp_path / f'{name}.safetensors')
        assert torch.equal(found['norm.bias'], state['ln1.bias'])
    with pytest.raises(ValueError, match=r"called 'ema'; it has .*teacher"):
        convert_checkpoint(path, 'timm', tmp_path / 'e.safetensors', key='ema')


def test_prefix_and_metadata(tmp_path):
    path = save(vit().state_dict(), tmp_path / 'x.pth')
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    convert_checkpoint(path, 'mmpretrain', tmp_path / 'a.pth')
    content = load(tmp_path / 'a.pth')
    assert all(name.startswith('backbone.') for name in content['state_dict'])
    assert content['meta']['sha256'] == digest
    convert_checkpoint(path, 'timm', tmp_path / 'b.safetensors', prefix='encoder.')
    assert 'encoder.blocks.0.norm1.bias' in load(tmp_path / 'b.safetensors')
    with safe_open(tmp_path / 'b.safetensors', 'pt') as file:
        metadata = file.metadata()
    assert metadata['source'] == 'x.pth'
    assert (metadata['sha256'], metadata['kind']) == (digest, 'mmpretrain')
    assert (metadata['format'], metadata['target']) == ('pt', 'timm')


def test_no_storage_is_written_that_is_not_converted(tmp_path):
    """Queries are a third of a tensor; torch.save would write all of it."""
    path = save(simmim_vit().state_dict(), tmp_path / 'x.pth')
    convert_checkpoint(path, 'timm', tmp_path / 'o.pth')
    state = load(tmp_path / 'o.pth')
    bias = state['blocks.0.attn.q_bias']
    assert bias.untyped_storage().nbytes() == bias.nbytes


def test_an_output_is_whole_or_not_there(tmp_path, monkeypatch):
    path = save(vit().state_dict(), tmp_path / 'x.pth')
    out = tmp_path / 'o.pth'
    out.write_text('mine')
    with pytest.raises(FileExistsError, match='--force'):
        convert_checkpoint(path, 'timm', out)
    assert out.read_text() == 'mine'

    def full_disk(content, file):
        file.write_text('half')
        raise OSError('no space left')

    with monkeypatch.context() as patch:
        patch.setattr(torch, 'save', full_disk)
        with pytest.raises(OSError, match='no space left'):
            convert_checkpoint(path, 'timm', out, force=True)
    assert out.read_text() == 'mine'
    assert sorted(p.name for p in tmp_path.iterdir()) == ['o.pth', 'x.pth']
    convert_checkpoint(path, 'timm', out, force=True)
    assert 'norm.bias' in load(out)
    with pytest.raises(FileExistsError, match='the checkpoint itself'):
        convert_checkpoint(path, 'timm', path, force=True)


def test_a_folder_is_whole_or_not_there(tmp_path):
    path = save(vit().state_dict(), tmp_path / 'x.pth')
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match=r'4 x 4 does not have 24 patches'):
        convert_checkpoint(path, 'hf', out, num_heads=2)
    assert not out.exists()
    convert_checkpoint(path, 'hf', out, **HF)
    out.joinpath('README.md').write_text('mine')
    with pytest.raises(FileExistsError, match='--force'):
        convert_checkpoint(path, 'hf', out, **HF)
    convert_checkpoint(path, 'hf', out, force=True, **HF)
    names = ['README.md', 'config.json', 'model.safetensors']
    assert sorted(p.name for p in out.iterdir()) == names
    assert sorted(p.name for p in tmp_path.iterdir()) == ['out', 'x.pth']


def test_outputs_that_cannot_be(tmp_path):
    path = save(vit().state_dict(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match="no target 'jax'; there are mmpretrain"):
        convert_checkpoint(path, 'jax', tmp_path / 'o.pth')
    with pytest.raises(ValueError, match=r'timm needs a file in \.pth'):
        convert_checkpoint(path, 'timm', tmp_path / 'o.onnx')
    with pytest.raises(ValueError, match='hf needs a folder'):
        convert_checkpoint(path, 'hf', tmp_path / 'o.safetensors')
    with pytest.raises(ValueError, match='width 24 cannot be None: give num_heads'):
        convert_checkpoint(path, 'hf', tmp_path / 'o', grid=(4, 6))


@pytest.mark.parametrize(
    ('to', 'out'), [('timm', 'o.safetensors'), ('timm', 'o.pth'), ('hf', 'model')]
)
def test_folders_are_made_and_files_are_for_whom_the_umask_says(tmp_path, to, out):
    path = save(vit().state_dict(), tmp_path / 'x.pth')
    out = tmp_path / 'not' / 'there' / out
    umask = os.umask(0o027)
    try:
        convert_checkpoint(path, to, out, **(HF if to == 'hf' else {}))
    finally:
        os.umask(umask)
    files = sorted(out.iterdir()) if to == 'hf' else [out]
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o640] * len(files)
