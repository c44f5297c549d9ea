"""What changes during a run: learning rate and weight decay."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope

STEPS_PER_EPOCH = 20


def learning_rates(
    cfg: Config, total: int, unit: str, times: Sequence[int]
) -> list[tuple[float, float]]:
    """Return learning rate and weight decay at the start of epochs.

    Schedules are run with a few steps per epoch: schedules converted to iterations
    agree with those of the run up to a part of an epoch.

    Args:
        cfg: The config, with one optimizer.
        total: Length of the run.
        unit: ``'epoch'`` or ``'iter'``.
        times: Epochs or iterations, from 0.

    Returns:
        (lr, weight decay) for each time.
    """
    options = cfg.optim_wrapper.optimizer
    parameter = torch.zeros(1, requires_grad=True)
    optimizer = torch.optim.SGD(
        [parameter], lr=options.lr, weight_decay=options.get('weight_decay', 0.0)
    )
    steps = STEPS_PER_EPOCH if unit == 'epoch' else 1
    schedulers = _schedulers(cfg, optimizer, steps, total)
    group, found = optimizer.param_groups[0], {}
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # the optimizer makes no steps
        for step in range(total * steps):
            time, within = divmod(step, steps)
            if within == 0 and time in times:
                found[time] = (group['lr'], group['weight_decay'])
            for scheduler in schedulers:
                if not scheduler.by_epoch or within == steps - 1:
                    scheduler.step()
    return [found.get(time, (group['lr'], group['weight_decay'])) for time in times]


def _schedulers(cfg: Config, optimizer: Any, steps: int, total: int) -> list[Any]:
    configs = cfg.get('param_scheduler') or []
    configs = [configs] if isinstance(configs, dict) else configs
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpretrain')):
        return [
            PARAM_SCHEDULERS.build(
                {'end': total, **copy.deepcopy(config)},  # the runner's default
                default_args=dict(optimizer=optimizer, epoch_length=steps),
            )
            for config in configs
            if 'Momentum' not in str(config.get('type'))
        ]


def batch_sizes(cfg: Config, gpus: int | None) -> tuple[int, int, int]:
    """Return images per GPU and step, GPUs, and accumulated steps.

    Args:
        cfg: The config.
        gpus: GPUs, or None: as many as make ``auto_scale_lr.base_batch_size``.
    """
    per_gpu = cfg.train_dataloader.get('batch_size', 1)
    accumulated = cfg.optim_wrapper.get('accumulative_counts', 1)
    if gpus is None:
        base = (cfg.get('auto_scale_lr') or {}).get('base_batch_size') or per_gpu
        gpus = max(base // per_gpu, 1)
    return per_gpu, gpus, accumulated
