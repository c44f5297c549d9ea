"""Tiny-ImageNet-200, which MMPretrain lacks."""

from pathlib import Path
from typing import Any

from mmpretrain.datasets import CustomDataset

from mmattmask.datasets.archive import fetch_archive
from mmattmask.registry import DATASETS

SPLITS = ('train', 'val')
ANNOTATIONS = 'val_annotations.txt'


@DATASETS.register_module()
class TinyImageNet(CustomDataset):
    """Tiny-ImageNet-200: 100,000 training and 10,000 validation images of 64 x 64 px.

    It reads the archive as unpacked: ``train/<class>/images/*.JPEG``, and
    ``val/images/*.JPEG`` with their classes in ``val/val_annotations.txt``. A ``val``
    that was sorted into class folders is read too. Labels number the training folders
    (WordNet ids) in alphabetical order, for both splits.

    Args:
        data_root: The folder ``tiny-imagenet-200``.
        split: ``'train'`` or ``'val'``; the test split has no labels.
        download: Download the archive (237 MB) where the folder is missing; it unpacks
            to a folder ``tiny-imagenet-200``, so ``data_root`` must end so.
        **kwargs: As for MMPretrain's CustomDataset.

    Raises:
        ValueError: If there is no such split, the folder cannot be downloaded under
            this name, or a class of ``val`` is not in ``train``.
        FileNotFoundError: If the folder is missing and not downloaded.

    Source: http://cs231n.stanford.edu/tiny-imagenet-200.zip.
    """

    url = 'http://cs231n.stanford.edu/tiny-imagenet-200.zip'
    md5 = '90528d7ca1a48142e341f4ef8d21d0de'

    def __init__(
        self, data_root: str, split: str = 'train', download: bool = True, **kwargs: Any
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f'split must be one of {SPLITS}, got {split!r}')
        self.split = split
        self.download = download
        super().__init__(data_root=data_root, data_prefix=split, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List images and labels."""
        folder, root = Path(self.img_prefix), Path(self.data_root)
        if not (folder.is_dir() and (root / 'train').is_dir()):
            self._fetch(root)
        classes = _folders(root / 'train')
        self._metainfo.setdefault('classes', tuple(classes))
        labels = {name: label for label, name in enumerate(classes)}
        if (folder / ANNOTATIONS).is_file():
            pairs = _read_annotations(folder / ANNOTATIONS)
        else:
            pairs = [
                (str(path.relative_to(folder)), name)
                for name in _folders(folder)
                for path in sorted((folder / name).rglob('*'))
                if self.is_valid_file(path.name)
            ]
        strange = sorted({name for _, name in pairs} - set(classes))
        if strange or not pairs:
            raise ValueError(
                f'{folder} has {len(pairs)} images, {len(strange)} of its classes are '
                f'not among the {len(classes)} of {root / "train"}: {strange[:3]}'
            )
        return [
            dict(img_path=str(folder / file), gt_label=labels[name])
            for file, name in pairs
        ]

    def _fetch(self, root: Path) -> None:
        if not self.download:
            raise FileNotFoundError(
                f'{root} lacks train or {self.split}: set download=True, or unpack '
                f'{self.url} there'
            )
        name = Path(self.url).stem
        if root.name != name:
            raise ValueError(
                f'the archive unpacks to a folder {name}: {root} cannot be downloaded, '
                f'set data_root={root.parent / name}'
            )
        fetch_archive('Tiny-ImageNet', self.url, self.md5, root.parent)


def _folders(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.is_dir())


def _read_annotations(path: Path) -> list[tuple[str, str]]:
    """Return (``images/<file>``, class) of each line of ``val_annotations.txt``."""
    rows = [line.split('\t') for line in path.read_text().splitlines() if line]
    if any(len(row) < 2 for row in rows):
        raise ValueError(f'{path} has lines without a tab between image and class')
    return [(f'images/{row[0]}', row[1]) for row in rows]
