"""What changes during a run: learning rate, weight decay, masks, teachers."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import PARAM_SCHEDULERS, DefaultScope

from mmattmask.engine.attention_refresh_hook import AttentionRefreshHook
from mmattmask.engine.ema_teacher_hook import EMATeacherHook, cosine_momentum
from mmattmask.engine.linear_ema_teacher_hook import LinearEMATeacherHook
from mmattmask.engine.teacher_temperature_hook import (
    TeacherTemperatureHook,
    warmup_value,
)
from mmattmask.mask_generators import BaseMaskGenerator, SoftToHardMaskGenerator

STEPS_PER_EPOCH = 20


def milestones(total: int) -> list[int]:
    """Return the first, middle and last epoch (or iteration) of a run."""
    return [0, total // 2, max(total - 1, 0)]


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


def refresh_times(hook: AttentionRefreshHook, total: int) -> list[int]:
    """Return the epochs (or iterations) before which the whole bank is renewed."""
    begin, interval = hook.schedule.begin, hook.schedule.interval
    if interval is None or hook.rolling:
        return [begin] if begin < total else []
    return list(range(begin, total, interval))


def teacher_momentum(hook: EMATeacherHook, time: int, total: int) -> float:
    """Return the share of the student in the EMA teacher's update at an epoch."""
    if isinstance(hook, LinearEMATeacherHook):
        share = min(time / hook.ramp_epochs, 1.0)
        return hook.momentum + share * (hook.end_momentum - hook.momentum)
    return cosine_momentum(time, total, hook.momentum, hook.end_momentum)


def temperatures(hook: TeacherTemperatureHook, epoch: int) -> tuple[float, float]:
    """Return the teacher's temperatures for CLS tokens and for patches."""
    patch_epoch = epoch - hook.pred_start_epoch
    return (
        warmup_value(epoch, hook.warmup_epochs, *hook.cls),
        warmup_value(patch_epoch, hook.warmup_epochs, *hook.patch),
    )


def hard_and_soft(
    generator: BaseMaskGenerator, num_masked: int, progress: float
) -> tuple[int, int] | None:
    """Return how many cells a policy masks for their score, and draws by it.

    Args:
        generator: The policy.
        num_masked: Masked cells.
        progress: Share of the training that is done, in [0, 1].

    Returns:
        None for policies that do not change.
    """
    if not isinstance(generator, SoftToHardMaskGenerator):
        return None
    return tuple(
        int(num_masked * (start + progress * (end - start)))
        for start, end in (generator.hard, generator.soft)
    )


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
