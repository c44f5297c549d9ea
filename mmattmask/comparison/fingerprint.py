"""What tells one data set from another, wherever it lies."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20
FILES = ('path', 'checkpoint', 'load_from')  # of scorers, networks and runs


def data_fingerprint(*configs: Mapping[str, Any]) -> str:
    """Hash the files that configs name, to 16 hexadecimal digits; '' if they name none.

    Those are annotation files of datasets, or where there is none the names below the
    folder and the sizes of what is there, and weights and maps of models. A folder that
    was moved is the same.
    """
    digest = hashlib.blake2b(digest_size=8)
    places = list(_places(configs))
    for place in places:
        if place.is_file():
            _read_into(digest, place)
        else:
            for line in _listing(place):
                digest.update(line.encode())
    return digest.hexdigest() if places else ''


def file_hash(path: str | Path) -> str:
    """Hash the content of a file, to 16 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=8)
    _read_into(digest, Path(path))
    return digest.hexdigest()


def _read_into(digest: Any, path: Path) -> None:
    with path.open('rb') as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)


def _places(config: Any) -> Iterator[Path]:
    """Yield files and folders, in the order they stand."""
    if isinstance(config, Mapping):
        if 'data_root' in config or 'ann_file' in config:
            root = Path(config.get('data_root') or '')
            annotations = root / (config.get('ann_file') or '')
            prefix = config.get('data_prefix') or ''
            parts = prefix.values() if isinstance(prefix, Mapping) else [prefix]
            folders = [root / part for part in sorted(map(str, parts))]
            yield from [annotations] if annotations.is_file() else folders
        named = [config.get(name) for name in FILES]
        yield from (Path(one) for one in named if isinstance(one, str))
        config = list(config.values())
    for item in config if isinstance(config, list | tuple) else ():
        yield from _places(item)


def _listing(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            yield f'{os.path.relpath(path, folder)} {os.path.getsize(path)}\n'
