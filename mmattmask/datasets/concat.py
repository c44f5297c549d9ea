"""Datasets joined end to end, every sample under a key of its own."""

import hashlib
import pickle
from itertools import accumulate
from typing import Any

from mmengine.dataset import BaseDataset
from mmengine.dataset import ConcatDataset as MMEngineConcatDataset

from mmattmask.registry import DATASETS


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
