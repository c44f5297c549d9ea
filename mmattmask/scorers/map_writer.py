"""Write a user's maps piece by piece, and go on where a killed process stopped."""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from mmattmask.files import whole_file, write_text

# safetensors refuses a longer list of names; an entry has so much beside its name.
MAX_HEADER_BYTES, ENTRY_BYTES = 100_000_000, 90
BATCHES = 32
Batches = Iterable[tuple[np.ndarray, np.ndarray]]


class MapWriter:
    """Makes a file for ``UserMaps``.

    Batches of maps are gathered in pieces, files of a folder beside the final one,
    until all are there. The final file is the same, however often one was stopped. It
    holds what it was made of, an array in a ``.json`` file beside it.

    Args:
        path: ``.safetensors``, or ``.npy`` in the order of the ids.
        names: Of the maps, by id; an array needs none and takes their number.
        made_of: What the maps depend on; pieces of anything else are refused.

    Raises:
        ValueError: If names are not unique or too many, the ending is another one, or
            file or pieces are made of something else, or do not say of what.
    """

    def __init__(
        self,
        path: str | Path,
        names: Sequence[str] | int,
        made_of: dict[str, str],
    ) -> None:
        self.path = Path(path)
        self.names = [str(i) for i in range(names)] if isinstance(names, int) else names
        self.is_array = self.path.suffix == '.npy'
        if self.path.suffix not in ('.npy', '.safetensors'):
            raise ValueError(f'{path} must end with .safetensors or .npy')
        if isinstance(names, int) and not self.is_array:
            raise ValueError(f'the images have no names: write .npy, not {path}')
        if len(set(self.names)) < len(self.names):
            twice = next(n for n in self.names if list(self.names).count(n) > 1)
            raise ValueError(f'two images would share the map {twice}')
        size = sum(len(name) + ENTRY_BYTES for name in self.names)
        if size > MAX_HEADER_BYTES and not self.is_array:
            raise ValueError(
                f'{len(self.names)} names are too many for a .safetensors file: write '
                '.npy, in the order of the sample ids'
            )
        self.made_of = json.dumps(made_of, sort_keys=True)
        self._record = self.path.with_name(f'{self.path.name}.json')  # of an array
        self._folder = self.path.with_name(f'{self.path.name}.pieces')
        pieces = sorted(self._folder.glob('*.safetensors'))
        for file in (*pieces, *([self.path] if self.path.exists() else [])):
            self._check(file)
        self.pieces, self.is_complete = len(pieces), self.path.exists()

    def _check(self, path: Path) -> None:
        if path.suffix == '.npy':
            found = self._record.read_text('utf-8') if self._record.exists() else None
        else:
            with safe_open(path, 'pt') as file:
                found = (file.metadata() or {}).get('made_of')
        old, new = json.loads(found or '{}'), json.loads(self.made_of)
        changed = sorted(k for k in {**old, **new} if old.get(k) != new.get(k))
        if changed:
            other = f'was made of another {", ".join(changed)}'
            raise ValueError(
                f'{path} {other if found else "does not say what it was made of"}: '
                'remove it, or write to another file'
            )

    @property
    def done(self) -> int:
        """How many batches are in pieces."""
        return self.pieces * BATCHES

    def write(self, batches: Batches) -> None:
        """Write the batches that the pieces lack, then the file.

        A batch is ids (B,), -1 for an image without a map, and maps (B, h, w).
        """
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        for batch in batches:
            waiting.append(batch)
            if len(waiting) == BATCHES:
                self._write_piece(waiting)
                waiting = []
        if waiting:
            self._write_piece(waiting)
        self._finish()

    def _write_piece(self, batches: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        ids, maps = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        known = ids >= 0
        piece = dict(ids=torch.from_numpy(ids[known]))
        piece['maps'] = torch.from_numpy(maps[known]).half()
        self._save(piece, self._folder / f'{self.pieces:06d}.safetensors')
        self.pieces += 1

    def _save(self, tensors: dict[str, Tensor], path: Path) -> None:
        with whole_file(path) as temporary:
            save_file(tensors, temporary, {'made_of': self.made_of})

    def _pieces(self) -> Iterator[tuple[Tensor, Tensor]]:
        for path in sorted(self._folder.glob('*.safetensors')):
            with safe_open(path, 'pt') as file:
                yield file.get_tensor('ids'), file.get_tensor('maps')

    def _finish(self) -> None:
        parts = list(self._pieces())
        ids, maps = (torch.cat(each) for each in zip(*parts, strict=True))
        if self.is_array:  # images that cannot be read say nothing
            rows = maps.new_zeros(len(self.names), *maps.shape[1:])
            rows[ids] = maps
            write_text(self._record, self.made_of)
            with whole_file(self.path) as temporary:
                np.save(temporary, rows.numpy())
        else:
            named = zip(ids.tolist(), maps.unbind(), strict=True)
            self._save({self.names[i]: row.clone() for i, row in named}, self.path)
        shutil.rmtree(self._folder)
        self.is_complete = True
