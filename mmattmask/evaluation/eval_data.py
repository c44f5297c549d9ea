"""Labelled images for evaluation: MMPretrain's datasets under fixed transforms."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from torch import Tensor
from torch.utils.data import Dataset

from mmattmask.dataset_configs import base_datasets, is_rgb
from mmattmask.datasets.concat import bases, fingerprint
from mmattmask.datasets.whole_images import (
    Transform,
    WholeImages,
    built,
    measuring_steps,
)
from mmattmask.files import file_state
from mmattmask.run_data import check_classes

Transforms = Sequence[dict[str, Any]]
# Images smaller than this lose nothing to the centre crop.
CROPPED_FROM = 128


@dataclasses.dataclass(frozen=True)
class LabelledImages:
    """Images after their transforms, and class indices, (N,) int64, -1 without labels.

    ``classes`` are names, if known. ``rgb``: channels are red, green, blue, not
    reversed. ``fingerprint`` hashes files, labels, their order, and transforms,
    ``paths`` each file's name.
    """

    images: WholeImages
    labels: Tensor
    classes: tuple[str, ...]
    rgb: bool
    fingerprint: str
    paths: np.ndarray

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
    steps: Transforms = (),
    subset: int | None = None,
    need_labels: bool = True,
) -> LabelledImages:
    """Build a dataset under other transforms than its own.

    Args:
        config: The dataset's config, wrappers included, of which each image counts
            once; its pipeline is not used.
        transforms: Of the view; must end in images of ``size``.
        size: Height and width in px.
        steps: The pipeline that the model was trained with: what it does before and
            after its crops, without random steps, is done here.
        subset: Use the first so many images of every class only.
        need_labels: Refuse images without one class.

    Raises:
        ValueError: If there is no image, a label is missing, or datasets are joined.
        FileNotFoundError: If a file is missing.
    """
    innermost, *others = base_datasets(config)
    if others:
        raise ValueError(
            f'{len(others) + 1} datasets are joined: evaluation takes one at a time'
        )
    wrapped = DATASETS.build(_without_pipeline(config))
    (dataset,) = bases(wrapped)
    infos: dict[int, tuple[int, int]] = {}  # of each image: label, name
    for index in range(len(wrapped)):
        info = wrapped.get_data_info(index)
        path = info.get('img_path')
        about = _label(info.get('gt_label')), 0 if path is None else hash(path)
        infos.setdefault(info['sample_idx'], about)
    chosen, labels = list(infos), [label for label, _ in infos.values()]
    if need_labels and min(labels, default=-1) < 0:
        raise ValueError(
            f'{innermost["type"]} has {len(labels)} images, {labels.count(-1)} of them '
            'without a class: evaluation needs images with one class each'
        )
    if subset is not None:
        chosen = [chosen[place] for place in first_of_each_class(labels, subset)]
    if chosen != list(range(len(dataset))):
        dataset.get_subset_(chosen)
    loads = not dataset.get_data_info(0).keys() & {'img'}
    return LabelledImages(
        WholeImages([dataset], size, _whole_pipeline(transforms, steps, loads)),
        torch.tensor([infos[index][0] for index in chosen], dtype=torch.int64),
        tuple(dataset.metainfo.get('classes') or ()),
        is_rgb({**innermost, 'pipeline': steps}),
        _identity(dataset, [*transforms, *steps], size),
        np.array([infos[index][1] for index in chosen], np.int64),
    )


def steps_of(cfg: Mapping[str, Any]) -> Transforms:
    """Return the pipeline of a config's training images, or nothing."""
    dataset = (cfg.get('train_dataloader') or {}).get('dataset')
    return list((base_datasets(dataset)[0].get('pipeline') or ()) if dataset else ())


def _without_pipeline(config: dict[str, Any]) -> dict[str, Any]:
    if isinstance(config.get('dataset'), dict):
        return {**config, 'dataset': _without_pipeline(config['dataset'])}
    return {**config, 'pipeline': []}


def _whole_pipeline(
    transforms: Transforms, steps: Transforms, loads: bool
) -> list[Transform]:
    """Return the transforms of the view among the training's; images may be loaded."""
    view = [built(transform) for transform in transforms]
    found = measuring_steps([built(step) for step in steps], view)
    loaders = [step for step in found if type(step).__name__.startswith('Load')]
    if not loads:
        return [step for step in found if step not in loaders]
    stock = [] if loaders else [built(dict(type='mmcv.LoadImageFromFile'))]
    return [*stock, *found]


def _label(value: Any) -> int:
    """Return a class index, or -1 where there is not exactly one."""
    return int(value) if value is not None and np.ndim(value) == 0 else -1


def _identity(
    dataset: BaseDataset, transforms: Transforms, size: tuple[int, int]
) -> str:
    """Hash the listed images, the state of their files, and the transforms."""
    result = hashlib.blake2b(digest_size=16)
    steps = json.dumps([transforms, size], default=str)
    result.update(f'{fingerprint([dataset])} {steps}'.encode())
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        path = info.get('img_path', '')
        if 'img' in info:  # read from a file that lists many, perhaps
            result.update(np.ascontiguousarray(info['img']).data)
            continue
        if '://' in path:
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
    """Raise ValueError unless labels mean the same and no image is in both."""
    check_classes(
        train=dict(classes=train.classes), validation=dict(classes=val.classes)
    )
    unknown = set(val.labels.tolist()) - set(train.labels.tolist())
    if unknown:
        raise ValueError(
            f'{len(unknown)} classes of the validation images have no training image: '
            f'{sorted(unknown)[:6]}'
        )
    shared = set(train.paths[train.paths != 0]) & set(val.paths.tolist())
    if shared:
        place = int(np.isin(val.paths, list(shared)).argmax())
        raise ValueError(
            f'{np.isin(val.paths, list(shared)).sum()} of {len(val)} validation images '
            'are training images, too, such as '
            f'{val.images.info(place)[1]["img_path"]}'
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
