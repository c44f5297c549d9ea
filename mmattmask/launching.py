"""What every run shares: loader defaults, mixed precision, processes, the runner."""

import logging
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed

# Devices on which mmengine's AmpOptimWrapper refuses to be built.
DEVICES_WITHOUT_AMP = ('cpu', 'mps')
# Optimizer wrappers in full precision, and their siblings for AMP.
AMP_WRAPPERS = {
    'OptimWrapper': 'AmpOptimWrapper',
    'mmattmask.PerTensorClipOptimWrapper': 'mmattmask.PerTensorClipAmpOptimWrapper',
}
AMP_ONLY_OPTIONS = ('loss_scale', 'dtype', 'use_fsdp')


def set_loader_defaults(
    cfg: Config, fields: Sequence[str], forced: dict[str, Any], **defaults: Any
) -> None:
    """Complete the data loaders that a config has, in place.

    Args:
        cfg: The config.
        fields: Names of the loaders.
        forced: Options that win over the config's.
        **defaults: Options for a loader that does not set them.
    """
    # images of MMDetection and MMSegmentation may differ in size
    if cfg.get('default_scope', 'mmpretrain') == 'mmpretrain':
        defaults['collate_fn'] = dict(type='default_collate')
    for field in fields:
        loader = cfg.get(field)
        if loader is None:
            continue
        for name, value in defaults.items():
            loader.setdefault(name, value)
        loader.update(forced)
        # torch refuses persistent workers where there are no workers.
        if loader.get('num_workers', 0) == 0:
            loader.persistent_workers = False


def name_of(kind: str | type) -> str:
    """Return the name of a config's ``type``, without its scope."""
    name = kind if isinstance(kind, str) else kind.__name__
    return name.rsplit('.')[-1]


def use_amp(cfg: Config) -> None:
    """Train in mixed precision, with the same clipping."""
    name = name_of(cfg.optim_wrapper.get('type', 'OptimWrapper'))
    siblings = {name_of(one): pair[1] for pair in AMP_WRAPPERS.items() for one in pair}
    cfg.optim_wrapper.type = siblings.get(name, 'AmpOptimWrapper')
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def plain_type(wrapper: Any) -> str | None:
    """Return the type of an AMP wrapper's sibling in full precision, else None."""
    siblings = {name_of(amp): plain for plain, amp in AMP_WRAPPERS.items()}
    return siblings.get(name_of(wrapper.get('type', 'OptimWrapper')))


def without_amp(wrapper: Any) -> Any:
    """Return the config of an optimizer wrapper as this machine can build it."""
    plain = plain_type(wrapper)
    if plain is None or get_device() not in DEVICES_WITHOUT_AMP:
        return wrapper
    kept = {key: wrapper[key] for key in wrapper if key not in AMP_ONLY_OPTIONS}
    return ConfigDict(kept, type=plain)


def drop_amp_without_accelerator(cfg: Config) -> None:
    """Train in full precision, with one warning, where AMP cannot be built."""
    wrapper = cfg.get('optim_wrapper') or ConfigDict()
    plain = without_amp(wrapper)
    if plain is wrapper:
        return
    cfg.optim_wrapper = plain
    print_log(
        f'{name_of(wrapper.type)} needs an accelerator and this is {get_device()}: '
        f'training in full precision with {name_of(plain.type)}.',
        logger='current',
        level=logging.WARNING,
    )


def start_cpu_processes(cfg: Config) -> None:
    """Join the processes of a launcher on a machine without an accelerator.

    MMEngine's own start calls ``torch.cuda.set_device`` and hands a device id to
    ``DistributedDataParallel``; on a CPU both raise.
    """
    if cfg.launcher != 'pytorch' or get_device() != 'cpu':
        return
    distributed.init_process_group('gloo')
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = {**wrapper, 'device_ids': None}


def leave_processes() -> None:
    """End what processes share, after a run that ended well.

    Left alone, a process may die in a thread of the collectives, with exit code -6.
    """
    if distributed.is_initialized():
        distributed.destroy_process_group()


def build_runner(cfg: Config) -> Runner:
    """Build the runner that the config asks for."""
    import_module('mmattmask.registry')  # its repairs, for stock configs too
    start_cpu_processes(cfg)
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)
