"""Numbers of official implementations, and tests of each of their parts."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

BUNDLED = Path(__file__).parent / 'data' / 'golden'
VARIABLE = 'MMATTMASK_GOLDEN'


@dataclasses.dataclass(frozen=True)
class GoldenCase:
    """Numbers of an official implementation, see ``tests/data/golden/README.md``."""

    meta: dict
    arrays: dict[str, np.ndarray]

    @property
    def config(self) -> dict:
        return self.meta['config']

    def __contains__(self, key: str) -> bool:
        return key in self.arrays

    def __getitem__(self, key: str) -> torch.Tensor:
        array = self.arrays[key]
        if array.dtype.kind == 'i':
            array = array.astype(np.int64)
        return torch.from_numpy(array)

    def under(self, prefix: str) -> dict[str, str]:
        """Keys that start with ``prefix``, by what follows it."""
        keys = (key for key in self.arrays if key.startswith(prefix))
        return {key.removeprefix(prefix): key for key in keys}

    def grid(self, size: str = 'img_size', sizes: dict | None = None) -> tuple:
        """Patches (h, w) of the case's images."""
        sizes = sizes or self.config
        return (sizes[size] // sizes['patch_size'],) * 2

    def state_dict(
        self, prefix: str = 'weights', names: dict[str, str] | None = None
    ) -> dict[str, torch.Tensor]:
        """Weights under the names of MMPretrain, by default of the case's own map."""
        return {
            new: self[f'{prefix}/{old}']
            for old, new in (names or self.meta['param_map']).items()
            if new and f'{prefix}/{old}' in self.arrays
        }

    def assert_close(self, value: torch.Tensor, key: str, part=lambda x: x) -> None:
        """Compare with ``key``, or a part of it, at the tolerance stated for it."""
        golden = part(self[key])
        step = self.meta.get('reduced', {}).get('pred_step', 1)
        if key.endswith('/pred'):
            value = value[..., ::step]
        if key.startswith('f64/'):
            tolerance = dict(rtol=1e-6, atol=1e-9)
            assert value.dtype == golden.dtype == torch.float64, key
        else:
            stated = self.meta['tolerance']
            stated = stated.get('per_key', stated)[key]
            tolerance = dict(rtol=stated['rtol'], atol=stated['atol'])
        torch.testing.assert_close(
            value.detach(),
            golden.to(value.dtype),
            **tolerance,
            msg=lambda message: f'{key}: {message}',
        )


@functools.cache
def load(folder: Path, name: str) -> GoldenCase:
    """Load a case; the name may begin with a subfolder."""
    meta = json.loads((folder / f'{name}.json').read_text())
    with np.load(folder / f'{name}.npz', allow_pickle=False) as file:
        return GoldenCase(meta, {key: file[key] for key in file.files})


def each(
    name: str, parts: Callable[[GoldenCase], Iterable[Any]], argument: str = 'variant'
) -> pytest.MarkDecorator:
    """Parametrise a test by ``golden`` and the parts of a case that ``parts`` finds.

    So another set of numbers, with other variants or sizes, needs no edit.
    """
    params = []
    full = os.environ.get(VARIABLE)
    folders = {'bundled': BUNDLED, 'full': Path(full) if full else None}
    for source, folder in folders.items():
        there = folder is not None and (folder / f'{name}.json').is_file()
        found = list(parts(load(folder, name))) if there else []
        for part in found:
            words = part if isinstance(part, tuple) else (part,)
            label = '-'.join(map(str, (source, *words)))
            params.append(pytest.param(source, part, id=label))
        if source == 'full' and not found:
            skip = pytest.mark.skip(f'{VARIABLE} has no such part of {name}')
            params.append(pytest.param(source, None, id=source, marks=skip))
    return pytest.mark.parametrize(('golden', argument), params, indirect=['golden'])
