"""One debug pre-training, for all that a checkpoint is carried to; how it is tested."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from tests.config_building import ROOT, write_images
from tests.train_tool import train


@pytest.fixture(scope='session')
def pre_trained(tmp_path_factory):
    """The checkpoint of a debug pre-training, made once."""
    folder = tmp_path_factory.mktemp('pre_training')
    write_images(folder / 'images' / 'nested', 8)
    root = f'train_dataloader.dataset.data_root={folder / "images"}'
    name = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
    train(name, folder / 'work_dir', root)
    return folder / 'work_dir' / 'epoch_2.pth'


def train_with_own_tool(package, name, folder, *options):
    """Run the training tool of another project; return what it logged."""
    tool = Path(package.__file__).parent / '.mim' / 'tools' / 'train.py'
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    command = [sys.executable, str(tool), str(ROOT / name), '--work-dir', 'work']
    environment = dict(PYTHONPATH=path, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1')
    run = subprocess.run(
        [*command, '--cfg-options', *options],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    (scalars,) = (folder / 'work').glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]


def groups_of(cfg, model):
    """Return the optimizer's groups of a config, without AMP."""
    options = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    options.pop('loss_scale', None)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return build_optim_wrapper(model, options).optimizer.param_groups


def assert_layer_decay(model, groups, rate, decay, spared=('cls_token', 'pos_embed')):
    """MAE's and BEiT's rule of 12 blocks; spared names have no weight decay."""
    found = {id(p): group for group in groups for p in group['params']}
    assert len(found) == len(list(model.parameters()))
    for key, value in model.named_parameters():
        layer = 13  # above the blocks
        if re.match(r'backbone\.(cls_token|pos_embed|patch_embed)', key):
            layer = 0
        elif block := re.match(r'backbone\.layers\.(\d+)\.', key):
            layer = int(block.group(1)) + 1
        group = found[id(value)]
        assert group['lr'] == pytest.approx(rate * decay ** (13 - layer)), key
        is_spared = value.ndim == 1 or key.endswith(tuple(spared))
        assert group['weight_decay'] == (0.0 if is_spared else 0.05), key
