"""Where a view lies in its source image: what is recorded, and how it is read."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmattmask.device import to_device

Box = tuple[float, float, float, float]
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


@dataclasses.dataclass(frozen=True, slots=True)
class ViewSample:
    """Which part of which image a view shows; what scorers read of a DataSample.

    Attributes:
        sample_idx: Key of the image, or None where its file is the key.
        img_path: Its file, or None for an image in memory.
        ori_shape: Its height and width in px.
        crop_box: The view in px of the image: top, left, height, width.
        flip: Whether the view was flipped after the crop.
        flip_direction: ``'horizontal'``, ``'vertical'``, ``'diagonal'`` or None.
    """

    sample_idx: int | None
    img_path: str | None
    ori_shape: tuple[int, ...]
    crop_box: Box
    flip: bool
    flip_direction: str | None


def view_samples(data_samples: Sequence[Any], view: int) -> list[ViewSample]:
    """Return one view's geometry of each image of a batch.

    Args:
        data_samples: One DataSample per image, of a pipeline with ``MultiCrop`` and
            ``mmattmask.PackInputs``.
        view: Index of the view, in the order of the inputs.

    Returns:
        One object per image that a scorer takes in place of a DataSample.

    Raises:
        ValueError: If the samples have no geometry per view, or not of so many views.
    """
    return [_view_sample(sample, view) for sample in data_samples]


def _view_sample(sample: Any, view: int) -> ViewSample:
    boxes = getattr(sample, 'crop_box', None)
    if not isinstance(boxes, list):
        raise ValueError(
            f'a sample came with crop_box {boxes} instead of a list of one per view: '
            "make views with type='mmattmask.MultiCrop' and end the training pipeline "
            "with type='mmattmask.PackInputs'"
        )
    if not 0 <= view < len(boxes):
        raise ValueError(f'there is no view {view}, only {len(boxes)} from 0')
    return ViewSample(
        sample.sample_idx,
        getattr(sample, 'img_path', None),
        sample.ori_shape,
        boxes[view],
        sample.flip[view],
        sample.flip_direction[view],
    )


def read_metainfo(data_samples: Sequence[Any], *names: str) -> list[tuple[Any, ...]]:
    """Return fields of every view.

    Args:
        data_samples: One DataSample per view.
        *names: The fields.

    Raises:
        ValueError: If a view lacks one.
    """
    columns = [_column(data_samples, name) for name in names]
    if all(column is not None for column in columns):
        return list(zip(*columns, strict=True))
    try:
        return [tuple(getattr(s, name) for name in names) for s in data_samples]
    except AttributeError as error:
        raise ValueError(
            f'a view came without its geometry ({error}): AttentionRefreshHook and '
            'CheckMapsHook make the training pipeline record it; without them, end it '
            "with type='mmattmask.PackInputs'"
        ) from error


def _column(data_samples: Sequence[Any], name: str) -> list[Any] | None:
    """Return a field of all samples if they came together, see ``SampleBatch``."""
    column = getattr(data_samples, 'column', None)
    return None if column is None else column(name)


def read_keys(data_samples: Sequence[Any]) -> list[tuple[str | None, int | None]]:
    """Return ``img_path`` and ``sample_idx`` of every view; None where it has none."""
    paths, ids = (_column(data_samples, name) for name in ('img_path', 'sample_idx'))
    if paths is not None and ids is not None:
        return list(zip(paths, ids, strict=True))
    return [
        (getattr(sample, 'img_path', None), getattr(sample, 'sample_idx', None))
        for sample in data_samples
    ]


def view_geometry(
    data_samples: Sequence[Any], device: torch.device | str = 'cpu'
) -> tuple[Tensor, Tensor, Tensor]:
    """Return where the views lie in their source images, as ``view_score`` wants it.

    Args:
        data_samples: One DataSample per view with ``crop_box``, ``ori_shape`` and, if
            it may be flipped, ``flip`` and ``flip_direction``.
        device: Where the tensors go, in one copy.

    Returns:
        ``crop_box`` (B, 4) and ``image_size`` (B, 2) in px, float32, and ``flip``
        (B, 2) bool, vertically and horizontally.

    Raises:
        ValueError: If a view lacks its geometry.
    """
    rows = getattr(data_samples, 'geometry', lambda: None)()
    rows = geometry_rows(data_samples) if rows is None else rows
    geometry = to_device(torch.from_numpy(rows), device)
    crop_box, image_size, flip = geometry.split([4, 2, 2], dim=1)
    return crop_box, image_size, flip.bool()


def geometry_rows(data_samples: Sequence[Any]) -> np.ndarray:
    """Return :func:`view_geometry` in one array, (B, 8) float32."""
    places = read_metainfo(data_samples, 'crop_box', 'ori_shape')
    rows = [
        (*box, *shape[:2], *_flips(sample))
        for sample, (box, shape) in zip(data_samples, places, strict=True)
    ]
    return np.array(rows, dtype=np.float32)


def _flips(sample: Any) -> tuple[bool, bool]:
    return flip_axes(
        getattr(sample, 'flip', False), getattr(sample, 'flip_direction', None)
    )
