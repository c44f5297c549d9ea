"""Attention-guided masked image modeling for MMPretrain.

Importing the package registers nothing: MMEngine does that when it first meets a
``type='mmattmask.X'``. ``mmattmask.masking`` is plain torch and can be used alone.
``get_model`` and ``list_models`` are those of ``mmattmask.zoo``, imported on demand.
"""

from importlib import import_module
from typing import Any

from mmattmask.version import __version__

__all__ = ['__version__', 'get_model', 'list_models']


def __getattr__(name: str) -> Any:
    """Import the zoo when one of its functions is asked for."""
    if name not in ('get_model', 'list_models', 'zoo'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    zoo = import_module('mmattmask.zoo')
    return zoo if name == 'zoo' else getattr(zoo, name)
