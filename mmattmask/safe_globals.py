"""What MMEngine's checkpoints hold and torch's safe loader must allow.

MMEngine is not imported when this module is.
"""

from collections.abc import Callable
from importlib import import_module
from pickle import UnpicklingError
from typing import Any

import numpy as np

# A class or function, or a stand-in with the full name that it answers to.
SafeGlobal = Callable[..., object] | tuple[Callable[..., object], str]


def safe_globals() -> list[SafeGlobal]:
    """Everything beyond torch's own list that MMEngine's checkpoints pickle.

    That is ``HistoryBuffer`` (one per logged scalar), its two numpy arrays, numpy
    scalars (the best score of a run) and ``getattr``. ``getattr`` itself would hand
    any attribute of any allowed class to the file, so a stand-in answers to its
    name and returns nothing but the methods of ``HistoryBuffer``.
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
    writes a method as ``getattr(HistoryBuffer, 'min')``. Anything else is refused.
    """
    history_buffer = import_module('mmengine.logging').HistoryBuffer
    if owner is history_buffer and name in ('min', 'max', 'current', 'mean'):
        method: Callable[..., object] = getattr(history_buffer, name)
        return method
    raise UnpicklingError(
        f'the checkpoint asks for attribute {name!r} of {owner!r}; only the '
        'statistics methods of mmengine.logging.HistoryBuffer are allowed'
    )
