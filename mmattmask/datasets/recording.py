"""Which pipelines keep track of a view, and how a stock one is made to."""

import re
from collections.abc import Iterable
from typing import Any

from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmcv.transforms import Compose
from mmengine.dataset import Compose as PipelineCompose
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

# By the names of a transform's classes, MMCV's, MMPretrain's, torchvision's or a
# user's: what moves pixels without saying where they went.
LOSSY = re.compile(
    '^(?!Load|Read).*(Crop|Rotat|Affine|Pad|Perspective|Shear|Translate)'
    '|^(AlbuKeypoint|Albumentations|AugMix|AutoAugment|ElasticTransform|MultiView|'
    'RandAugment|RandomHorizontalFlip|RandomVerticalFlip|TrivialAugmentWide)$'
)
SEQUENCES = (Compose, PipelineCompose)
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


def exchange_stock(transforms: list[Any]) -> list[str]:
    """Let stock crops and packing of a pipeline record views, and return their names.

    They are exchanged in place for ours, which return the same crops from the same
    random numbers, their pixels by ``resize``. Call it before loader workers start.
    """
    names = []
    for place, transform in enumerate(transforms):
        own = RECORDING.get(type(transform))
        if own is not None and not getattr(transform, 'auto_pad', False):
            transforms[place] = own.from_stock(transform)
            names.append(own.__name__)
        inner = getattr(transform, 'transforms', None) or []
        # or a Compose, whose own list is looked at
        names += exchange_stock(inner if isinstance(inner, list) else [inner])
    return names


def check_pipeline(transforms: Iterable[Any]) -> None:
    """Raise ValueError unless a pipeline lets a view be found in its source image."""
    transforms = list(transforms)
    _check_moves(transforms)
    last = transforms[-1] if transforms else None
    missing = [k for k in GEOMETRY_KEYS if k not in getattr(last, 'meta_keys', ())]
    if missing:
        raise ValueError(
            f'the training pipeline ends with {type(last).__name__}, which drops '
            f"{', '.join(missing)}: use type='mmattmask.PackInputs'"
        )


def _check_moves(transforms: Iterable[Any], num_flips: int = 0) -> int:
    """Refuse what loses a view; return the most flips of a path through it."""
    for transform in transforms:
        names = class_names(transform)
        lossy = next(filter(LOSSY.search, names), None)
        if lossy and not getattr(transform, 'records_geometry', False):
            advice = (
                'replace it with one of the crops of mmattmask.datasets or remove it; '
                'one of your own calls mmattmask.geometry.record_crop and says '
                'records_geometry = True'
            )
            if lossy in TRANSFORMS.module_dict:
                advice = f"use type='mmattmask.{lossy}', which takes the same arguments"
            raise ValueError(
                f'the training pipeline contains {names[0]}, after which a view cannot '
                'be found in its source image, so cached attention cannot be cropped '
                f'with it: {advice}'
            )
        num_flips += type(transform).__name__ == 'RandomFlip'
        if num_flips > 1:
            raise ValueError(
                'the training pipeline contains RandomFlip twice; the second forgets '
                'what the first did: use one, with direction=[...] for several'
            )
        branches = getattr(_unwrap(transform), 'transforms', None) or ()
        if isinstance(transform, SEQUENCES) or isinstance(branches, SEQUENCES):
            num_flips = _check_moves(branches, num_flips)
        else:  # one of several, or several views
            each = [b if isinstance(b, list | tuple) else [b] for b in branches]
            flips = (_check_moves(branch, num_flips) for branch in each)
            num_flips = max(flips, default=num_flips)
    return num_flips


def _unwrap(transform: Any) -> Any:
    return getattr(transform, 't', transform)  # torchvision/X is a wrapper around X


def class_names(transform: Any) -> list[str]:
    """Return the names of a transform's classes, the wrapped one's of torchvision/X."""
    return [cls.__name__ for cls in type(_unwrap(transform)).__mro__]
