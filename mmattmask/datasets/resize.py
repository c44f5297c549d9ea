"""Resizing images on the CPU: Pillow's pixels, in a quarter of its time."""

import mmcv
import numpy as np
import torch
from torch.nn import functional as F


def resize(
    image: np.ndarray, size: tuple[int, int], interpolation: str, backend: str | None
) -> np.ndarray:
    """Resize as ``mmcv.imresize``; what Pillow would do to colours is torch's.

    Torch's vectorised kernels average as Pillow's do where an image gets smaller, with
    weights rounded elsewhere: of 255 levels they differ by 2 at most. OpenCV's bicubic
    does not average and differs by dozens. ``size`` is height and width.
    """
    is_colour = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
    is_known = backend == 'pillow' and interpolation in ('bilinear', 'bicubic')
    if not (is_colour and is_known):
        image = np.ascontiguousarray(image)  # Pillow reads it several times faster
        return mmcv.imresize(image, size[::-1], False, interpolation, backend=backend)
    # Differs from MMPretrain, which asks Pillow: weights are rounded elsewhere.
    # A copy is faster than a view, and that may be a write-protected one.
    planes = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    resized = F.interpolate(planes, size, mode=interpolation, antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
