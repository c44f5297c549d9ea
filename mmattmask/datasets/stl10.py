"""STL-10, which MMPretrain lacks."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from mmpretrain.datasets import BaseDataset

from mmattmask.datasets.archive import fetch_archive
from mmattmask.registry import DATASETS

SIDE = 96
IMAGE_BYTES = 3 * SIDE * SIDE
SPLITS = ('train', 'test', 'unlabeled')
# Official order: label 1 of the files is class 0 here.
CLASSES = (
    'airplane',
    'bird',
    'car',
    'cat',
    'deer',
    'dog',
    'horse',
    'monkey',
    'ship',
    'truck',
)


@DATASETS.register_module()
class STL10(BaseDataset):
    """STL-10: ten classes, 5,000 training and 8,000 test images of 96 x 96 px.

    As in MMPretrain's CIFAR datasets a sample is an array ``img``, (96, 96, 3) uint8,
    in RGB order, so a pipeline starts without LoadImageFromFile. An image is read when
    it is needed: the 100,000 unlabeled ones (2.8 GB) do not stay in RAM.

    Args:
        data_root: The folder with ``stl10_binary/train_X.bin`` and its neighbours, or
            where to put them.
        split: ``'train'``, ``'test'`` or ``'unlabeled'``; the last has no labels.
        download: Download the archive (2.6 GB) where the files are missing.
        **kwargs: As for MMPretrain's BaseDataset.

    Raises:
        ValueError: If there is no such split, or files are cut short.
        FileNotFoundError: If the files are missing and not downloaded.

    Source: https://cs.stanford.edu/~acoates/stl10.
    """

    rgb_arrays = True
    url = 'http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz'
    md5 = '91f7769df0f17e558f3565bffb0c7dfb'
    METAINFO: ClassVar[dict[str, Any]] = {'classes': CLASSES}

    def __init__(
        self, data_root: str, split: str = 'train', download: bool = True, **kwargs: Any
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {split!r}')
        self.split = split
        self.download = download
        prefix = dict(root='stl10_binary')
        super().__init__('', data_root=data_root, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List which image of the file has which label."""
        self.image_file = Path(self.data_prefix['root']) / f'{self.split}_X.bin'
        needed = [self.image_file]
        if self.split != 'unlabeled':
            needed.append(self.image_file.with_name(f'{self.split}_y.bin'))
        missing = [path for path in needed if not path.is_file()]
        if missing and not self.download:
            raise FileNotFoundError(
                f'STL-10 lacks {", ".join(map(str, missing))}: set download=True, or '
                f'unpack {self.url} in {self.data_root}'
            )
        if missing:
            fetch_archive('STL-10', self.url, self.md5, self.data_root)
        size = self.image_file.stat().st_size
        count, rest = divmod(size, IMAGE_BYTES)
        if rest or not count:
            raise ValueError(
                f'{self.image_file} has {size} bytes, not whole images of '
                f'{IMAGE_BYTES}: it is cut short'
            )
        samples: list[dict[str, Any]] = [
            dict(img_path=f'{self.image_file}#{index}', image=index)
            for index in range(count)
        ]
        for path in needed[1:]:
            labels = np.fromfile(path, dtype=np.uint8).astype(int)
            if len(labels) != count:
                raise ValueError(f'{path} has {len(labels)} labels for {count} images')
            if labels.min() < 1 or labels.max() > len(CLASSES):
                raise ValueError(
                    f'{path} has labels {labels.min()} to {labels.max()}, not 1 to '
                    f'{len(CLASSES)}'
                )
            for sample, label in zip(samples, labels.tolist(), strict=True):
                sample['gt_label'] = label - 1
        return samples

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return a sample with its pixels."""
        info = super().get_data_info(idx)
        start = info.pop('image') * IMAGE_BYTES
        flat = np.fromfile(self.image_file, np.uint8, IMAGE_BYTES, offset=start)
        # The file keeps columns together: (channel, column, row).
        pixels = flat.reshape(3, SIDE, SIDE).transpose(2, 1, 0)
        return dict(info, img=np.ascontiguousarray(pixels))

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the label of a sample, without its pixels."""
        return [int(super().get_data_info(idx)['gt_label'])]

    def get_gt_labels(self) -> np.ndarray:
        """Return all labels, (N,)."""
        return np.array([self.get_cat_ids(index)[0] for index in range(len(self))])
