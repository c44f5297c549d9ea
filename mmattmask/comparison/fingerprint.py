"""What tells one data set from another, wherever it lies."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

CHUNK_BYTES = 1 << 20


def data_fingerprint(*configs: Mapping[str, Any]) -> str:
    """Hash the files that configs of datasets name, to 16 hexadecimal digits.

    The content of annotation files counts, and where there is none the names below the
    folder and the sizes of what is there. A folder that was moved is the same.
    """
    digest = hashlib.blake2b(digest_size=8)
    for dataset in (one for config in configs for one in _datasets(config)):
        root = Path(dataset.get('data_root') or '')
        annotations = root / (dataset.get('ann_file') or '')
        if annotations.is_file():
            with annotations.open('rb') as file:
                while chunk := file.read(CHUNK_BYTES):
                    digest.update(chunk)
            continue
        prefix = dataset.get('data_prefix') or ''
        places = prefix.values() if isinstance(prefix, Mapping) else [prefix]
        for place in sorted(map(str, places)):
            for line in _listing(root / place):
                digest.update(line.encode())
    return digest.hexdigest()


def _datasets(config: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the configs that name files, in the order they stand."""
    if isinstance(config, Mapping):
        if 'data_root' in config or 'ann_file' in config:
            yield config
        config = list(config.values())
    for item in config if isinstance(config, list | tuple) else ():
        yield from _datasets(item)


def _listing(folder: Path) -> Iterator[str]:
    for place, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            yield f'{os.path.relpath(path, folder)} {os.path.getsize(path)}\n'
