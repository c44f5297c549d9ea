"""The OpenMMLab runtime under us: is it there, and can it resume?

Two families of distributions share the module names ``mmengine``, ``mmcv`` and
``mmpretrain``: the maintained ``onedl-*`` and the official ``mm*``. This module
imports neither when it is imported itself.
"""

from collections.abc import Callable
from importlib import import_module, metadata
from importlib.util import find_spec
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

RUNTIME_MODULES = ('mmengine', 'mmcv', 'mmpretrain')
INSTALL_COMMAND = "pip install 'mmattmask[onedl]'"
# `_base_ = 'mmpretrain::...'` looks beside site-packages there and finds nothing.
BROKEN_MMENGINE = '0.11.0rc0'

# A class or function, or a stand-in with the full name that it answers to.
SafeGlobal = Callable[..., object] | tuple[Callable[..., object], str]


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


def safe_globals() -> list[SafeGlobal]:
    """Everything beyond torch's own list that MMEngine's checkpoints pickle.

    That is ``HistoryBuffer`` (one per logged scalar), its two numpy arrays, numpy
    scalars (the best score of a run) and ``getattr``. ``getattr`` itself would hand
    any attribute of any allowed class to the file, so a stand-in answers to its
    name and returns nothing but the methods of ``HistoryBuffer``.

    Returns:
        Entries for ``torch.serialization.add_safe_globals``.
    """
    history_buffer = import_module('mmengine.logging').HistoryBuffer
    dtypes = {type(np.dtype(name)) for name in ('float64', 'float32', 'int64')}
    entries: list[SafeGlobal] = [
        history_buffer,
        (statistics_method, 'builtins.getattr'),
        np.ndarray,
        np.dtype,
        *dtypes,
    ]
    for value in (np.array(0), np.float64(0)):
        rebuild: Any = value.__reduce__()[0]
        # Both names: numpy 2 writes `numpy._core`, numpy 1 `numpy.core`.
        for core in ('_core', 'core'):
            entries.append((rebuild, f'numpy.{core}.multiarray.{rebuild.__name__}'))
    return entries


def statistics_method(owner: object, name: str) -> Callable[..., object]:
    """Stand-in for ``getattr`` while a checkpoint is read.

    A ``HistoryBuffer`` pickles the table of its statistics methods, and pickle
    writes a method as ``getattr(HistoryBuffer, 'min')``.

    Args:
        owner: The class whose method the checkpoint names.
        name: The method's name.

    Returns:
        The method of ``HistoryBuffer``.

    Raises:
        UnpicklingError: If this is anything but one of those methods.
    """
    history_buffer = import_module('mmengine.logging').HistoryBuffer
    if owner is history_buffer and name in ('min', 'max', 'current', 'mean'):
        method: Callable[..., object] = getattr(history_buffer, name)
        return method
    raise UnpicklingError(
        f'the checkpoint asks for attribute {name!r} of {owner!r}; only the '
        'statistics methods of mmengine.logging.HistoryBuffer are allowed'
    )
