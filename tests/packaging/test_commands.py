"""The command, tools/ and mim, as typed by a user: from any folder."""

import importlib.metadata
import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from .conftest import run

CONFIG = """
_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py'
model = dict(
    type='mmattmask.GuidedMAE',
    backbone=dict(type='mmattmask.GuidedMAEViT', arch='deit-tiny', img_size=32),
    neck=dict(
        type='mmattmask.GuidedMAEDecoder',
        embed_dim=192,
        decoder_embed_dim=32,
        decoder_depth=1,
        decoder_num_heads=2,
    ),
    mask_generator=dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='mmattmask.RandomResizedCrop', scale=32),
    dict(type='mmattmask.PackInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    collate_fn=dict(_delete_=True, type='default_collate'),
    dataset=dict(
        _delete_=True,
        type='CustomDataset',
        data_root='images',
        with_label=False,
        pipeline=train_pipeline,
    ),
)
train_cfg = dict(max_epochs=1)
"""
FULL_PRECISION = """
optim_wrapper = dict(
    _delete_=True, type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4)
)
train_dataloader = dict(persistent_workers=False)
"""
# One interpreter after the other imports the same for seconds.
IN_ONE_PROCESS = """
import json, runpy, sys
for sys.argv in json.loads(sys.argv[1]):
    print('<next>', flush=True)
    try:
        runpy.run_path(sys.argv[0], run_name='__main__')
    except SystemExit as end:
        if end.code:
            raise
"""
MIM = {
    name
    for name in ('openmim', 'onedl-mim')
    if any(d.metadata['Name'] == name for d in importlib.metadata.distributions())
}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A user's folder: four images and two configs."""
    images = tmp_path / 'images'
    images.mkdir()
    draw = np.random.default_rng(0)
    for index in range(4):
        pixels = draw.integers(0, 255, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f'{index}.png')
    tmp_path.joinpath('amp.py').write_text(CONFIG)
    tmp_path.joinpath('plain.py').write_text("_base_ = './amp.py'" + FULL_PRECISION)
    return tmp_path


def run_scripts(python, *commands, cwd) -> list[str]:
    """Run scripts one after the other; return what each printed."""
    words = json.dumps([[str(word) for word in command] for command in commands])
    return run(python, '-c', IN_ONE_PROCESS, words, cwd=cwd).split('<next>\n')[1:]


def test_train_tool_trains_and_resumes(wheel_python, project, folder):
    train = (project / 'tools' / 'train.py', 'amp.py')
    longer = ('--resume', '--cfg-options', 'train_cfg.max_epochs=2')
    first, again = run_scripts(wheel_python, train, (*train, *longer), cwd=folder)
    warnings = [line for line in first.splitlines() if 'AmpOptimWrapper needs' in line]
    assert len(warnings) == (0 if torch.cuda.is_available() else 1)
    assert (folder / 'work_dirs' / 'amp' / 'epoch_1.pth').is_file()
    assert 'resumed epoch: 1' in again
    assert 'Falling back to weights_only=False' not in again
    assert (folder / 'work_dirs' / 'amp' / 'epoch_2.pth').is_file()


def test_the_wheel_is_enough(wheel_python, folder):
    """No clone: a shipped config by its name, trained, resumed and measured."""
    command = wheel_python.parent / 'mmattmask'
    config = 'mmattmask::amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    options = ('--cfg-options', 'train_dataloader.dataset.data_root=images')
    for place in ('train/a', 'train/b', 'val/a', 'val/b'):
        shutil.copytree(folder / 'images', folder / place)
    timm = ('--to', 'timm', '--out', 'vit.safetensors')
    classes = ('--train', 'train', '--val', 'val', '--k', 1)
    checked, _, measured, _, drawn = run_scripts(
        wheel_python,
        (command, 'check', config, *options),
        (command, 'train', config, '--work-dir', 'out', *options),
        (command, 'knn', config, 'out/epoch_2.pth', *classes),
        (command, 'convert', 'out/epoch_2.pth', *timm),
        (command, 'visualize', config, 'out/epoch_2.pth', 'images'),
        cwd=folder,
    )
    assert 'problems: 0' in checked
    assert 'top-1' in measured
    assert '4 images in' in drawn


def free_port() -> int:
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return free.getsockname()[1]


def test_two_processes_train(wheel_python, project, folder):
    path = f'{wheel_python.parent}{os.pathsep}{os.environ["PATH"]}'
    run(
        *('bash', project / 'tools' / 'dist_train.sh', 'plain.py', 2),
        *('--work-dir', 'two', '--cfg-options', 'train_dataloader.batch_size=1'),
        cwd=folder,
        PATH=path,
        PORT=str(free_port()),
        CUDA_VISIBLE_DEVICES='',
    )
    log = next((folder / 'two').glob('*/*.log')).read_text()
    assert '[1][2/2]' in log
    assert (folder / 'two' / 'epoch_1.pth').is_file()


@pytest.mark.skipif(not MIM, reason='mim is not installed')
def test_mim_trains_our_config_as_one_of_mmpretrain(wheel_python, folder):
    run(
        *(wheel_python, '-m', 'mim', 'train', 'mmpretrain', 'plain.py', '--gpus', 0),
        *('--work-dir', 'out'),
        cwd=folder,
    )
    assert (folder / 'out' / 'epoch_1.pth').is_file()


@pytest.mark.skipif(
    'openmim' not in MIM,
    reason='onedl-mim 0.5.1 takes the dist-info folder of a wheel for its package',
)
def test_mim_finds_our_configs_by_name(wheel_python, folder):
    run(
        *(wheel_python, '-m', 'mim', 'train', 'mmattmask'),
        *('amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py', '--gpus', 0),
        *('--work-dir', 'out', '--cfg-options'),
        'train_dataloader.dataset.data_root=images',
        cwd=folder,
    )
    assert (folder / 'out' / 'epoch_2.pth').is_file()


@pytest.mark.skipif(
    'onedl-mim' not in MIM, reason='openmim does not find editable installations'
)
def test_mim_runs_our_tool_of_an_editable_installation(editable_python, folder):
    run(
        *(editable_python, '-m', 'mim', 'train', 'mmattmask', 'amp.py', '--gpus', 0),
        *('--work-dir', 'out'),
        cwd=folder,
    )
    assert (folder / 'out' / 'epoch_1.pth').is_file()


def test_tools_print_their_flags(wheel_python, project, tmp_path):
    flags = {
        'train.py': (
            '--work-dir --resume --amp --no-validate --auto-scale-lr --no-pin-memory '
            '--no-persistent-workers --cfg-options --launcher'
        ),
        'test.py': (
            '--work-dir --out --out-item --cfg-options --amp --show-dir --show '
            '--interval --wait-time --no-pin-memory --tta --launcher'
        ),
    }
    commands = [(project / 'tools' / tool, '--help') for tool in flags]
    texts = run_scripts(wheel_python, *commands, cwd=tmp_path)
    for text, expected in zip(texts, flags.values(), strict=True):
        assert [flag for flag in expected.split() if flag not in text] == []
