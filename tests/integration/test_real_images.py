"""Methods and hosts learn on real photographs, through tools/train.py."""

import re
from pathlib import Path

import numpy as np
import pytest

from tests.config_building import CONFIGS, load
from tests.train_tool import train

# The loss of a student whose teacher is itself, on the move, need not fall in 36 steps.
SELF_DISTILLED = r'configs/(ibot/|attmask/|policies/mst)'
# Whose masks a MAE has does not change whether it learns; AdaMAE's sampler has a loss.
SAME_HOST = r'configs/policies/(?!adamae)'
DEBUG_CONFIGS = {
    '/'.join((Path(name).parent.name, Path(name).name.split('_1xb')[0])): name
    for name in CONFIGS
    if name.endswith('_debug.py')
    and not re.match(f'{SELF_DISTILLED}|{SAME_HOST}', name)
}
# losses that must fall, losses that must be finite; of all others `loss` must fall
LOSSES = {
    # its debug teacher is random: there is nothing to learn about its score
    'gpa/gpa-feature_vit-tiny-p8': (['loss'], ['loss_attention']),
    'policies/adamae_vit-tiny-p8': (['loss'], ['loss_sampling']),
    'hpm/hpm_vit-tiny-p8': (['loss'], ['loss_prediction']),
    'lut/lut_vit-tiny-p8': (['loss', 'loss_context'], []),
    'hosts/beitv2-am_beit-tiny-p8': (['loss_1', 'loss_2'], []),
    'hosts/cae-gpa_beit-tiny-p8': (['main', 'align'], []),
}
EPOCHS = 6


def longer(name):
    """Return options that stretch a debug config's two epochs, refreshed twice."""
    options, cfg = ['default_hooks.checkpoint.save_optimizer=False'], load(name)
    options += [f'default_hooks.checkpoint.interval={EPOCHS}']
    for index, hook in enumerate(cfg.get('custom_hooks') or []):
        if hook['type'].endswith('AttentionRefreshHook'):
            options.append(f'custom_hooks.{index}.interval={EPOCHS // 2}')
    for index, scheduler in enumerate(cfg.param_scheduler):
        if scheduler.get('end') == 2:
            options.append(f'param_scheduler.{index}.end={EPOCHS}')
            if 'T_max' in scheduler:
                length = EPOCHS - scheduler.begin
                options.append(f'param_scheduler.{index}.T_max={length}')
    return [f'train_cfg.max_epochs={EPOCHS}', *options]


def test_every_exception_is_a_config():
    assert LOSSES.keys() <= DEBUG_CONFIGS.keys()


@pytest.mark.parametrize('method', DEBUG_CONFIGS)
def test_losses_fall(method, data_folder, tmp_path):
    name = DEBUG_CONFIGS[method]
    images = data_folder / 'imagenet_sample/train'
    rows = train(
        name,
        tmp_path / 'work_dir',
        f'train_dataloader.dataset.data_root={images}',
        'train_dataloader.dataset.indices=48',
        'train_dataloader.batch_size=8',
        'optim_wrapper.optimizer.lr=1e-3',
        'randomness.seed=0',
        *longer(name),
    )
    assert len(rows) == 6 * EPOCHS
    falling, finite = LOSSES.get(method, (['loss'], []))
    for loss in falling + finite:
        values = np.array([row[loss] for row in rows])
        assert np.isfinite(values).all(), loss
        if loss in falling:
            first, last = values[:6].mean(), values[-6:].mean()
            assert last < 0.95 * first, loss
