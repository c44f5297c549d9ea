"""Where the demo's images come from, as dataset configs."""

import dataclasses
from pathlib import Path
from typing import Any

from mmpretrain import datasets

from mmattmask.demo.folder import split_folder, write_annotations
from mmattmask.demo.photographs import write_tiles

PHOTOGRAPHS = 'photographs'
CIFAR10 = 'cifar10'
TILE = 64  # px
TRAIN_STRIDE = 16  # px between training tiles
TEST_STRIDE = 16  # px between test tiles
NUM_TILES = 2052  # for training, of all photographs; the configs' epochs are for these
CIFAR10_IMAGES = {'train': 5000, 'test': 1000}


@dataclasses.dataclass(frozen=True)
class DemoData:
    """Datasets for a run.

    Attributes:
        config: File name below ``configs/demo``.
        train: Config of the training dataset, without a pipeline.
        test: Config of the dataset that k-NN classifies; None without labels.
        num_train: Number of training images.
        description: One sentence for the user.
    """

    config: str
    train: dict[str, Any]
    test: dict[str, Any] | None
    num_train: int
    description: str


def prepare_data(source: str, work_dir: str | Path) -> DemoData:
    """Prepare the images of a source.

    Args:
        source: ``'photographs'``, ``'cifar10'`` or a folder. A folder of that name is
            meant by ``'./cifar10'``.
        work_dir: Tiles and lists of images are written here.

    Raises:
        FileNotFoundError: If the source is not there.
        RuntimeError: If CIFAR-10 cannot be downloaded.
        ValueError: If a folder holds too few images.
    """
    if source == PHOTOGRAPHS:
        return _photographs(Path(work_dir))
    if source == CIFAR10:
        return _cifar10(Path(work_dir))
    return _folder(Path(source), Path(work_dir))


def _photographs(work_dir: Path) -> DemoData:
    folder = work_dir / 'photographs'
    is_new = write_tiles(folder, TILE, TRAIN_STRIDE, TEST_STRIDE)
    train, test = (
        dict(type='CustomDataset', data_root=str(folder), data_prefix=split)
        for split in ('train', 'test')
    )
    num_train, num_test = (
        len(list((folder / split).glob('*/*.png'))) for split in ('train', 'test')
    )
    num_classes = len(list((folder / 'train').iterdir()))
    return DemoData(
        'amt_vit-tiny_photographs.py',
        train,
        test,
        num_train,
        f'{num_classes} photographs of scikit-image: {num_train} tiles for training, '
        f'{num_test} for testing, {"cut" if is_new else "reused"} in {folder}',
    )


def _folder(folder: Path, work_dir: Path) -> DemoData:
    split = split_folder(folder)
    with_label = bool(split.classes)
    dataset = dict(
        type='CustomDataset',
        data_root=str(folder.resolve()),
        data_prefix='',
        with_label=with_label,
    )
    configs = []
    for name, samples in (('train', split.train), ('test', split.test)):
        path = (work_dir / 'lists' / f'{name}.txt').resolve()
        write_annotations(path, samples, with_label)
        configs.append(dict(dataset, ann_file=str(path)))
    if with_label:
        text = (
            f'{len(split.classes)} classes, {len(split.train)} images for training, '
            f'{len(split.test)} for testing'
        )
    else:
        text = (
            f'{len(split.train)} images without class folders, so there is no k-NN '
            'accuracy'
        )
    return DemoData(
        'amt_vit-tiny_photographs.py',
        configs[0],
        configs[1] if split.test else None,
        len(split.train),
        f'{folder}: {text}',
    )


def _cifar10(work_dir: Path) -> DemoData:
    train, test = (
        dict(
            type='CIFAR10',
            data_root=str(work_dir / 'cifar10'),
            split=split,
            indices=number,
        )
        for split, number in CIFAR10_IMAGES.items()
    )
    try:
        datasets.CIFAR10(train['data_root'], split='train')
    except (OSError, RuntimeError, AssertionError) as error:
        raise RuntimeError(
            'CIFAR-10 could not be downloaded (is there a network?); put '
            f'cifar-10-python.tar.gz into {work_dir / "cifar10"}, or run the demo '
            f'without it: {error}'
        ) from error
    return DemoData(
        'amt_vit-tiny_cifar10.py',
        train,
        test,
        CIFAR10_IMAGES['train'],
        f'CIFAR-10: the first {CIFAR10_IMAGES["train"]} images for training, '
        f'{CIFAR10_IMAGES["test"]} for testing',
    )
