"""Datasets joined end to end, and what is behind such wrappers: samples, colours."""

import hashlib
import pickle
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dataset import ConcatDataset as MMEngineConcatDataset
from mmpretrain.datasets import CIFAR10
from mmpretrain.registry import DATASETS as MMPRETRAIN_DATASETS

from mmattmask.datasets.packed_images import PackedImages
from mmattmask.datasets.stl10 import STL10
from mmattmask.registry import DATASETS

# Their samples, and those of classes derived from them, begin as RGB arrays.
RGB_ARRAYS = (CIFAR10, PackedImages, STL10)


@DATASETS.register_module()
class ConcatDataset(MMEngineConcatDataset):
    """MMEngine's ConcatDataset with a ``sample_idx`` that is unique over all parts.

    The stock class leaves each part's own index in ``sample_idx``, so two images would
    share one attention map.
    """

    def full_init(self) -> None:
        """Initialise all parts and number their samples."""
        super().full_init()
        sizes = [sum(map(len, bases(part))) for part in self.datasets]
        self._offsets = [0, *accumulate(sizes)]

    def __getitem__(self, idx: int) -> Any:
        """Return a packed sample, renumbered over all parts."""
        results = super().__getitem__(idx)
        part, _ = self._get_ori_dataset_idx(idx)
        sample = results['data_samples']
        key = sample.sample_idx + self._offsets[part]
        sample.set_metainfo({'sample_idx': key})
        return results


def bases(dataset: Any) -> list[BaseDataset]:
    """Return the datasets behind wrappers that number the samples, fully initialised.

    In the order of the keys: sample ``i`` of the second has ``len(first) + i``.
    ValueError for samples without keys of their own.
    """
    if isinstance(dataset, ConcatDataset):
        return [base for part in dataset.datasets for base in bases(part)]
    if isinstance(dataset, MMEngineConcatDataset):
        raise ValueError(
            'ConcatDataset numbers the samples of each part from zero, so '
            f'{len(dataset.datasets)} images would share one attention map: use '
            "type='mmattmask.ConcatDataset'"
        )
    if isinstance(dataset, BaseDataset):
        dataset.full_init()
        return [dataset]
    if hasattr(dataset, 'dataset') and hasattr(dataset, 'full_init'):
        dataset.full_init()
        return bases(dataset.dataset)
    raise ValueError(
        f'{type(dataset).__name__} gives its samples no sample_idx: attention maps are '
        'stored by sample, use a dataset based on mmengine.dataset.BaseDataset'
    )


def all_datasets(config: Any) -> Iterator[Any]:
    """Yield the config of a dataset and those of all that it wraps."""
    yield config
    inner = [config['dataset']] if 'dataset' in config else config.get('datasets', ())
    for part in inner:
        yield from all_datasets(part)


def base_datasets(config: Any) -> list[Any]:
    """Return the configs of datasets inside of wrappers."""
    wraps = {'dataset', 'datasets'}
    return [one for one in all_datasets(config) if wraps.isdisjoint(one)]


def is_rgb(config: Any) -> bool:
    """Say whether the config of a dataset makes RGB images, or BGR as of loaded files.

    Arrays are BGR, too, unless of ``RGB_ARRAYS``; steps of the pipeline that say
    ``to_rgb`` or ``to_bgr`` exchange the channels. The first of joined datasets counts.
    """
    base = base_datasets(config)[0]
    kind = base.get('type')
    kind = MMPRETRAIN_DATASETS.get(kind) if isinstance(kind, str) else kind
    begins = isinstance(kind, type) and issubclass(kind, RGB_ARRAYS)
    return begins != bool(_exchanges(base.get('pipeline')) % 2)


def _exchanges(steps: Any) -> int:
    """Count the steps that exchange red and blue; of several views in the first."""
    if isinstance(steps, dict):
        own = bool(steps.get('to_rgb') or steps.get('to_bgr'))
        return own + _exchanges(steps.get('transforms'))
    if not isinstance(steps, list | tuple):
        return 0
    views = steps[:1] if steps and isinstance(steps[0], list | tuple) else steps
    return sum(map(_exchanges, views))


def fingerprint(datasets: list[BaseDataset]) -> str:
    """Hash what base datasets list: paths or arrays, labels, and their order."""
    digest = hashlib.blake2b(digest_size=16)
    for dataset in datasets:
        digest.update(f'{type(dataset).__name__} {len(dataset)} '.encode())
        if dataset.serialize_data:
            digest.update(dataset.data_bytes)
        else:
            for item in dataset.data_list:
                digest.update(pickle.dumps(item, protocol=4))
    return digest.hexdigest()
