"""Which pipelines keep track of a view, and how a stock one is made to."""

from collections.abc import Iterable
from typing import Any

from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmengine.dataset import BaseDataset
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets.transforms import (
    CenterCrop,
    PackInputs,
    RandomCrop,
    RandomResizedCrop,
    RandomResizedCropAndInterpolationWithTwoPic,
)
from mmattmask.geometry import GEOMETRY_KEYS
from mmattmask.registry import TRANSFORMS

# Transforms of MMCV, MMPretrain and torchvision that move pixels without saying where
# they went; subclasses count too.
LOSSY_TRANSFORMS = {
    'AlbuKeypoint',
    'Albumentations',
    'AugMix',
    'AutoAugment',
    'CenterCrop',
    'EfficientNetCenterCrop',
    'EfficientNetRandomCrop',
    'ElasticTransform',
    'FiveCrop',
    'MAERandomResizedCrop',
    'MultiView',
    'Pad',
    'RandAugment',
    'RandomAffine',
    'RandomCrop',
    'RandomHorizontalFlip',
    'RandomPerspective',
    'RandomResizedCrop',
    'RandomResizedCropAndInterpolationWithTwoPic',
    'RandomRotation',
    'RandomTranslatePad',
    'RandomVerticalFlip',
    'Rotate',
    'Shear',
    'TenCrop',
    'Translate',
    'TrivialAugmentWide',
}
# Stock classes, and ours that do the same and record where a crop came from.
RECORDING: dict[type, Any] = {
    MMCVCenterCrop: CenterCrop,
    stock.RandomCrop: RandomCrop,
    stock.RandomResizedCrop: RandomResizedCrop,
    stock.RandomResizedCropAndInterpolationWithTwoPic: (
        RandomResizedCropAndInterpolationWithTwoPic
    ),
    stock.PackInputs: PackInputs,
}


def record_views(datasets: Iterable[BaseDataset]) -> list[str]:
    """Make training pipelines record where their views come from.

    Stock crops and the stock packing are exchanged, in place, for ours of the same
    name, which return the same crops from the same random numbers, their pixels by
    ``resize``. Call it in the main process before loader workers start.

    Args:
        datasets: Base datasets with a pipeline each.

    Returns:
        Names of the transforms that were exchanged, each once.

    Raises:
        ValueError: As :func:`check_pipeline`, for what cannot be exchanged.
    """
    datasets = list(datasets)
    names = exchange_stock(datasets)
    for dataset in datasets:
        check_pipeline(dataset.pipeline.transforms)
    return names


def exchange_stock(datasets: Iterable[BaseDataset]) -> list[str]:
    """As :func:`record_views`, wherever views come from."""
    names: dict[str, None] = {}
    for dataset in datasets:
        _exchange(dataset.pipeline.transforms, names)
    return list(names)


def record_transforms(transforms: list[Any]) -> list[str]:
    """As :func:`record_views`, for the transforms of one pipeline."""
    names: dict[str, None] = {}
    _exchange(transforms, names)
    check_pipeline(transforms)
    return list(names)


def _exchange(transforms: list[Any], names: dict[str, None]) -> None:
    for place, transform in enumerate(transforms):
        own = RECORDING.get(type(transform))
        if own is not None and not getattr(transform, 'auto_pad', False):
            transforms[place] = own.from_stock(transform)
            names[own.__name__] = None
        inner = getattr(transform, 'transforms', None)
        if isinstance(inner, list):
            _exchange(inner, names)
        elif inner is not None:
            _exchange([inner], names)  # Compose, whose own list is looked at


def check_pipeline(transforms: Iterable[Any]) -> None:
    """Raise unless the pipeline lets a view be found in its source image.

    Args:
        transforms: The transforms of a training pipeline; wrappers are searched too.

    Raises:
        ValueError: If a transform moves pixels without recording it or the packing
            transform drops the record; the message names it and its replacement.
    """
    transforms = list(transforms)
    _check_moves(transforms)
    last = transforms[-1] if transforms else None
    missing = [k for k in GEOMETRY_KEYS if k not in getattr(last, 'meta_keys', ())]
    if missing:
        raise ValueError(
            f'the training pipeline ends with {type(last).__name__}, which drops '
            f"{', '.join(missing)}: use type='mmattmask.PackInputs'"
        )


def _check_moves(transforms: Iterable[Any], num_flips: int = 0) -> None:
    for transform in transforms:
        name = _lossy_name(transform)
        if name is not None:
            raise ValueError(
                'the training pipeline contains '
                f'{type(_unwrap(transform)).__name__}, after which a view cannot be '
                'found in its source image, so cached attention cannot be cropped with '
                f'it: {_advice(name)}'
            )
        num_flips += type(transform).__name__ == 'RandomFlip'
        if num_flips > 1:
            raise ValueError(
                'the training pipeline contains RandomFlip twice; the second forgets '
                'what the first did: use one, with direction=[...] for several'
            )
        for branch in getattr(_unwrap(transform), 'transforms', None) or ():
            branch = branch if isinstance(branch, list | tuple) else [branch]
            _check_moves(branch, num_flips)


def _unwrap(transform: Any) -> Any:
    return getattr(transform, 't', transform)  # torchvision/X is a wrapper around X


def _lossy_name(transform: Any) -> str | None:
    """Return the name under which a transform is known to lose geometry, or None."""
    if getattr(transform, 'records_geometry', False):
        return None
    names = [cls.__name__ for cls in type(_unwrap(transform)).__mro__]
    return next((name for name in names if name in LOSSY_TRANSFORMS), None)


def _advice(name: str) -> str:
    if name in TRANSFORMS.module_dict:
        return f"use type='mmattmask.{name}', which takes the same arguments"
    return 'replace it with one of the crops of mmattmask.datasets or remove it'
