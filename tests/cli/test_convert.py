"""mmattmask convert as a user runs it, in this process."""

import pytest
import torch

from tests.command_line import mmattmask

from ..export.tiny_vits import load, save, vit


@pytest.fixture
def checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    student, teacher = vit(0).state_dict(), vit(1).state_dict()
    others = {f'teacher.backbone.{name}': value for name, value in teacher.items()}
    save(student, tmp_path / 'x.pth', **others, **{'neck.mask_token': torch.ones(1)})
    return tmp_path


def test_list(checkpoint):
    lines = mmattmask('convert', 'x.pth', '--list').splitlines()
    assert {
        'depth: 2',
        'width: 24',
        'patch size: 8 x 8',
        'heads: not in the weights',
        'also in the file: 30 of teacher, 1 of decoder',
        'networks (--key): teacher',
    } <= set(lines)


def test_a_network_is_converted_and_the_report_says_what(checkpoint):
    out = ('--to', 'timm', '--out', 'o.safetensors')
    text = mmattmask('convert', 'x.pth', *out, '--key', 'teacher')
    assert text == (
        "x.pth: mmattmask or MMPretrain, MMPretrain's names\n"
        "o.safetensors: timm's VisionTransformer, or Beit, 30 tensors\n"
        'left out: nothing\n'
    )
    expected = vit(1).state_dict()['ln1.weight']
    assert torch.equal(load(checkpoint / 'o.safetensors')['norm.weight'], expected)


def test_a_folder_for_hugging_face(checkpoint):
    sizes = ['--grid', '4', '6', '--num-heads', '2']
    mmattmask('convert', 'x.pth', '--to', 'hf', '--out', 'model', *sizes)
    assert (checkpoint / 'model' / 'config.json').is_file()
    assert (checkpoint / 'model' / 'model.safetensors').is_file()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ('nothing.pth --list', 'error: there is no checkpoint nothing.pth'),
        ('x.pth --to timm --out x.pth', 'x.pth is there already: --force'),
        ('x.pth --to timm --out x.pth --force', 'is the checkpoint itself'),
        ('x.pth --to hf --out y', r'give num_heads \(--num-heads\)'),
        ('x.pth --to timm', 'give --to and --out, or --list'),
    ],
)
def test_mistakes_end_in_one_line(checkpoint, arguments, message):
    with pytest.raises(SystemExit, match=message):
        mmattmask('convert', *arguments.split())
