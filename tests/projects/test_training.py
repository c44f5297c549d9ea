"""Exported projects train without mmattmask, and exactly as it does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config, DictAction
from mmengine.runner import Runner

from projects.configs import CONFIGS
from projects.manifest import NAMES, load

from . import recorder

SCRIPT = Path(__file__).with_name('without_mmattmask.py')
# AMT's second step, after the refresh, is the first that attention guides.
STEPS = 2
DEBUG = {
    name: [config for config in load(name).resolved if config.endswith('_debug.py')]
    for name in NAMES
}


def environment(target):
    """Environment of a user of MMPretrain: only the clone is on the path."""
    kept = {name: os.environ[name] for name in ('PATH', 'HOME') if name in os.environ}
    quiet = {'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    return {**kept, **quiet, 'PYTHONPATH': str(target)}


def run_outside(target, out, project, options):
    """Train the project's debug configs without mmattmask; return their steps."""
    folder = target / 'projects' / project
    configs = [folder / 'configs' / Path(name).name for name in DEBUG[project]]
    done = subprocess.run(
        [sys.executable, SCRIPT, folder, out, *configs, '--', *options],
        cwd=out,
        env=environment(target),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ' passed' in done.stdout
    return torch.load(out / 'steps.pth', weights_only=True)


def run_here(name, out, options):
    """Train a config of mmattmask in this process; return its steps."""
    config = Config.fromfile(CONFIGS / name)
    config.merge_from_dict(
        {
            key: DictAction._parse_int_float_bool(value)
            for key, value in (option.split('=', 1) for option in options)
        }
    )
    config.work_dir = str(out)
    return recorder.train(Runner.from_cfg(config))


@pytest.mark.parametrize('project', NAMES)
def test_trains_as_mmattmask_does(exported, images, tmp_path, project):
    options = [f'train_dataloader.dataset.data_root={images}']
    theirs = run_outside(exported, tmp_path, project, options)
    assert len(theirs) == len(DEBUG[project]) > 0
    for name in DEBUG[project]:
        ours = run_here(name, tmp_path / 'ours' / Path(name).stem, options)
        other = theirs[Path(name).name]
        assert len(ours['losses']) == STEPS
        assert other['losses'] == ours['losses']
        assert len(ours['masks']) >= STEPS
        torch.testing.assert_close(other['masks'], ours['masks'], rtol=0, atol=0)
        assert other['weights'].keys() == ours['weights'].keys()
        for key, value in ours['weights'].items():
            assert torch.equal(other['weights'][key], value), key


def test_mmattmask_cannot_be_imported_there(tmp_path):
    code = 'import without_mmattmask, mmattmask.masking'
    done = subprocess.run(
        [sys.executable, '-c', code],
        env=environment(SCRIPT.parent),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert 'mmattmask is blocked' in done.stderr
