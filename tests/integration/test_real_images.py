"""Every method learns on real photographs, through tools/train.py."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tests.config_building import CONFIGS, ROOT

# part of a debug config's name: losses that must fall, losses that must be finite
METHODS = {
    '/amt_': (['loss'], []),
    '/gpa_': (['loss'], []),
    '/gpa-cached_': (['loss'], []),
    # its debug teacher is random: there is nothing to learn about its score
    '/gpa-feature_': (['loss'], ['loss_attention']),
    '/hpm_': (['loss'], ['loss_prediction']),
    '/lut_': (['loss', 'loss_context'], []),
}
EPOCHS = 6


def train(name, work_dir, data_root):
    """Train a debug config for 36 steps; return what it logged."""
    command = [sys.executable, str(ROOT / 'tools' / 'train.py'), str(ROOT / name)]
    command += ['--work-dir', str(work_dir), '--cfg-options']
    command += [
        f'train_dataloader.dataset.data_root={data_root}',
        'train_dataloader.dataset.indices=96',
        'train_dataloader.batch_size=16',
        f'train_cfg.max_epochs={EPOCHS}',
        f'param_scheduler.1.T_max={EPOCHS - 1}',
        f'param_scheduler.1.end={EPOCHS}',
        'optim_wrapper.optimizer.lr=1e-3',
        'randomness.seed=0',
    ]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get('PYTHONPATH')]))
    run = subprocess.run(
        command,
        cwd=work_dir.parent,
        env={**os.environ, 'PYTHONPATH': path, 'CUDA_VISIBLE_DEVICES': ''},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]


@pytest.mark.parametrize('method', METHODS)
def test_losses_fall(method, data_folder, tmp_path):
    (name,) = [c for c in CONFIGS if method in c and c.endswith('_debug.py')]
    folder = data_folder / 'imagenet_sample' / 'train'
    rows = train(name, tmp_path / 'work_dir', folder)
    assert len(rows) == 6 * EPOCHS
    falling, finite = METHODS[method]
    for loss in falling + finite:
        values = np.array([row[loss] for row in rows])
        assert np.isfinite(values).all(), loss
        if loss in falling:
            assert values[-6:].mean() < 0.95 * values[:6].mean(), loss
