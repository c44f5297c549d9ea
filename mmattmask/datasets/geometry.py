"""Where a view lies in its source image, and which pipelines keep track of it."""

from collections.abc import Iterable, Iterator
from typing import Any

Box = tuple[float, float, float, float]

# Stock transforms that move pixels without saying where they went.
LOSSY_TRANSFORMS = {
    'Albumentations',
    'AutoAugment',
    'CenterCrop',
    'EfficientNetCenterCrop',
    'EfficientNetRandomCrop',
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
    'Translate',
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
    from mmattmask.registry import TRANSFORMS

    last = None
    for last in _flatten(transforms):
        wrapped = getattr(last, 't', last)  # torchvision/X is a wrapper around X
        name = type(wrapped).__name__
        if name in LOSSY_TRANSFORMS and not getattr(last, 'records_geometry', False):
            own = TRANSFORMS.module_dict.get(name)
            advice = (
                f"use type='mmattmask.{name}', which takes the same arguments"
                if own is not None
                else 'replace it with one of the crops of mmattmask.datasets or remove '
                'it'
            )
            raise ValueError(
                f'the training pipeline contains {name}, after which a view cannot be '
                f'found in its source image, so cached attention cannot be cropped '
                f'with it: {advice}'
            )
    missing = [k for k in GEOMETRY_KEYS if k not in getattr(last, 'meta_keys', ())]
    if missing:
        raise ValueError(
            f'the training pipeline ends with {type(last).__name__}, which drops '
            f"{', '.join(missing)}: use type='mmattmask.PackInputs'"
        )


def _flatten(transforms: Iterable[Any]) -> Iterator[Any]:
    for transform in transforms:
        inner = getattr(transform, 'transforms', None)
        if inner is None or type(transform).__name__ in LOSSY_TRANSFORMS:
            yield transform
        else:
            for branch in inner:
                yield from _flatten(
                    branch if isinstance(branch, list | tuple) else [branch]
                )
