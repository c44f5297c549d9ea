"""Scores from maps that the user brings: saliency, foreground, anything."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmattmask.geometry import view_geometry
from mmattmask.masking import view_score
from mmattmask.masking.attention import full_precision
from mmattmask.registry import MODELS
from mmattmask.scorers.base import Scorer
from mmattmask.scorers.map_files import open_maps


@MODELS.register_module()
class UserMaps(Scorer):
    """A map of every whole image, cropped and flipped like each view.

    A map is (h, w) numbers, not negative, large = attended, of any scale and of any
    size: a 14 x 14 grid, saliency at the image's resolution, a boolean foreground. It
    covers its whole image; a constant one says "nothing is known". Maps are read when
    they are needed, in the process that asks, and none of them is in checkpoints.

    Speed: one array is fastest, then ``.safetensors``, then a folder of files. Grids of
    28 x 28 tell a 14 x 14 policy as much as maps of the image's resolution, which cost
    as much to read as the images; maps of one size are cropped in one operation.

    Args:
        path: A folder of ``.npy`` files or one ``.safetensors`` file, where a map's
            name is the end of its image's path without the extension
            (``n01440764/x``, or ``x``); or one ``.npy`` file, (N, h, w), in the order
            of the sample ids. ``CheckMapsHook`` checks before training that all
            images have theirs.

    Raises:
        FileNotFoundError: If there is nothing at ``path``.
        ValueError: If there are no maps.
    """

    reads_geometry = True

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self.files = open_maps(path)

    def extra_repr(self) -> str:
        """Return the arguments."""
        return f'path={str(self.files.path)!r}'

    def missing(self, img_paths: Sequence[str | None]) -> list[str]:
        """Return the images without a map.

        Args:
            img_paths: All images of the training data, in the order of their sample
                ids; None for those that are not files.

        Raises:
            ValueError: If one map would stand for two images, or there are more rows
                of an array than images.
        """
        return self.files.missing(img_paths)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' cells.

        Args:
            inputs: Views, (B, 3, H, W); only their device counts.
            data_samples: One DataSample per view with ``crop_box``, ``ori_shape``,
                ``flip``, ``flip_direction`` and ``img_path`` or ``sample_idx``.
            grid: Cells of a view, (h, w).
            cell_size: Side of a cell in px.

        Returns:
            Score, (B, h * w) float32, in the range of the maps.

        Raises:
            ValueError: If a sample lacks its geometry or its map, or the map holds
                negative, infinite or undefined values.
        """
        device = inputs.device
        crop_box, image_size, flip = view_geometry(data_samples, device)
        keys = [
            self.files.find(
                getattr(sample, 'img_path', None), getattr(sample, 'sample_idx', None)
            )
            for sample in data_samples
        ]
        scores, places = [], []
        for rows, maps in self._by_size(keys):
            index = torch.tensor(rows).to(device, non_blocking=True)
            places.append(index)
            with full_precision(inputs):
                score = self._look(
                    torch.from_numpy(maps).to(device, non_blocking=True),
                    (crop_box[index], image_size[index], flip[index]),
                    grid,
                    cell_size,
                )
            scores.append(score)
        return torch.cat(scores)[torch.cat(places).argsort()]

    def _look(
        self,
        maps: Tensor,
        geometry: tuple[Tensor, Tensor, Tensor],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' cells, (n, h * w).

        Args:
            maps: Maps of one size, (n, h', w').
            geometry: Of the views, as ``view_geometry`` returns it.
            grid: Cells of a view, (h, w).
            cell_size: Side of a cell in px.
        """
        return view_score(maps, *geometry, grid, samples=cell_size)

    def _by_size(self, keys: Sequence[Any]) -> list[tuple[list[int], np.ndarray]]:
        """Read maps and stack those of one size.

        Returns:
            Rows of the batch and their maps, (n, h, w) bool, uint8 or float32.
        """
        maps = self.files.read(keys)
        rows_by_size: dict[tuple[int, ...], list[int]] = {}
        for row, values in enumerate(maps):
            rows_by_size.setdefault(values.shape, []).append(row)
        stacks = []
        for rows in rows_by_size.values():
            stack = np.stack([maps[row] for row in rows])
            stacks.append((rows, self._checked(stack, [keys[row] for row in rows])))
        return stacks

    def _checked(self, stack: np.ndarray, keys: Sequence[Any]) -> np.ndarray:
        """Return maps of one size, (n, h, w), if they are scores."""
        if stack.dtype in (np.bool_, np.uint8):
            return stack
        stack = stack.astype(np.float32, copy=False)
        valid = ((stack >= 0) & (stack < np.inf)).all(axis=(1, 2))
        if not valid.all():
            raise ValueError(
                f'{self.files.label(keys[int(valid.argmin())])} holds negative, '
                'infinite or undefined values: scores are at least 0, large = attended'
            )
        return stack
