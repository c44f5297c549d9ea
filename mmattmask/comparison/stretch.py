"""A config's whole schedule, stretched or shortened to another number of epochs."""

from inspect import signature

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS

from mmattmask.launching import name_of

# What schedulers and hooks count in epochs.
SCHEDULER_KEYS = ('begin', 'end', 'T_max')
HOOK_KEYS = ('interval', 'warmup_epochs')
# These count iterations always.
ITERATION_HOOKS = ('GuidanceScalarsHook', 'FiniteLossHook')


def stretch(cfg: Config, epochs: int) -> None:
    """Give a config another length; warm-up, decay and hooks keep their shares.

    Schedulers and hooks that count iterations stay as they are. The last refresh keeps
    at least one epoch that uses it.

    Args:
        cfg: Changed in place.
        epochs: Its new length.

    Raises:
        ValueError: If the config is not trained by epoch, or so few epochs leave none
            to one of its schedulers.
    """
    old = (cfg.get('train_cfg') or {}).get('max_epochs')
    if not old or epochs < 1:
        raise ValueError(
            f'a config of {old} epochs cannot be stretched to {epochs}: both must be '
            'at least 1'
        )
    if epochs == old:
        return
    cfg.train_cfg.max_epochs = epochs

    def scaled(number: int) -> int:
        return max(1, round(number * epochs / old))

    schedulers = cfg.get('param_scheduler') or []
    for scheduler in schedulers if isinstance(schedulers, list) else [schedulers]:
        if not scheduler.get('by_epoch', True):
            continue
        for key in SCHEDULER_KEYS:
            if scheduler.get(key):
                scheduler[key] = scaled(scheduler[key])
        begin, end = scheduler.get('begin', 0), scheduler.get('end', epochs)
        if begin >= end:
            raise ValueError(
                f'{epochs} epochs leave none to {scheduler.type}, which begins after '
                f'{begin}: give more epochs'
            )
        if 'T_max' in scheduler:
            scheduler.T_max = max(1, end - begin)
        if 'milestones' in scheduler:
            scheduler.milestones = [scaled(m) for m in scheduler.milestones]
    for hook in cfg.get('custom_hooks') or []:
        _say_defaults(hook)
        if not hook.get('by_epoch', True) or name_of(hook.type) in ITERATION_HOOKS:
            continue
        for key in HOOK_KEYS:
            if hook.get(key):
                hook[key] = scaled(hook[key])
        if hook.get('begin'):
            hook.begin = max(0, min(scaled(hook.begin), epochs - 1))


def _say_defaults(hook: ConfigDict) -> None:
    """Write out the lengths that a hook's class takes unless told otherwise."""
    known = HOOKS.get(hook.type) if isinstance(hook.type, str) else hook.type
    if known is None:
        return
    parameters = signature(known).parameters
    for key in (*HOOK_KEYS, 'begin'):
        if key in parameters and isinstance(parameters[key].default, int):
            hook.setdefault(key, parameters[key].default)
