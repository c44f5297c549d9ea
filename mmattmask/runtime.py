"""The OpenMMLab runtime under us: is it there, and can it resume?

Two families of distributions share the module names ``mmengine``, ``mmcv`` and
``mmpretrain``: the maintained ``onedl-*`` and the official ``mm*``. This module
imports neither when it is imported itself.
"""

from importlib import import_module, metadata
from importlib.util import find_spec
from pickle import UnpicklingError
from typing import Any

import torch

from mmattmask.safe_globals import safe_globals

RUNTIME_MODULES = ('mmengine', 'mmcv', 'mmpretrain')
INSTALL_COMMAND = "pip install 'mmattmask[onedl]'"
# `_base_ = 'mmpretrain::...'` looks beside site-packages there and finds nothing.
BROKEN_MMENGINE = '0.11.0rc0'


def check_runtime() -> None:
    """Refuse a missing or broken runtime with the command that mends it.

    Raises:
        ImportError: If mmengine, mmcv or mmpretrain is not installed, or mmengine
            is a release that cannot inherit configs of other packages.
    """
    missing = [name for name in RUNTIME_MODULES if find_spec(name) is None]
    if missing:
        raise ImportError(
            f'mmattmask needs {", ".join(missing)}, not installed here: run '
            f'{INSTALL_COMMAND}'
        )
    version = _installed_version('mmengine')
    if version == BROKEN_MMENGINE:
        raise ImportError(
            f"mmengine {version} cannot inherit configs ('mmpretrain::...'): run "
            f'pip uninstall --yes mmengine && {INSTALL_COMMAND}'
        )


def _installed_version(module: str) -> str:
    """Version of the installed module, from either family of distributions."""
    for distribution in (module, f'onedl-{module}'):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return str(import_module(module).__version__)


def register_safe_globals() -> None:
    """Let ``--resume`` read MMEngine's checkpoints under torch's safe loader.

    Since torch 2.6 ``torch.load`` builds only what is on an allow-list, and the
    official mmengine (0.10.7 and older) has none: every resume fails on the log
    history. The maintained runtime brings its own list, and older torch loads
    everything; for both this does nothing. Calling it again changes nothing.
    """
    if not hasattr(torch.serialization, 'safe_globals'):
        return
    checkpoint = import_module('mmengine.runner.checkpoint')
    if hasattr(checkpoint, 'get_torch_safe_globals'):
        return
    torch.serialization.add_safe_globals(safe_globals())


def refuse_code_in_checkpoints() -> None:
    """Let no checkpoint that MMEngine reads run code.

    The maintained runtime reads a file that holds more than weights a second time,
    with everything allowed; this takes the second time away, from ``load_from``,
    ``--resume FILE`` and ``init_cfg`` alike. The official one reads once, and torch
    2.6 and newer allow weights only. Calling this again changes nothing.
    """
    checkpoint: Any = import_module('mmengine.runner.checkpoint')
    if hasattr(checkpoint, '_safe_torch_load'):
        checkpoint._safe_torch_load = load_weights_only


def load_weights_only(
    file: Any, map_location: Any = None, weights_only: bool | None = None
) -> Any:
    """Read a checkpoint as MMEngine does, without running code from it.

    Args:
        file: A file or what one reads from.
        map_location: As for ``torch.load``.
        weights_only: Not used: always.

    Raises:
        ValueError: If the file holds other objects.
    """
    allowed = import_module('mmengine.runner.checkpoint').get_torch_safe_globals()
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(file, map_location=map_location, weights_only=True)
    except UnpicklingError as error:
        raise ValueError(
            f'{file} holds more than weights, and nothing of it was run: '
            f'{str(error).splitlines()[0]} If you trust it, read it with '
            'torch.load(FILE, weights_only=False) in a process of your own and save '
            'dict(state_dict=...) of it'
        ) from error


def tolerate_scope() -> None:
    """Let a config inherit ``collate_fn=dict(type='default_collate')``.

    MMEngine adds ``_scope_`` to what a config inherits from another package and hands
    it to the collate function, which does not take it. Calling this again changes
    nothing.
    """
    functions = import_module('mmengine.registry').FUNCTIONS
    import_module('mmengine.dataset')  # registers it
    functions.register_module('default_collate', force=True, module=default_collate)


def default_collate(batch: list[Any], _scope_: str | None = None) -> Any:
    """MMEngine's ``default_collate``, whatever scope it is handed."""
    return import_module('mmengine.dataset').default_collate(batch)
