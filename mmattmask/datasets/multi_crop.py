"""Many views of one image, each with its own geometry."""

import copy
from typing import Any

import numpy as np
from mmpretrain.datasets import MultiView as StockMultiView

from mmattmask.geometry import record_crop
from mmattmask.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MultiCrop(StockMultiView):
    """MMPretrain's MultiView that keeps where every view comes from.

    Takes the same arguments, draws the same random numbers and returns the same pixels.
    ``crop_box``, ``flip``, ``flip_direction`` and ``img_shape`` become lists with an
    entry per view, as ``img`` does; all other keys are those of the image. See
    ``mmattmask.geometry.view_samples`` for the score of a view.

    The source image is not copied for each view but write-protected: a transform that
    would change it in place, such as RandomErasing, must follow one that makes a new
    image, such as a crop with a resize.

    Example:
        >>> crop = dict(type='mmattmask.RandomResizedCrop', scale=224)
        >>> small_crop = dict(type='mmattmask.RandomResizedCrop', scale=96)
        >>> dict(
        ...     type='mmattmask.MultiCrop',
        ...     num_views=[2, 10],
        ...     transforms=[[crop], [small_crop]],
        ... )
    """

    records_geometry = True

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the views.

        Args:
            results: The pipeline's dictionary; ``img`` is an array, (H, W, C).

        Returns:
            The dictionary with lists of one entry per view.
        """
        source = results['img'].view()
        source.flags.writeable = False
        rest = {key: value for key, value in results.items() if key != 'img'}
        rest.setdefault('ori_shape', source.shape[:2])  # one for all boxes
        views = [
            _with_geometry(transform({**copy.deepcopy(rest), 'img': source}))
            for transform in self.transforms
        ]
        per_view = {
            key: [view.get(key) for view in views]
            for key in ('img', 'img_shape', 'crop_box', 'flip', 'flip_direction')
        }
        return {**rest, **per_view}


def _with_geometry(view: dict[str, Any]) -> dict[str, Any]:
    """Complete what a view's transforms recorded; its image may be written to."""
    image = np.require(view['img'], requirements='W')
    if 'crop_box' not in view:  # no crop: the view is the whole image
        record_crop(view, (0, 0, *image.shape[:2]), image.shape[:2])
    return {'flip': False, **view, 'img': image, 'img_shape': image.shape}
