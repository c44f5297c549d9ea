"""Several views of one image, with the geometry of the first or of each."""

import copy
from typing import Any

import numpy as np
from mmpretrain.datasets import MultiView as StockMultiView

from mmattmask.geometry import record_whole
from mmattmask.registry import TRANSFORMS


@TRANSFORMS.register_module()
class MultiView(StockMultiView):
    """MMPretrain's MultiView that keeps where the first view comes from.

    Takes the same arguments, draws the same random numbers and returns the same
    pixels, of which the stock transform keeps nothing else; here ``crop_box``, ``flip``
    and all other keys are those of the first view.
    """

    records_geometry = True

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the views; ``img`` becomes a list of them."""
        views = [transform(copy.deepcopy(results)) for transform in self.transforms]
        images = [view['img'] for view in views]
        record_whole(views[0])
        return {**views[0], 'img': images}


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
    """

    records_geometry = True

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the views of ``img``, an array (H, W, C)."""
        source = results['img'].view()
        source.flags.writeable = False
        rest = {key: value for key, value in results.items() if key != 'img'}
        rest.setdefault('ori_shape', source.shape[:2])  # one for all boxes
        views = []
        for transform in self.transforms:
            view = transform({**copy.deepcopy(rest), 'img': source})
            image = view['img'] = np.require(view['img'], requirements='W')
            record_whole(view)
            views.append({'flip': False, **view, 'img_shape': image.shape})
        per_view = {
            key: [view.get(key) for view in views]
            for key in ('img', 'img_shape', 'crop_box', 'flip', 'flip_direction')
        }
        return {**rest, **per_view}
