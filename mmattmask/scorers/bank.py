"""The attention bank: one memory-mapped file with a map per sample.

A file is a header of 4096 bytes (JSON, padded with spaces) and then the rows. It is
written under a temporary name and renamed when complete, so a file under its final name
is whole unless the disk lost part of it, which the checksum tells.
"""

import dataclasses
import errno
import json
import mmap
import os
import shutil
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from mmattmask.device import to_device

HEADER_BYTES = 4096
FORMAT = 'mmattmask attention bank 1'
CHUNK_ROWS = 65536

Storage = Literal['float16', 'uint8']
Keep = Literal['mmap', 'ram', 'device']
# Larger banks stay in the file: every process of a node has a copy of its own.
MAX_RAM_BYTES = 2**30
MAX_GPU_SHARE = 0.02


class BankError(ValueError):
    """The file is no bank, is torn, or belongs to other data."""


@dataclasses.dataclass(frozen=True)
class BankHeader:
    """What a bank holds.

    The fingerprint is the dataset's, the source such as ``'epoch 40'``. ``'uint8'`` is
    for maps in [0, 1] in steps of 1/255. The CRC-32 of the rows is None while the bank
    is being written.
    """

    num_rows: int
    grid: tuple[int, int]
    storage: Storage
    fingerprint: str
    source: str
    checksum: int | None = None

    @property
    def num_bytes(self) -> int:
        """Size of the file."""
        cells = self.num_rows * self.grid[0] * self.grid[1]
        return HEADER_BYTES + cells * np.dtype(self.storage).itemsize

    def encode(self) -> bytes:
        """Return the first bytes of the file."""
        text = json.dumps({'format': FORMAT, **dataclasses.asdict(self)})
        if len(text) >= HEADER_BYTES:
            raise ValueError(f'a header of {len(text)} bytes is longer than allowed')
        return text.encode().ljust(HEADER_BYTES - 1) + b'\n'

    @classmethod
    def read(cls, path: Path) -> 'BankHeader':
        """Read the header of a file; BankError if it is no bank's."""
        with path.open('rb') as file:
            text = file.read(HEADER_BYTES)
        try:
            fields = json.loads(text)
            if fields.pop('format') != FORMAT:
                raise ValueError
            return cls(**{**fields, 'grid': tuple(fields['grid'])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise BankError(f'{path} is not an attention bank ({FORMAT})') from error


def _map_rows(path: Path, header: BankHeader, mode: Literal['r', 'r+']) -> np.memmap:
    shape = (header.num_rows, *header.grid)
    return np.memmap(path, header.storage, mode, HEADER_BYTES, shape)


def _checksum(rows: np.ndarray) -> int:
    value = 0
    for start in range(0, len(rows), CHUNK_ROWS):
        chunk: Any = np.ascontiguousarray(rows[start : start + CHUNK_ROWS])
        value = zlib.crc32(chunk, value)
    return value


class AttentionBank:
    """Read access to a complete bank; processes that open it share its pages.

    ``verify`` compares the checksum, which reads the whole file.

    Raises:
        FileNotFoundError: If there is no such file.
        BankError: If the file is no bank, is incomplete or was changed.
    """

    def __init__(self, path: str | Path, verify: bool = True) -> None:
        self.path = Path(path)
        self.header = BankHeader.read(self.path)
        size = self.path.stat().st_size
        if self.header.checksum is None or size != self.header.num_bytes:
            raise BankError(
                f'{path} is torn: {size} of {self.header.num_bytes} bytes, '
                f'checksum {self.header.checksum}'
            )
        self._rows = _map_rows(self.path, self.header, 'r')
        if verify and _checksum(self._rows) != self.header.checksum:
            raise BankError(f'{path} is torn: its rows do not match its checksum')
        self._table: Tensor | None = None
        if hasattr(mmap, 'MADV_RANDOM'):  # else each look-up reads 128 kB around it
            memory: Any = self._rows
            memory._mmap.madvise(mmap.MADV_RANDOM)

    def __len__(self) -> int:
        return self.header.num_rows

    def __deepcopy__(self, memo: dict[int, Any]) -> 'AttentionBank':
        return self  # read-only: copies of a model (EMA) share the file

    def maps(self, ids: np.ndarray) -> np.ndarray:
        """Return the maps of sample ids (B,) in the bank, (B, h, w) float32."""
        self._check(ids)
        maps = self._rows[ids].astype(np.float32)
        return maps / np.float32(255) if self.header.storage == 'uint8' else maps

    def look_up(
        self, ids: np.ndarray, device: torch.device, keep: Keep | None = None
    ) -> Tensor:
        """Return the maps of sample ids (B,) on a device, without waiting for it.

        ``keep`` says where the bank is: ``'mmap'`` leaves it to the operating system,
        which may read the disk again; ``'ram'`` and ``'device'`` copy it once. Defaults
        to what its size allows, see :func:`default_keep`.

        Raises:
            ValueError: If an id is not in the bank.
        """
        keep = keep or default_keep(self.header.num_bytes, device)
        if keep == 'mmap':
            return to_device(torch.from_numpy(self.maps(ids)), device)
        self._check(ids)
        place = device if keep == 'device' else torch.device('cpu')
        if self._table is None or self._table.device != place:
            self._table = torch.from_numpy(np.array(self._rows)).to(place)
        rows = self._table[to_device(torch.from_numpy(ids), place)]
        maps = to_device(rows, device).float()
        return maps / 255 if self.header.storage == 'uint8' else maps

    def _check(self, ids: np.ndarray) -> None:
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self):
            raise ValueError(
                f'sample ids {ids.min()}..{ids.max()} are outside the bank of '
                f'{len(self)} samples {self.path}'
            )

    def sample(self, number: int) -> np.ndarray:
        """Return the maps of at most so many images, evenly spaced, (n, h * w)."""
        ids = evenly_spaced(number, len(self))
        return self.maps(ids).reshape(len(ids), -1)


def evenly_spaced(number: int, total: int) -> np.ndarray:
    """Return the places of at most so many of all, (n,) int64."""
    number = min(number, total)
    return (2 * np.arange(number) + 1) * total // (2 * number)


def default_keep(num_bytes: int, device: torch.device) -> Keep:
    """Return where a bank is kept: on a GPU up to 2 % of it, in memory up to 1 GiB."""
    if device.type == 'cuda' and torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(device).total_memory
        if num_bytes <= MAX_GPU_SHARE * memory:
            return 'device'
    return 'ram' if num_bytes <= MAX_RAM_BYTES else 'mmap'


class BankWriter:
    """Write access to a bank that does not exist yet.

    One process creates the file; others on the same node may open the writer after that
    with ``create=False`` and write other rows. Only the creator finishes. Rows that
    nobody writes are those of ``previous``, or zero: nothing is known. ``tag`` is part
    of the temporary name, which writers of one file share.

    Raises:
        OSError: If there is no space for the file, which is taken at once: writing to
            mapped pages of a full disk would kill the process.
    """

    def __init__(
        self,
        path: str | Path,
        header: BankHeader,
        create: bool = True,
        previous: AttentionBank | None = None,
        tag: str = '',
    ) -> None:
        self.path = Path(path)
        self.header = header
        self._limit = 1.0 if header.storage == 'uint8' else np.finfo(np.float16).max
        self._temporary = self.path.with_name(f'{self.path.name}{tag}.tmp')
        if create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if previous is not None and previous.header.num_bytes != header.num_bytes:
                raise ValueError(
                    f'{previous.path} has {previous.header.num_bytes} bytes, a bank '
                    f'that keeps its rows must too, not {header.num_bytes}'
                )
            self._create(previous)
        self.rows = _map_rows(self._temporary, header, 'r+')

    def _create(self, previous: AttentionBank | None) -> None:
        size, folder = self.header.num_bytes, self.path.parent
        free = shutil.disk_usage(folder).free
        try:
            if size > free:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if previous is not None:
                shutil.copyfile(previous.path, self._temporary)
            with self._temporary.open('wb' if previous is None else 'r+b') as file:
                file.write(self.header.encode())
                file.truncate(size)
                file.flush()
                if hasattr(os, 'posix_fallocate'):
                    os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            self._temporary.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise
            raise OSError(
                error.errno,
                f'no space for an attention bank of {size} bytes, {free} are free in '
                f'{folder}; the bank in use is left as it is',
            ) from error

    def is_valid(self, maps: np.ndarray) -> np.ndarray:
        """Return for each map, (B, h, w), whether the storage can hold it, (B,)."""
        return np.asarray(((maps >= 0) & (maps <= self._limit)).all(axis=(1, 2)))

    def write(self, ids: np.ndarray, maps: np.ndarray) -> None:
        """Store maps (B, h, w) of sample ids (B,).

        Raises:
            ValueError: If a value is not finite or outside what the storage can hold.
        """
        bad = ~self.is_valid(maps)
        if bad.any():
            raise ValueError(
                f'attention of {bad.sum()} samples is not in [0, {self._limit:g}] '
                f'(first sample id {ids[bad][0]}); the bank in use is left as it is'
            )
        if self.header.storage == 'uint8':
            maps = np.rint(maps * 255)
        self.rows[ids] = maps.astype(self.header.storage)

    def finish(self) -> None:
        """Make the bank complete under its final name, or not at all."""
        self.rows.flush()
        header = dataclasses.replace(self.header, checksum=_checksum(self.rows))
        with self._temporary.open('r+b') as file:
            file.write(header.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(self._temporary, self.path)
