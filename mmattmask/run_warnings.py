"""What a run is told before its first step: it may be meant, and often is not."""

import re
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from math import inf, isclose
from typing import Any

# What a schedule that should end with its run is called, and what it changes.
DECAY = re.compile('(?:Cosine|Poly|MultiStep).*?(LR|[A-Z][a-z]+)$')


def other_length(cfg: Any, batches: Any = None) -> str:
    """Say it if a decay of the config has another length than its run, else nothing.

    One that counts iterations in a run of epochs, or the reverse, is looked at where it
    is known how many batches make an epoch.
    """
    per_epoch = 0
    with suppress(TypeError):  # nor does a stream know
        per_epoch = len(batches)
    length = cfg.get('train_cfg') or {}
    by_epoch = length.get('max_epochs') is not None
    total = length.get('max_epochs' if by_epoch else 'max_iters')
    schedulers = cfg.get('param_scheduler') or []
    decays: dict[str, tuple[float, str]] = {}  # the furthest, by what it changes
    for one in schedulers if isinstance(schedulers, list) else [schedulers]:
        kind = DECAY.search(str(one.get('type')))
        epochs, wanted = one.get('by_epoch', True), total
        if total and epochs != by_epoch:
            wanted = total * per_epoch if by_epoch else total / (per_epoch or inf)
        if kind is None or not wanted:
            continue
        ends = one.get('end', wanted)
        if one.get('T_max'):
            ends = one['T_max'] + one.get('begin', 0)
        never = [number + 1 for number in one.get('milestones', ()) if number >= wanted]
        ends = max([ends, *never])
        unit = 'epochs' if epochs else 'iterations'
        text = f'{ends} {unit} and the run has {wanted:g}'
        now = decays.get(kind[1], (0.0, ''))
        decays[kind[1]] = max(now, (ends / wanted, text))
    for share, text in decays.values():
        if share != inf and not isclose(share, 1, rel_tol=1e-3):
            return (
                f'the schedule decays over {text}: change end, T_max and milestones in '
                'param_scheduler, too'
            )
    return ''


def other_batch(cfg: Any, world_size: int) -> str:
    """Say it if the learning rate is for another number of images, else nothing.

    It is for ``auto_scale_lr.base_batch_size`` images, as often accumulated as
    ``auto_scale_lr.accumulative_counts`` says (1), which MMEngine's scaling overlooks.
    """
    scaling, wrapper = cfg.get('auto_scale_lr') or {}, cfg.get('optim_wrapper') or {}
    lr = (wrapper.get('optimizer') or {}).get('lr')
    batch = (cfg.get('train_dataloader') or {}).get('batch_size')
    base, counts = scaling.get('base_batch_size'), wrapper.get('accumulative_counts', 1)
    if not lr or not base or not batch:
        return ''
    wanted, now = base * scaling.get('accumulative_counts', 1), batch * counts
    used = lr * batch * world_size / base if scaling.get('enable') else lr
    right = lr * now * world_size / wanted
    if isclose(used, right):
        return ''
    return (
        f'lr {lr:g} is for {wanted:g} images per step, and {batch} in a batch, '
        f'{world_size} processes and {counts} accumulated make {now * world_size}, '
        f'with lr {used:g}: add --auto-scale-lr to mmattmask train, or '
        f'optim_wrapper.optimizer.lr={right:g} without auto_scale_lr.enable'
    )


def may_collapse(model: Any, hooks: Iterable[Any]) -> str:
    """Say it if DINO or iBOT lacks what keeps it from collapse, else nothing."""
    temperature = getattr(getattr(model, 'module', model), 'teacher_temp', None)
    if temperature is None:
        return ''
    lacking = {
        'TeacherTemperatureHook': f'the teacher begins at temperature {temperature:g} '
        'without a warm-up',
        'FreezeLastLayerHook': 'the last layer of the head is trained from the first '
        'epoch (epochs=0 says that it is meant)',
    }
    present = kinds_of(hooks)
    for name, what in lacking.items():
        if not present[name]:
            return (
                f'{what}, with which training may collapse: '
                f"custom_hooks=[…, dict(type='mmattmask.{name}')]"
            )
    return ''


def partly_frozen(model: Any) -> str:
    """Say it if a ViT trains its last blocks only, as a probe of a deeper one would."""
    backbone, depth = backbone_of(model)
    frozen = getattr(backbone, 'frozen_stages', 0) or 0
    if not 0 < frozen < depth:
        return ''
    return (
        f'{depth - frozen} of the {depth} blocks of {type(backbone).__name__} are '
        f'trained: a frozen one needs frozen_stages={depth} instead of {frozen}'
    )


def unread_blocks(model: Any) -> str:
    """Say it if nobody reads a ViT's last blocks, as heads of a shallower one would."""
    backbone, depth = backbone_of(model)
    read = getattr(backbone, 'out_indices', None)
    read = [read] if isinstance(read, int) else list(read or ())
    if not depth or not read:
        return ''
    unread = depth - 1 - max(index % depth for index in read)
    if not unread:
        return ''
    return (
        f'the last {unread} of the {depth} blocks of {type(backbone).__name__} learn '
        f'nothing, for nobody reads them: out_indices={read} should end with '
        f'{depth - 1}'
    )


def backbone_of(model: Any) -> tuple[Any, int]:
    """Return a model's backbone and, if it is a ViT, its number of blocks, else 0."""
    backbone = getattr(getattr(model, 'module', model), 'backbone', None)
    with suppress(TypeError):
        return backbone, len(getattr(backbone, 'layers', ()))
    return backbone, 0


def kinds_of(hooks: Iterable[Any]) -> Counter[str]:
    """Count hooks by the names of their classes and those they are derived from."""
    return Counter(kind.__name__ for hook in hooks for kind in type(hook).__mro__)
