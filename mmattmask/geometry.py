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
    """Update ``results['crop_box']`` for a crop (top, left, height, width) in px.

    ``box`` and ``size`` (h, w) are of the current image before the crop, what is kept
    is of the source image, before any flip: crops, resizes and flips may follow each
    other in any order. Where it is missing, ``ori_shape`` is written too.
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


def record_whole(results: dict[str, Any]) -> None:
    """Record that a view without a crop is the whole image."""
    if 'crop_box' not in results:
        size = results['img'].shape[:2]
        record_crop(results, (0, 0, *size), size)


def centre_box(shape: Sequence[int], size: Sequence[int]) -> Box:
    """Return the largest box in the middle of (H, W) px with the aspect of (h, w)."""
    height = min(shape[0], shape[1] * size[0] / size[1])
    width = min(shape[1], shape[0] * size[1] / size[0])
    return (shape[0] - height) / 2, (shape[1] - width) / 2, height, width


@dataclasses.dataclass(frozen=True, slots=True)
class ViewSample:
    """Which part of which image a view shows; what scorers read of a DataSample."""

    sample_idx: int | None  # None where the file is the key
    img_path: str | None  # None for an image in memory
    ori_shape: tuple[int, ...]  # height and width of the image in px
    crop_box: Box  # top, left, height and width of the view in px of the image
    flip: bool  # after the crop
    flip_direction: str | None


def view_samples(data_samples: Sequence[Any], view: int) -> list[ViewSample]:
    """Return what a scorer takes in place of DataSamples, for one view of each image.

    Raises:
        ValueError: If the samples have no geometry per view (which ``MultiCrop`` and
            ``mmattmask.PackInputs`` give them), or not of so many views.
    """
    views = []
    for sample in data_samples:
        boxes = getattr(sample, 'crop_box', None)
        if not isinstance(boxes, list):
            raise ValueError(
                f'a sample came with crop_box {boxes} instead of a list of one per '
                "view: make views with type='mmattmask.MultiCrop' and end the training "
                "pipeline with type='mmattmask.PackInputs'"
            )
        if not 0 <= view < len(boxes):
            raise ValueError(f'there is no view {view}, only {len(boxes)} from 0')
        path = getattr(sample, 'img_path', None)
        flip, direction = sample.flip[view], sample.flip_direction[view]
        views.append(
            ViewSample(
                sample.sample_idx, path, sample.ori_shape, boxes[view], flip, direction
            )
        )
    return views


def read_metainfo(data_samples: Sequence[Any], *names: str) -> list[tuple[Any, ...]]:
    """Return fields of every view, or raise ValueError if a view lacks one."""
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

    Returns:
        ``crop_box`` (B, 4) and ``image_size`` (B, 2) in px, float32, and ``flip``
        (B, 2) bool, vertically and horizontally; in one copy to the device.

    Raises:
        ValueError: If a view lacks ``crop_box`` or ``ori_shape``.
    """
    rows = getattr(data_samples, 'geometry', lambda: None)()
    rows = geometry_rows(data_samples) if rows is None else rows
    geometry = to_device(torch.from_numpy(rows), device)
    crop_box, image_size, flip = geometry.split([4, 2, 2], dim=1)
    return crop_box, image_size, flip.bool()


def geometry_rows(data_samples: Sequence[Any]) -> np.ndarray:
    """Return :func:`view_geometry` in one array, (B, 8) float32."""
    places = read_metainfo(data_samples, 'crop_box', 'ori_shape')
    rows = []
    for sample, (box, shape) in zip(data_samples, places, strict=True):
        direction = getattr(sample, 'flip_direction', None)
        flips = flip_axes(getattr(sample, 'flip', False), direction)
        rows.append((*box, *shape[:2], *flips))
    return np.array(rows, dtype=np.float32)
