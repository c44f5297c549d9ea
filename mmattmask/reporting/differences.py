"""What a config says that another one does not."""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ABSENT = object()
INTERNAL = '_scope_'  # MMEngine marks inherited parts with it


def config_differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Compare two configs key by key.

    Args:
        old: Such as a stock config.
        new: Such as ours.

    Returns:
        One line per value that differs, ``- key = value`` for what only ``old`` says
        and ``+ key = value`` for what only ``new`` says, in the order of the keys.
        Lists are compared whole.
    """
    lines = []
    for key, before, after in _walk('', old, new):
        if before is not ABSENT:
            lines.append(f'- {key} = {before!r}')
        if after is not ABSENT:
            lines.append(f'+ {key} = {after!r}')
    return lines


def base_of(path: str | Path) -> str:
    """Return the ``_base_`` of a config file, such as ``'mmpretrain::mae/...'``.

    Raises:
        ValueError: If it has none, or more than one.
    """
    for node in ast.parse(Path(path).read_text(encoding='utf-8')).body:
        if isinstance(node, ast.Assign) and any(
            isinstance(target, ast.Name) and target.id == '_base_'
            for target in node.targets
        ):
            base = ast.literal_eval(node.value)
            base = base[0] if isinstance(base, list) and len(base) == 1 else base
            if isinstance(base, str):
                return base
            raise ValueError(f'{path} has {len(base)} bases, one is needed')
    raise ValueError(f'{path} has no _base_')


def _walk(
    prefix: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, Any, Any]]:
    """Yield key, old and new value wherever they differ."""
    keys = [key for key in {**old, **new} if key != INTERNAL]
    for key in keys:
        name = f'{prefix}{key}'
        before, after = old.get(key, ABSENT), new.get(key, ABSENT)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _walk(f'{name}.', before, after)
        elif before is ABSENT or after is ABSENT or not _equal(before, after):
            yield name, before, after


def _equal(before: Any, after: Any) -> bool:
    """Compare values; a tuple says the same as a list."""
    if isinstance(before, list | tuple) and isinstance(after, list | tuple):
        return len(before) == len(after) and all(map(_equal, before, after))
    return bool(before == after)
