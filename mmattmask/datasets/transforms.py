"""Stock crops that record ``crop_box``, and the packing that keeps it.

Each takes the arguments of the MMPretrain or MMCV transform of the same name, draws the
same random numbers and returns the same pixels, see ``resize`` for those of Pillow.
"""

import logging
from collections.abc import Sequence
from typing import Any

import mmcv
import numpy as np
from mmcv.transforms import CenterCrop as MMCVCenterCrop
from mmcv.transforms import LoadImageFromFile as MMCVLoadImageFromFile
from mmengine.logging import print_log
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets.resize import resize
from mmattmask.geometry import GEOMETRY_KEYS, Box, record_crop, record_whole
from mmattmask.registry import TRANSFORMS


class Recording:
    """Mixin of crops that do what a stock one does and record ``crop_box``."""

    records_geometry = True

    @classmethod
    def from_stock(cls, transform: Any) -> Any:
        """Return one with the options of a stock transform of the same name."""
        own = cls.__new__(cls)
        own.__dict__.update(vars(transform))
        return own


@TRANSFORMS.register_module()
class LoadImageFromFile(MMCVLoadImageFromFile):
    """MMCV's LoadImageFromFile that skips a few unreadable images and names them.

    In training the dataset takes another image in place of a skipped one.

    Args:
        max_unreadable: More unreadable images than this in one loader process stop the
            run.
        **kwargs: Arguments of the stock transform.
    """

    def __init__(self, max_unreadable: int = 10, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.max_unreadable = max_unreadable
        self._unreadable: set[str] = set()

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Load the image, or return None for one that cannot be read.

        Raises:
            ValueError: If more than ``max_unreadable`` images cannot be read.
        """
        try:
            return super().transform(results)
        except Exception as error:  # decoders raise what they like, cv2 its own
            path = results['img_path']
            if path not in self._unreadable:
                print_log(
                    f'skipped an unreadable image: {path} ({error})',
                    logger='current',
                    level=logging.WARNING,
                )
            self._unreadable.add(path)
            if len(self._unreadable) > self.max_unreadable:
                raise ValueError(
                    f'{len(self._unreadable)} images cannot be read, max_unreadable is '
                    f'{self.max_unreadable}: {", ".join(sorted(self._unreadable)[:20])}'
                ) from error
            return None


@TRANSFORMS.register_module()
class RandomResizedCrop(Recording, stock.RandomResizedCrop):
    """MMPretrain's RandomResizedCrop that records ``crop_box``."""

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop, resize and record where the crop came from."""
        image = results['img']
        top, left, height, width = box = self.rand_crop_params(image)
        crop = image[top : top + height, left : left + width]
        results['img'] = resize(crop, self.scale, self.interpolation, self.backend)
        results['img_shape'] = results['img'].shape
        record_crop(results, box, image.shape[:2])
        return results


@TRANSFORMS.register_module()
class RandomCrop(Recording, stock.RandomCrop):
    """MMPretrain's RandomCrop that records ``crop_box``.

    With padding the box may reach beyond the source image; the map's edge values
    stand for the padding. ``padding_mode`` holds for ``padding`` too, which the stock
    transform always fills with ``pad_val``.

    Args:
        crop_size: Height and width of the crop in px.
        padding: Px added to all sides, to (left and right, top and bottom), or to
            (left, top, right, bottom).
        **kwargs: Other arguments of the stock transform.
    """

    _box: tuple[int, int, int, int]
    _padded_size: tuple[int, int]

    def __init__(
        self,
        crop_size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(crop_size, **kwargs)  # padding is ours, see transform
        sides = padding if isinstance(padding, Sequence) else [padding or 0] * 4
        self.border = (*sides, *sides) if len(sides) == 2 else tuple(sides)
        self.border_mode = self.padding_mode

    @classmethod
    def from_stock(cls, transform: stock.RandomCrop) -> 'RandomCrop':
        """Return one with the options of a stock transform."""
        names = ('padding', 'pad_if_needed', 'pad_val', 'padding_mode')
        options = {name: getattr(transform, name) for name in names}
        own = cls(transform.crop_size, **options)
        own.border_mode = 'constant'  # as the stock one fills it, whatever it says
        return own

    def rand_crop_params(self, img: np.ndarray) -> tuple[int, int, int, int]:
        """Draw the crop of the padded image and remember it."""
        self._padded_size = img.shape[:2]
        self._box = super().rand_crop_params(img)
        return self._box

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pad, crop and record where the crop came from."""
        size = results['img'].shape[:2]
        left, top, right, bottom = self.border
        # Differs from MMPretrain, which forgets padding_mode here.
        results['img'] = mmcv.impad(
            results['img'],
            padding=self.border,
            pad_val=self.pad_val,
            padding_mode=self.border_mode,
        )
        results = super().transform(results)
        # what pad_if_needed adds is the same on both sides
        extra_y = self._padded_size[0] - size[0] - top - bottom
        extra_x = self._padded_size[1] - size[1] - left - right
        offset_y, offset_x, height, width = self._box
        offset_y -= top + extra_y // 2
        offset_x -= left + extra_x // 2
        record_crop(results, (offset_y, offset_x, height, width), size)
        return results


@TRANSFORMS.register_module()
class CenterCrop(Recording, MMCVCenterCrop):
    """MMCV's CenterCrop that records ``crop_box``; padding is refused."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.auto_pad:
            raise ValueError('mmattmask.CenterCrop does not support auto_pad=True')

    def _crop_img(self, results: dict[str, Any], bboxes: np.ndarray) -> None:
        size = results['img'].shape[:2]
        super()._crop_img(results, bboxes)
        height, width = results['img'].shape[:2]
        left, top = (max(int(value), 0) for value in bboxes[:2])
        record_crop(results, (top, left, height, width), size)


@TRANSFORMS.register_module()
class RandomResizedCropAndInterpolationWithTwoPic(
    Recording,
    stock.RandomResizedCropAndInterpolationWithTwoPic,
):
    """MMPretrain's crop of BEiT and CAE that records ``crop_box``."""

    _box: Box

    def get_params(self, img: np.ndarray, *args: Any) -> Any:
        """Draw the crop and remember it."""
        self._box = super().get_params(img, *args)
        return self._box

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Crop, resize twice and record where the crop came from."""
        size = results['img'].shape[:2]
        results = super().transform(results)
        record_crop(results, self._box, size)
        return results


@TRANSFORMS.register_module()
class PackInputs(stock.PackInputs):
    """MMPretrain's PackInputs that keeps the view's geometry.

    Args:
        meta_keys: Keys to pack. Defaults to the stock ones and ``crop_box``.
        **kwargs: Other arguments of the stock transform.
    """

    def __init__(
        self,
        meta_keys: tuple[str, ...] = (*stock.PackInputs.DEFAULT_META_KEYS, 'crop_box'),
        **kwargs: Any,
    ) -> None:
        super().__init__(meta_keys=meta_keys, **kwargs)

    @classmethod
    def from_stock(cls, transform: stock.PackInputs) -> 'PackInputs':
        """Return one with the options of a stock transform, and the geometry."""
        own = cls()
        own.__dict__.update(vars(transform))
        more = (key for key in GEOMETRY_KEYS if key not in own.meta_keys)
        own.meta_keys = (*own.meta_keys, *more)
        return own

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack; a pipeline without a crop shows the whole image."""
        if isinstance(results.get('img'), np.ndarray):
            record_whole(results)
        return super().transform(results)
