"""Pre-trained models inside the package: no download, checked when they are read.

Importing this imports neither torch nor OpenMMLab.
"""

from importlib import import_module
from typing import Any

PUBLIC = {
    'Entry': 'entries',
    'find_entry': 'entries',
    'get_model': 'models',
    'list_models': 'entries',
    'normalisation': 'models',
    'register': 'hub',
    'weights_path': 'entries',
}

__all__ = sorted(PUBLIC)


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in PUBLIC:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(f'{__name__}.{PUBLIC[name]}'), name)


def __dir__() -> list[str]:
    return __all__
