"""Whole images of a training set, as the model is to measure them."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Resize
from mmengine.dataset import BaseDataset
from mmengine.registry import TRANSFORMS
from mmpretrain.datasets import PackInputs
from torch import Tensor
from torch.utils.data import Dataset


class WholeImages(Dataset):
    """The images behind base datasets, squashed to one size without augmentation.

    Args:
        datasets: Base datasets, see ``datasets.concat.bases``.
        input_size: Height and width in px; the aspect ratio is not kept.
        pipeline: Transforms before packing, as config dicts. Defaults to the loading
            transforms at the front of each dataset's own pipeline and a bilinear
            resize.
    """

    def __init__(
        self,
        datasets: Sequence[BaseDataset],
        input_size: tuple[int, int],
        pipeline: Sequence[dict[str, Any]] | None = None,
    ) -> None:
        self.datasets = list(datasets)
        self.ends = np.cumsum([len(dataset) for dataset in self.datasets])
        self.input_size = tuple(input_size)
        resize = Resize(
            scale=self.input_size[::-1],
            keep_ratio=False,
            backend='pillow',
            interpolation='bilinear',
        )
        self.transforms = [
            [TRANSFORMS.build(transform) for transform in pipeline]
            if pipeline is not None
            else [*_loaders(dataset), resize]
            for dataset in self.datasets
        ]

    def __len__(self) -> int:
        return int(self.ends[-1])

    def info(self, index: int) -> tuple[int, dict[str, Any]]:
        """Return the dataset an image is from, and a copy of what that knows of it."""
        part = int(np.searchsorted(self.ends, index, side='right'))
        first = int(self.ends[part - 1]) if part else 0
        return part, copy.copy(self.datasets[part].get_data_info(index - first))

    def __getitem__(self, index: int) -> tuple[Tensor, int, int, str]:
        """Return the uint8 image (3, H, W), its id, its label and what went wrong.

        Raises:
            ValueError: If an image that was read cannot be transformed.
        """
        part, results = self.info(index)
        label = results.get('gt_label', -1)
        label = int(label) if np.ndim(label) == 0 else -1
        name = results.get('img_path', f'sample {index}')
        for transform in self.transforms[part]:
            is_read = 'img' in results
            try:
                results = transform(results)
                if results is None:
                    raise ValueError('the loading transform returned nothing')
            except Exception as error:  # decoders raise what they like
                if is_read:
                    raise ValueError(
                        f'{type(transform).__name__} does not take {name}: {error}'
                    ) from error
                zeros = torch.zeros(3, *self.input_size, dtype=torch.uint8)
                return zeros, index, label, f'{name} ({error})'
        return PackInputs.format_input(results['img']), index, label, ''


def _loaders(dataset: BaseDataset) -> list[Any]:
    """Return the transforms at the front of a pipeline that load the image."""
    loaders = []
    for transform in dataset.pipeline.transforms:
        if not type(transform).__name__.startswith('Load'):
            break
        loaders.append(transform)
    return loaders
