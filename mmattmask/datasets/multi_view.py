"""Several views of one image, with the geometry of the first."""

import copy
from typing import Any

from mmpretrain.datasets import MultiView as StockMultiView

from mmattmask.geometry import record_crop
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
        first = views[0]
        images = [view['img'] for view in views]
        if 'crop_box' not in first:  # no crop: the view is the whole image
            size = images[0].shape[:2]
            record_crop(first, (0, 0, *size), size)
        return {**first, 'img': images}
