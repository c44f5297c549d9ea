"""Labels of parts from maps that the user brings: superpixels, segmentations."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from mmattmask.masking import view_labels
from mmattmask.registry import MODELS
from mmattmask.scorers.user_maps import UserMaps


@MODELS.register_module()
class LabelMaps(UserMaps):
    """A map of labels of every whole image, for policies on parts.

    A label says which part (object, superpixel) a place belongs to: a whole number that
    is at least 0, with its own meaning in each image. A patch of a view has the label
    that most of it has. Files, names and errors as for ``UserMaps``.

    Args:
        path: See ``UserMaps``.
    """

    gives_labels = True
    averages_area = False  # a mean of labels means nothing

    def _checked(self, stack: np.ndarray, keys: Sequence[Any]) -> np.ndarray:
        """Return labels, (n, h, w); ValueError if an image has only one."""
        if stack.dtype.kind == 'f':
            raise ValueError(
                f'{self.files.label(keys[0])} holds {stack.dtype} numbers: labels are '
                'integers'
            )
        labels = stack.astype(np.int64, copy=False)
        for row, key in zip(labels, keys, strict=True):
            low, high = row.min(), row.max()
            if low < 0 or low == high:
                raise ValueError(
                    f'{self.files.label(key)} has labels from {low} to {high}: they '
                    'are at least 0, and an image has two or more'
                )
        return labels

    def _look(
        self,
        maps: Tensor,
        geometry: tuple[Tensor, Tensor, Tensor],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the labels of the views' cells, (n, h * w) int64."""
        return view_labels(maps, *geometry, grid, samples=min(cell_size, 8))
