"""The score of a view from a map of the image's resolution: averages of areas."""

from collections.abc import Sequence

import numpy as np


def area_score(
    values: np.ndarray,
    crop_box: Sequence[float],
    image_size: Sequence[int],
    flip: Sequence[bool],
    grid: tuple[int, int],
) -> np.ndarray:
    """Average a map (h, w) over the area of each patch of a view: (h' * w',) float32.

    Where a view reaches beyond its image, the map's edge values go on. Geometry as for
    ``masking.view_score``, of one view.
    """
    weights, part = [], []
    for axis, size in enumerate(values.shape):
        scale = size / image_size[axis]
        start, length = crop_box[axis] * scale, crop_box[axis + 2] * scale
        edges = start + np.arange(grid[axis] + 1) * (length / grid[axis])
        first = int(np.clip(np.floor(edges[0]), 0, size - 1))
        last = int(np.clip(np.ceil(edges[-1]), first + 1, size))
        begin = np.arange(first, last, dtype=float)  # of each cell
        end = begin + 1
        begin[0], end[-1] = -np.inf, np.inf
        overlap = np.minimum(edges[1:, None], end) - np.maximum(edges[:-1, None], begin)
        overlap = overlap.clip(0) / (length / grid[axis])
        weights.append(overlap[::-1] if flip[axis] else overlap)
        part.append(slice(first, last))
    rows, columns = (weight.astype(np.float32) for weight in weights)
    view = values[part[0], part[1]].astype(np.float32)
    lowest = view.min()  # as in view_score: a constant map stays exactly constant
    return (rows @ (view - lowest) @ columns.T + lowest).ravel()
