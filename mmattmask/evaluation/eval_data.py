"""Labelled images for evaluation: MMPretrain's datasets under fixed transforms."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset

from mmattmask.dataset_configs import base_datasets, is_rgb
from mmattmask.datasets.concat import bases, fingerprint
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.files import file_state

Transforms = list[dict[str, Any]]
# Images smaller than this lose nothing to the centre crop.
CROPPED_FROM = 128


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images after their transforms, and class indices, (N,) int64, -1 without labels.

    ``classes`` are names, if known. ``rgb``: channels are red, green, blue, not
    reversed. ``fingerprint`` hashes files, labels, their order, and transforms.
    """

    images: WholeImages
    labels: Tensor
    classes: tuple[str, ...]
    rgb: bool
    fingerprint: str

    def __len__(self) -> int:
        return len(self.labels)


def whole_view(size: tuple[int, int], resize: int | None = None) -> Transforms:
    """Return the transforms of evaluation: resize the shorter side, crop the centre.

    Args:
        size: Height and width in px. If they differ, images are squashed to them.
        resize: The shorter side in px before the crop. Defaults to 256/224 of ``size``,
            and to ``size`` for images below 128 px. ValueError below ``size``, or of a
            size that is not square.
    """
    height, width = size
    resizing = dict(backend='pillow', interpolation='bicubic')
    if height != width:
        if resize is not None:
            raise ValueError(f'--resize {resize} needs a square size, got {size}')
        return [dict(type='mmcv.Resize', scale=(width, height), **resizing)]
    if resize is None:
        resize = height if height < CROPPED_FROM else height * 256 // 224
    if resize < height:
        raise ValueError(f'cannot crop {height} px out of a resized side of {resize}')
    return [
        dict(type='mmpretrain.ResizeEdge', scale=resize, edge='short', **resizing),
        dict(type='mmcv.CenterCrop', crop_size=height),
    ]


def random_view(size: tuple[int, int]) -> Transforms:
    """Return iBOT's transforms of a linear probe: a random resized crop and a flip."""
    return [
        dict(
            type='mmpretrain.RandomResizedCrop',
            scale=size,  # (h, w), unlike mmcv's
            crop_ratio_range=(0.08, 1.0),
            backend='pillow',
            interpolation='bilinear',
        ),
        dict(type='mmcv.RandomFlip', prob=0.5),
    ]


def labelled_images(
    config: dict[str, Any],
    transforms: Transforms,
    size: tuple[int, int],
    subset: int | None = None,
    need_labels: bool = True,
) -> LabelledImages:
    """Build a dataset under other transforms than its own.

    Args:
        config: The dataset's config; its pipeline is not used.
        transforms: What follows loading; must end in images of ``size``.
        size: Height and width in px.
        subset: Use the first so many images of every class only.
        need_labels: Refuse images without one class.

    Raises:
        ValueError: If there is no image, a label is missing, or datasets are joined.
        FileNotFoundError: If a file is missing.
    """
    config, *others = base_datasets(config)
    if others:
        raise ValueError(
            f'{len(others) + 1} datasets are joined: evaluation takes one at a time'
        )
    config = {**config, 'pipeline': []}
    dataset = DATASETS.build(config)
    bases(dataset)
    infos = map(dataset.get_data_info, range(len(dataset)))
    labels = [_label(info.get('gt_label')) for info in infos]
    if need_labels and min(labels, default=-1) < 0:
        raise ValueError(
            f'{config["type"]} has {len(labels)} images, {labels.count(-1)} of them '
            'without a class: evaluation needs images with one class each'
        )
    if subset is not None:
        chosen = first_of_each_class(labels, subset)
        dataset.get_subset_(chosen)
        labels = [labels[index] for index in chosen]
    if 'img' not in dataset.get_data_info(0):
        transforms = [dict(type='mmcv.LoadImageFromFile'), *transforms]
    return LabelledImages(
        WholeImages([dataset], size, transforms),
        torch.tensor(labels, dtype=torch.int64),
        tuple(dataset.metainfo.get('classes') or ()),
        is_rgb(config),
        _identity(dataset, transforms, size),
    )


def _label(value: Any) -> int:
    """Return a class index, or -1 where there is not exactly one."""
    return int(value) if value is not None and np.ndim(value) == 0 else -1


def _identity(
    dataset: BaseDataset, transforms: Transforms, size: tuple[int, int]
) -> str:
    """Hash the listed images, the state of their files, and the transforms."""
    result = hashlib.blake2b(digest_size=16)
    result.update(f'{fingerprint([dataset])} {json.dumps([transforms, size])}'.encode())
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        path = info.get('img_path', '')
        if 'img' in info or '://' in path:  # the dataset's hash holds arrays
            continue
        state = file_state(path)
        if not state:
            raise FileNotFoundError(f'there is no image {path}')
        result.update(f' {state}'.encode())
    return result.hexdigest()


def first_of_each_class(labels: Sequence[int], count: int) -> list[int]:
    """Return the places of the first ``count`` (at least 1) images of every class.

    Source: gkakogeorgiou/attmask utils.py, --subset.
    """
    if count < 1:
        raise ValueError(f'--subset must be at least 1, got {count}')
    seen: dict[int, int] = {}
    chosen = []
    for place, label in enumerate(labels):
        seen[label] = seen.get(label, 0) + 1
        if seen[label] <= count:
            chosen.append(place)
    return chosen


def check_same_classes(train: LabelledImages, val: LabelledImages) -> None:
    """Raise ValueError unless a label means the same in both datasets."""
    if train.classes and val.classes and train.classes != val.classes:
        differ = sorted(set(train.classes) ^ set(val.classes))
        raise ValueError(
            f'the training images have {len(train.classes)} classes and the validation '
            f'images {len(val.classes)}, not the same: {", ".join(differ[:6])}'
        )
    unknown = set(val.labels.tolist()) - set(train.labels.tolist())
    if unknown:
        raise ValueError(
            f'{len(unknown)} classes of the validation images have no training image: '
            f'{sorted(unknown)[:6]}'
        )


class RandomViews(Dataset):
    """Random views that depend on nothing but seed, epoch and image.

    So neither the number of processes nor a restart changes them.
    """

    def __init__(self, images: LabelledImages, seed: int) -> None:
        self.images = images.images
        self.seed = seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int, int, str]:
        """Return what :class:`WholeImages` does, for (epoch, index)."""
        state = np.random.SeedSequence([self.seed, *key]).generate_state(1)
        np.random.seed(int(state[0]))  # noqa: NPY002 what the transforms draw from
        return self.images[key[1]]
