"""Where a view lies in its source image, and which pipelines keep track of it."""

from collections.abc import Iterable
from typing import Any

Box = tuple[float, float, float, float]

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
GEOMETRY_KEYS = ('sample_idx', 'ori_shape', 'crop_box', 'flip', 'flip_direction')


def flip_axes(flip: bool, direction: str | None) -> tuple[bool, bool]:
    """Return whether an image is flipped vertically and horizontally."""
    if not flip:
        return False, False
    diagonal = direction == 'diagonal'
    return diagonal or direction == 'vertical', diagonal or direction == 'horizontal'


def record_crop(results: dict[str, Any], box: Box, size: tuple[int, int]) -> None:
    """Update ``results['crop_box']`` for a crop of the current image.

    Crops, resizes and flips may follow each other in any order: the box is kept in
    pixels of the source image, before any flip.

    Args:
        results: The pipeline's dictionary; ``crop_box`` (top, left, height, width) in
            px of the source image and, where missing, ``ori_shape`` are written.
        box: The crop in px of the current image: top, left, height, width.
        size: Height and width of the current image before the crop, in px.
    """
    results.setdefault('ori_shape', tuple(size))
    whole = (0.0, 0.0, *map(float, results['ori_shape'][:2]))
    current: Box = results.get('crop_box', whole)
    origin, extent = [], []
    flips = flip_axes(results.get('flip', False), results.get('flip_direction'))
    for axis, flipped in enumerate(flips):
        offset, length = box[axis], box[axis + 2]
        if flipped:
            offset = size[axis] - offset - length
        scale = current[axis + 2] / size[axis]
        origin.append(current[axis] + offset * scale)
        extent.append(length * scale)
    results['crop_box'] = (*origin, *extent)


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
    from mmattmask.registry import TRANSFORMS

    if name in TRANSFORMS.module_dict:
        return f"use type='mmattmask.{name}', which takes the same arguments"
    return 'replace it with one of the crops of mmattmask.datasets or remove it'
