"""A config's whole schedule, stretched or shortened to another number of epochs."""

from inspect import signature
from math import inf

from mmengine.config import Config, ConfigDict
from mmengine.registry import HOOKS

from mmattmask.launching import name_of

# What stock schedulers and hooks count in epochs, or in iterations with by_epoch=False,
# which change as epochs do; our hooks say it themselves.
SCHEDULER_KEYS = ('begin', 'end', 'T_max', 'step_size', 'total_steps')
STOCK_HOOKS = {'EMAHook': ('begin_epoch',), 'SwAVHook': ('epoch_queue_starts',)}


def stretch(cfg: Config, epochs: int) -> None:
    """Give a config another length; warm-up, decay and hooks keep their shares.

    A hook's class says in ``epoch_arguments`` which of its arguments are epochs.
    The last refresh keeps at least one epoch that uses it. The config is changed in
    place.

    Raises:
        ValueError: If the config is not trained by epoch, or so few epochs leave none
            to one of its schedulers, or a hook does not say what it counts.
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
        for key in SCHEDULER_KEYS:
            if scheduler.get(key):
                scheduler[key] = scaled(scheduler[key])
        total = epochs if scheduler.get('by_epoch', True) else inf
        begin, end = scheduler.get('begin', 0), scheduler.get('end', total)
        if begin >= end:
            raise ValueError(
                f'{epochs} epochs leave none to {scheduler.type}, which begins after '
                f'{begin}: give more epochs'
            )
        if 'T_max' in scheduler and end < inf:
            scheduler.T_max = max(1, end - begin)
        for key in {'milestones', 'periods'} & scheduler.keys():
            scheduler[key] = [scaled(number) for number in scheduler[key]]
    for hook in cfg.get('custom_hooks') or []:
        for key in _epoch_arguments(hook):
            if hook.get(key):
                hook[key] = scaled(hook[key])
                if key == 'begin' and hook.get('by_epoch', True):
                    hook.begin = min(hook.begin, epochs - 1)


def _epoch_arguments(hook: ConfigDict) -> tuple[str, ...]:
    """Return what a hook counts in epochs, by its class; defaults are written out."""
    kind = HOOKS.get(hook.type) if isinstance(hook.type, str) else hook.type
    parameters = dict(signature(kind).parameters) if kind else {}
    keys = getattr(kind, 'epoch_arguments', STOCK_HOOKS.get(name_of(hook.type)))
    if keys is None:
        named = [name for name in parameters if 'epoch' in name and name != 'by_epoch']
        if named:
            raise ValueError(
                f'{name_of(hook.type)} has {", ".join(named)}: for another number of '
                f'epochs its class needs epoch_arguments = {tuple(named)}'
            )
        keys = ()
    for key in keys:
        if key in parameters and isinstance(parameters[key].default, int):
            hook.setdefault(key, parameters[key].default)
    return keys
