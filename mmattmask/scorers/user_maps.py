"""Scores from maps that the user brings: saliency, foreground, anything."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from mmattmask.device import to_device
from mmattmask.geometry import read_keys, read_metainfo, view_geometry
from mmattmask.masking import view_score
from mmattmask.masking.attention import full_precision
from mmattmask.registry import MODELS
from mmattmask.scorers.area import area_score
from mmattmask.scorers.base import Scorer
from mmattmask.scorers.map_files import MapArray, in_range, open_maps

ORIENTATION = 0x0112  # EXIF's name for it
# Maps of more cells along a side are of an image's resolution, not a grid's.
LARGEST_GRID = 64


@MODELS.register_module()
class UserMaps(Scorer):
    """A map of every whole image, cropped and flipped like each view.

    A map is (h, w) numbers, not negative, large = attended, of any scale and of any
    size: a 14 x 14 grid, saliency at the image's resolution, a boolean foreground. It
    covers its whole image; a constant one says "nothing is known". Maps are read when
    they are needed; none of them is in checkpoints. Those of more than 64 cells along a
    side are averaged over the area of each patch, so that no object is too small to
    count.

    Speed: one array is fastest, then ``.safetensors``, then a folder of files. Grids of
    28 x 28 tell a 14 x 14 policy as much as maps of the image's resolution, which cost
    as much to read as the images.

    Args:
        path: A folder of ``.npy`` files or one ``.safetensors`` file, where a map's
            name is the end of its image's path without the extension
            (``n01440764/x``, or ``x``); or one ``.npy`` file, (N, h, w), in the order
            of the sample ids. Every run gets ``CheckMapsHook``, which checks before
            training that all images have theirs.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If there are no maps.
    """

    reads_geometry = True
    added_hooks = ('CheckMapsHook',)
    checks_sides = True  # of maps of the image's resolution, when they are drawn
    averages_area = True  # of a patch, in maps of the image's resolution

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.files = open_maps(path)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f'path={str(self.files.path)!r}'

    def missing(self, img_paths: Sequence[str | None]) -> list[str]:
        """Return the images, in the order of their sample ids, without a map."""
        return self.files.missing(img_paths)

    def check_other_images(self) -> None:
        """Raise ValueError if maps go by sample id."""
        if isinstance(self.files, MapArray):
            raise ValueError(
                f'{self.files.path} holds maps by sample id, which other images than '
                'those of training do not have: name maps by image (a folder of .npy '
                'files or one .safetensors file), leave dataset of MaskStripHook out, '
                "or draw the model's attention (visualize --score cls)"
            )

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' cells, (B, h * w), in the range of the maps.

        Samples have ``crop_box``, ``ori_shape``, ``flip``, ``flip_direction`` and
        ``img_path`` or ``sample_idx``.

        Raises:
            ValueError: If a sample lacks its geometry or its map, or the map holds
                negative, infinite or undefined values.
        """
        device = inputs.device
        crop_box, image_size, flip = view_geometry(data_samples, device)
        keys: list[Any] = [self.files.find(*key) for key in read_keys(data_samples)]
        maps = self.files.read(keys)
        rows_by_size: dict[tuple[int, ...], list[int]] = {}
        large = []
        for row, values in enumerate(maps):
            if self.averages_area and max(values.shape) > LARGEST_GRID:
                large.append(row)
            else:
                rows_by_size.setdefault(values.shape, []).append(row)
        scores, places = [], []
        for rows in rows_by_size.values():
            stack = np.stack([maps[row] for row in rows])
            stack = self._checked(stack, [keys[row] for row in rows])
            views = crop_box, image_size, flip
            if len(rows) < len(maps):
                index = to_device(torch.tensor(rows), device)
                views = crop_box[index], image_size[index], flip[index]
                places.append(index)
            with full_precision(inputs):
                score = self._look(
                    to_device(torch.from_numpy(stack), device), views, grid, cell_size
                )
            if len(rows) == len(maps):
                return score
            scores.append(score)
        if large:
            boxes = read_metainfo(data_samples, 'crop_box', 'ori_shape')
            flips = view_geometry(data_samples)[2].tolist()
            areas = []
            for row in large:
                box, size = boxes[row]
                sides = size if self.checks_sides else None
                self._check_one(maps[row], keys[row], sides)
                areas.append(area_score(maps[row], box, size, flips[row], grid))
            scores.append(to_device(torch.from_numpy(np.stack(areas)), device))
            places.append(to_device(torch.tensor(large), device))
        return torch.cat(scores)[torch.cat(places).argsort()]

    def _look(
        self,
        maps: Tensor,
        geometry: tuple[Tensor, Tensor, Tensor],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' cells, (n, h * w), of maps of one size."""
        return view_score(maps, *geometry, grid, samples=cell_size)

    def _checked(self, stack: np.ndarray, keys: Sequence[Any]) -> np.ndarray:
        """Return maps of one size, (n, h, w) bool, uint8 or float32, if they may be."""
        if stack.dtype not in (np.bool_, np.uint8):
            stack = stack.astype(np.float32, copy=False)
        valid = in_range(stack)
        if not valid.all():
            raise ValueError(
                f'{self.files.label(keys[int(valid.argmin())])} holds negative, '
                'infinite or undefined values: scores are at least 0, large = attended'
            )
        return stack

    def _check_one(
        self, values: np.ndarray, key: Any, image_size: Sequence[int] | None
    ) -> None:
        """Raise ValueError unless a map (h, w) of an image (H, W) can be used."""
        self._checked(values[None], [key])
        size = values.shape if image_size is None else tuple(image_size)
        if values.shape != size and values.shape == size[::-1]:
            raise ValueError(
                f'{self.files.label(key)} is {values.shape[0]} x {values.shape[1]}, '
                f'its image {size[0]} x {size[1]}: a side was taken for the other, or '
                "the photograph's EXIF orientation was not followed; make maps of "
                'np.asarray(ImageOps.exif_transpose(Image.open(path)))'
            )

    def faults(
        self,
        img_paths: Sequence[str | None],
        indices: Iterable[int],
        follows_exif: bool = True,
    ) -> Iterator[str | None]:
        """Read some images' maps to the end; yield what is wrong with each or None."""
        for index in indices:
            try:
                key: Any = self.files.find(img_paths[index], index)
                (values,) = self.files.read([key])
                large = max(values.shape) > LARGEST_GRID
                size = _image_size(img_paths[index], follows_exif) if large else None
                self._check_one(values, key, size)
                yield None
            except ValueError as error:
                yield str(error)


def _image_size(path: str | None, follows_exif: bool) -> tuple[int, int] | None:
    """Return height and width of an image as it is shown; None if that is not known."""
    if path is None:
        return None
    try:
        with Image.open(path) as image:
            width, height = image.size
            turned = image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
    except (OSError, ValueError, SyntaxError):  # another decoder may read it
        return None
    return (width, height) if turned and follows_exif else (height, width)
