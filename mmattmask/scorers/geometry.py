"""What the loader recorded about a batch of views."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmattmask.datasets.geometry import flip_axes


def read_metainfo(data_samples: Sequence[Any], *names: str) -> list[tuple[Any, ...]]:
    """Return fields of every view.

    Args:
        data_samples: One DataSample per view.
        *names: The fields.

    Raises:
        ValueError: If a view lacks one.
    """
    try:
        return [tuple(getattr(s, name) for name in names) for s in data_samples]
    except AttributeError as error:
        raise ValueError(
            f'a view came without its geometry ({error}): end the training '
            "pipeline with type='mmattmask.PackInputs'"
        ) from error


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
    places = read_metainfo(data_samples, 'crop_box', 'ori_shape')
    rows = [
        (*box, *shape[:2], *_flips(sample))
        for sample, (box, shape) in zip(data_samples, places, strict=True)
    ]
    geometry = torch.from_numpy(np.array(rows, dtype=np.float32))
    geometry = geometry.to(device, non_blocking=True)
    crop_box, image_size, flip = geometry.split([4, 2, 2], dim=1)
    return crop_box, image_size, flip.bool()


def _flips(sample: Any) -> tuple[bool, bool]:
    return flip_axes(
        getattr(sample, 'flip', False), getattr(sample, 'flip_direction', None)
    )
