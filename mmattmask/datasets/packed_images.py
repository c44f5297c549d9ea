"""A classification dataset in one file: encoded images end to end."""

import io
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from mmengine.dataset import BaseDataset
from PIL import Image, UnidentifiedImageError

from mmattmask.registry import DATASETS

ARRAYS = ('jpeg', 'offsets', 'labels', 'classes')


@DATASETS.register_module()
class PackedImages(BaseDataset):
    """Images and labels of one ``.npz`` file, decoded once and held in memory.

    The file holds ``jpeg`` (uint8, the bytes of all image files end to end),
    ``offsets`` (int64, N + 1), ``labels`` (integers, N) and ``classes`` (names). For
    images of any size, but few enough to fit into memory. As with MMPretrain's
    ``CIFAR10``, samples start with the array ``img``, (H, W, 3) uint8, red first.

    Args:
        ann_file: The file, below ``data_root``.
        data_root: Its folder.
        **kwargs: As for MMEngine's BaseDataset.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an array is missing, counts differ, or an image cannot be read.
    """

    rgb_arrays = True

    def load_data_list(self) -> list[dict[str, Any]]:
        """Decode all images."""
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(f'there is no file of packed images {path}')
        arrays = _read(path)
        labels, offsets = arrays['labels'], arrays['offsets']
        if len(offsets) != len(labels) + 1 or offsets[-1] != len(arrays['jpeg']):
            raise ValueError(
                f'{path}: {len(labels)} labels need {len(labels) + 1} offsets that end '
                f'at {len(arrays["jpeg"])} bytes, got {len(offsets)} that end at '
                f'{offsets[-1] if len(offsets) else None}'
            )
        self._metainfo.setdefault('classes', tuple(arrays['classes'].tolist()))
        data = arrays['jpeg'].tobytes()
        return [
            dict(img=_decode(data[start:end], f'{path}, image {index}'), gt_label=label)
            for index, (start, end, label) in enumerate(
                zip(offsets[:-1], offsets[1:], labels.tolist(), strict=True)
            )
        ]


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [name for name in ARRAYS if name not in file]
            arrays = {name: file[name] for name in ARRAYS if name in file}
    except (BadZipFile, OSError, ValueError) as error:
        raise ValueError(f'{path} cannot be read: {error}') from error
    if missing:
        raise ValueError(f'{path} has no array {", ".join(missing)}')
    return arrays


def _decode(data: bytes, source: str) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image.convert('RGB'))
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f'{source} cannot be read: {error}') from error
