"""A user's maps on disk: a folder, a file of named maps, or an array by sample id."""

import hashlib
import json
import mmap
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np


def open_maps(path: str | Path) -> 'NamedMaps | MapArray':
    """Open maps of any of the three kinds.

    A folder of ``.npy`` files, (h, w) each; a ``.safetensors`` file with one tensor
    (h, w) per name; or one ``.npy`` file, (N, h, w), in the order of the sample ids.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If it holds no maps.
    """
    path = Path(path)
    if path.is_dir():
        return MapFolder(path)
    if not path.is_file():
        raise FileNotFoundError(f'there are no maps at {path}')
    if path.suffix == '.safetensors':
        return MapTable(path)
    if path.suffix == '.npy':
        return MapArray(path)
    raise ValueError(
        'maps are a folder of .npy files, a .safetensors file or one .npy file, got '
        f'{path}'
    )


def order_of(img_paths: Sequence[str | None]) -> str:
    """Hash the names of images below their common folder, in order; '' without."""
    paths = [path for path in img_paths if path]
    if not paths or len(paths) < len(img_paths):
        return ''
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    names = '\n'.join(os.path.relpath(path, root) for path in paths)
    return hashlib.sha256(names.encode()).hexdigest()


class _OnDisk:
    """Copies and child processes share the files."""

    path: Path

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self  # read-only: copies of a model (EMA) share the files


class NamedMaps(_OnDisk, ABC):
    """Maps found by the image's path, of which the longest end is the map's name.

    ``n01440764/x`` and, without folders, ``x`` are names for
    ``data/train/n01440764/x.JPEG``.
    """

    names: Collection[str]

    def _index(self, names: Collection[str]) -> None:
        if not names:
            raise ValueError(f'{self.path} holds no map')
        self.names = names
        self._depth = 1 + max(name.count('/') for name in names)

    def find(self, img_path: str | None, sample_idx: int | None) -> str:
        """Return the longest name that the image's path ends with, or ValueError."""
        if img_path is None:
            raise ValueError(
                f'{self.path} holds maps by image name, but a view has no img_path: '
                'use one .npy file (N, h, w) in the order of the sample ids'
            )
        name = self._find(img_path)
        if name is None:
            wanted = list(self._endings(img_path))
            alike = sorted(n for n in self.names if n.split('/')[-1] == wanted[-1])
            others = f'; of that stem there are {", ".join(alike[:3])}' if alike else ''
            raise ValueError(
                f'{img_path} has no map: {self.path} holds none of {", ".join(wanted)}'
                f'{others}'
            )
        return name

    def missing(self, img_paths: Sequence[str | None]) -> list[str]:
        """Return the images without a map; refuse one map for two images."""
        missing: list[str] = []
        owners: dict[str, str] = {}
        for index, img_path in enumerate(img_paths):
            name = None if img_path is None else self._find(img_path)
            if img_path is None or name is None:
                missing.append(img_path or f'sample {index} (without a path)')
            elif owners.setdefault(name, img_path) != img_path:
                raise ValueError(
                    f'the map {name} of {self.path} would stand for two images, '
                    f'{owners[name]} and {img_path}: name maps by folder and file'
                )
        return missing

    def read(self, keys: Sequence[str]) -> list[np.ndarray]:
        """Return maps, (h, w) each, as they were stored, or raise ValueError."""
        return [self._read(key) for key in keys]

    @abstractmethod
    def label(self, key: str) -> str:
        """Return how messages name a map."""

    @abstractmethod
    def _load(self, key: str) -> np.ndarray: ...

    def _read(self, key: str) -> np.ndarray:
        try:
            values = self._load(key)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f'{self.label(key)} cannot be read: {error}') from error
        if values.ndim != 2 or not _holds_numbers(values):
            raise ValueError(
                f'{self.label(key)} must be (h, w) numbers, got {values.shape} '
                f'{values.dtype}'
            )
        return values

    def _find(self, img_path: str) -> str | None:
        return next((n for n in self._endings(img_path) if n in self.names), None)

    def _endings(self, img_path: str) -> Iterator[str]:
        """Names that would suit an image, longest first."""
        parts = os.path.splitext(img_path)[0].replace(os.sep, '/').split('/')
        parts = parts[-self._depth :]
        return ('/'.join(parts[start:]) for start in range(len(parts)))


class MapFolder(NamedMaps):
    """A folder with one ``.npy`` file per image; it is listed once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        names: set[str] = set()
        for folder, _, files in os.walk(path, followlinks=True):
            inside = Path(folder).relative_to(path).as_posix()
            prefix = '' if inside == '.' else f'{inside}/'
            names.update(f'{prefix}{f[:-4]}' for f in files if f.endswith('.npy'))
        self._index(names)

    def label(self, key: str) -> str:
        """Return the file."""
        return f'the map {self.path / key}.npy'

    def _load(self, key: str) -> np.ndarray:
        return np.array(_open_npy(f'{self.path / key}.npy'))


class MapTable(NamedMaps):
    """A ``.safetensors`` file whose keys are names."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._file = safe_open(path, framework='pt')
        except SafetensorError as error:
            raise ValueError(f'{path} cannot be read: {error}') from error
        self._index(set(self._file.keys()))

    def __reduce__(self) -> Any:
        return type(self), (self.path,)

    def label(self, key: str) -> str:
        """Return file and name."""
        return f'the map {key} of {self.path}'

    def _load(self, key: str) -> np.ndarray:
        from safetensors import SafetensorError

        try:
            values = self._file.get_tensor(key)
        except SafetensorError as error:
            raise ValueError(str(error)) from error
        # NumPy has no bfloat16
        values = values.float() if values.is_floating_point() else values
        return values.numpy()


class MapArray(_OnDisk):
    """One ``.npy`` file, (N, h, w), memory-mapped, in the order of the sample ids."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._rows: np.memmap = _open_npy(path)
        except (ValueError, EOFError) as error:
            raise ValueError(f'{path} cannot be read: {error}') from error
        if self._rows.ndim != 3 or not _holds_numbers(self._rows):
            raise ValueError(
                f'{path} must be (N, h, w) numbers, got {self._rows.shape} '
                f'{self._rows.dtype}'
            )
        if hasattr(mmap, 'MADV_RANDOM'):  # else each look-up reads 128 kB around it
            memory: Any = self._rows
            memory._mmap.madvise(mmap.MADV_RANDOM)

    def __len__(self) -> int:
        return len(self._rows)

    def __reduce__(self) -> Any:
        return type(self), (self.path,)

    def find(self, img_path: str | None, sample_idx: int | None) -> int:
        """Return the sample id; ValueError if there is no map of it."""
        if sample_idx is None or not 0 <= sample_idx < len(self):
            raise ValueError(
                f'{img_path or "a view"} has no map: its sample_idx is {sample_idx}, '
                f'{self.path} holds {len(self)} maps'
            )
        return sample_idx

    def missing(self, img_paths: Sequence[str | None]) -> list[str]:
        """Return the images beyond the last row.

        ValueError if there are more rows, or ``mmattmask maps`` made them of images of
        other names or in another order.
        """
        record = Path(f'{self.path}.json')
        made_of = json.loads(record.read_text('utf-8')) if record.is_file() else {}
        if made_of.get('order', '') not in ('', order_of(img_paths)):
            raise ValueError(
                f'{self.path} was made of images of other names or in another order '
                f'than these {len(img_paths)}, so maps by sample id would be those of '
                'others: make it again with mmattmask maps'
            )
        if len(self) > len(img_paths):
            raise ValueError(
                f'{self.path} holds {len(self)} maps by sample id, but there are '
                f'{len(img_paths)} images'
            )
        return [
            img_path or f'sample {index}'
            for index, img_path in enumerate(img_paths)
            if index >= len(self)
        ]

    def read(self, keys: Sequence[int]) -> list[np.ndarray]:
        """Return maps, (h, w) each."""
        return list(self._rows[list(keys)])

    def label(self, key: int) -> str:
        """Return file and sample id."""
        return f'the map of sample {key} in {self.path}'


def _open_npy(path: str | Path) -> np.memmap:
    """Map a file into memory, which compares its header with its size first."""
    values = np.load(path, mmap_mode='r', allow_pickle=False)
    if not isinstance(values, np.ndarray):
        values.close()
        raise ValueError('it is an .npz archive: save its array with numpy.save')
    return values  # type: ignore[return-value]


def in_range(maps: np.ndarray) -> np.ndarray:
    """Return for each map, (B, h, w), whether it is finite and at least 0, (B,)."""
    if maps.dtype.kind in 'bu':
        return np.ones(len(maps), bool)
    return np.asarray(((maps >= 0) & (maps < np.inf)).all(axis=(1, 2)))


def _holds_numbers(values: np.ndarray) -> bool:
    return values.size > 0 and values.dtype.kind in 'buif'
