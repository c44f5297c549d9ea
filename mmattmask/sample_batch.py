"""The samples of a batch in a few pieces, as they come from loader processes."""

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmattmask.geometry import geometry_rows

PROTOCOL = pickle.HIGHEST_PROTOCOL
FIELD_NAMES = ('_metainfo_fields', '_data_fields')


class SampleBatch(Sequence[Any]):
    """DataSamples that travel between processes as one array of geometry and columns.

    To whoever reads it, it is a sequence of DataSamples: after the journey they are
    made when the first of them is asked for.
    """

    _kind: Any
    _columns: dict[str, Any]  # lists; after the journey pickled ones, few are read
    _geometry: np.ndarray | None

    def __init__(self, samples: Iterable[Any]) -> None:
        self._samples: list[Any] | None = list(samples)
        self._size = len(self._samples)

    @classmethod
    def of_columns(
        cls, samples: Sequence[Any], place: dict[str, Any], geometry: np.ndarray
    ) -> 'SampleBatch':
        """Return samples of the same fields with other places of their views.

        ``place`` has a list for each field that says it, ``geometry`` the same as
        ``geometry_rows`` does. The samples stay as they are.
        """
        rows = [vars(sample) for sample in samples]
        batch = cls(())
        batch._samples, batch._size = None, len(rows)
        batch._kind, batch._geometry = type(samples[0]), geometry
        batch._columns = {name: [row[name] for row in rows] for name in rows[0]} | place
        fields = {name: rows[0][name] for name in FIELD_NAMES}
        fields[FIELD_NAMES[0]] = fields[FIELD_NAMES[0]] | place.keys()
        batch._columns |= fields
        return batch

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: Any) -> Any:
        return self.samples[index]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.samples)

    @property
    def samples(self) -> list[Any]:
        """The DataSamples; what is changed in them stays."""
        if self._samples is None:
            columns = {name: self._read(name) for name in self._columns}
            fields = [columns.pop(name) for name in FIELD_NAMES]
            self._samples = []
            for row in zip(*columns.values(), strict=True):
                sample = self._kind.__new__(self._kind)
                vars(sample).update(zip(columns, row, strict=True))
                vars(sample).update(zip(FIELD_NAMES, map(set, fields), strict=True))
                self._samples.append(sample)
        return self._samples

    def geometry(self) -> np.ndarray | None:
        """Return ``geometry_rows`` of samples that nobody has seen yet, or None."""
        return self._geometry if self._samples is None else None

    def column(self, name: str) -> Sequence[Any] | None:
        """Return a field of samples that nobody has seen yet, or None."""
        known = self._samples is None and name in self._columns
        return self._read(name) if known else None

    def _read(self, name: str) -> Any:
        column = self._columns[name]
        return pickle.loads(column) if isinstance(column, bytes) else column

    def pin_memory(self) -> 'SampleBatch':
        """Return itself: what goes to the device is pinned on its way."""
        return self

    def pack(self) -> 'SampleBatch':
        """Make columns of the samples, if all have the same fields; return itself."""
        samples = self.samples
        if _are_alike(samples):
            self._columns = {
                name: _packed([getattr(sample, name) for sample in samples])
                for name in vars(samples[0])
            }
            for name in FIELD_NAMES:  # one for all
                self._columns[name] = _packed(getattr(samples[0], name))
            self._kind = type(samples[0])
            names = ('crop_box', 'ori_shape')
            place = [getattr(samples[0], name, None) for name in names]
            one_view = all(isinstance(value, tuple) for value in place)
            self._geometry = geometry_rows(samples) if one_view else None
            self._samples = None
        return self


def _are_alike(samples: list[Any]) -> bool:
    """Whether all samples have the fields of the first."""
    if not samples:
        return False
    first, kind = vars(samples[0]), type(samples[0])
    return all(name in first for name in FIELD_NAMES) and all(
        type(sample) is kind
        and vars(sample).keys() == first.keys()
        and all(vars(sample)[name] == first[name] for name in FIELD_NAMES)
        for sample in samples
    )


def _packed(values: Any) -> bytes:
    """Pickle a column; tensors in one if they have one shape and type."""
    kinds = {(getattr(v, 'shape', None), getattr(v, 'dtype', None)) for v in values}
    is_one = len(kinds) == 1 and all(isinstance(value, Tensor) for value in values)
    # not as memory that processes share, which needs an open file for each tensor
    return pickle.dumps(torch.stack(values) if is_one and values else values, PROTOCOL)


def collate_compactly(
    batch: Sequence[Any], collate: Callable[[Sequence[Any]], Any]
) -> Any:
    """Collate, and let the samples travel as a :class:`SampleBatch`."""
    data = collate(batch)
    samples = data.get('data_samples') if isinstance(data, dict) else None
    if isinstance(samples, list | SampleBatch):
        data['data_samples'] = SampleBatch(samples).pack()
    return data


def send_compactly(loader: Any, model: Any) -> None:
    """Let a loader's processes send samples in few pieces to a model that takes them.

    Call it before they start. Batches that are made on the device are not pinned.
    """
    if getattr(loader.dataset, 'makes_batches', False):
        loader.pin_memory = False
    model = getattr(model, 'module', model)
    preprocessor = getattr(model, 'data_preprocessor', None)
    if loader.num_workers and getattr(preprocessor, 'takes_sample_batches', False):
        loader.collate_fn = partial(collate_compactly, collate=loader.collate_fn)
