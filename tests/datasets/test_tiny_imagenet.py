"""Tiny-ImageNet is read as its archive unpacks, and as people sort it."""

import hashlib
import shutil

import mmcv
import numpy as np
import pytest
from mmengine.registry import DATASETS

from mmattmask.datasets import TinyImageNet

CLASSES = ('n01', 'n02', 'n10')


@pytest.fixture
def unpacked(tmp_path):
    """Three classes of two images, and one validation image of each."""
    root = tmp_path / 'data' / 'tiny-imagenet-200'
    pixels = np.zeros((64, 64, 3), np.uint8)
    lines = []
    for label, name in enumerate(CLASSES):
        for number in range(2):
            file = root / 'train' / name / 'images' / f'{name}_{number}.JPEG'
            mmcv.imwrite(pixels + 50 * label + number, str(file))
        (root / 'train' / name / f'{name}_boxes.txt').write_text('0\t0\t1\t1\n')
    for number, name in enumerate(reversed(CLASSES)):
        file = root / 'val' / 'images' / f'val_{number}.JPEG'
        mmcv.imwrite(pixels + 50 * CLASSES.index(name), str(file))
        lines.append(f'val_{number}.JPEG\t{name}\t0\t0\t62\t62\n')
    (root / 'val' / 'val_annotations.txt').write_text(''.join(lines))
    return root


def test_splits_number_the_same_classes(unpacked):
    config = dict(type='mmattmask.TinyImageNet', data_root=str(unpacked))
    train = DATASETS.build(config)
    val = DATASETS.build(dict(config, split='val'))
    assert train.metainfo['classes'] == val.metainfo['classes'] == CLASSES
    assert train.get_gt_labels().tolist() == [0, 0, 1, 1, 2, 2]
    assert val.get_gt_labels().tolist() == [2, 1, 0]
    for dataset in (train, val):
        for index in range(len(dataset)):
            info = dataset.get_data_info(index)
            assert mmcv.imread(info['img_path']).mean() // 50 == info['gt_label']


def test_validation_in_class_folders_is_read_too(unpacked):
    for number, name in enumerate(reversed(CLASSES)):
        (unpacked / 'val' / name).mkdir()
        shutil.move(
            unpacked / 'val' / 'images' / f'val_{number}.JPEG', unpacked / 'val' / name
        )
    (unpacked / 'val' / 'images').rmdir()
    (unpacked / 'val' / 'val_annotations.txt').unlink()
    val = TinyImageNet(str(unpacked), 'val', download=False)
    assert val.get_gt_labels().tolist() == [0, 1, 2]


def test_refuses_what_it_cannot_read(unpacked, tmp_path):
    with pytest.raises(ValueError, match=r"\('train', 'val'\), got 'test'"):
        TinyImageNet(str(unpacked), 'test')
    with pytest.raises(FileNotFoundError, match='nothing lacks train or val'):
        TinyImageNet(str(tmp_path / 'nothing'), 'val', download=False)
    with pytest.raises(ValueError, match=r'data_root=.*tiny-imagenet-200'):
        TinyImageNet(str(tmp_path / 'nothing'))
    file = unpacked / 'val' / 'val_annotations.txt'
    file.write_text(file.read_text() + 'val_9.JPEG\tn99\t0\t0\t1\t1\n')
    with pytest.raises(ValueError, match=r"1 of its classes .* the 3 of .*\['n99'\]"):
        TinyImageNet(str(unpacked), 'val')
    file.write_text('val_9.JPEG n99\n')
    with pytest.raises(ValueError, match='without a tab'):
        TinyImageNet(str(unpacked), 'val')


def test_archive_is_fetched_and_checked(unpacked, tmp_path, monkeypatch):
    archive = shutil.make_archive(
        str(tmp_path / 'tiny-imagenet-200'), 'zip', unpacked.parent
    )
    digest = hashlib.md5((tmp_path / 'tiny-imagenet-200.zip').read_bytes()).hexdigest()
    monkeypatch.setattr(TinyImageNet, 'url', f'file://{archive}')
    home = tmp_path / 'home' / 'tiny-imagenet-200'
    home.parent.mkdir()
    monkeypatch.setattr(TinyImageNet, 'md5', '0' * 32)
    with pytest.raises(FileNotFoundError, match=f'damaged .its md5 is not {"0" * 32}'):
        TinyImageNet(str(home))
    monkeypatch.setattr(TinyImageNet, 'md5', digest)
    assert len(TinyImageNet(str(home))) == 6


def test_reads_the_bundle(data_folder):
    root = str(data_folder / 'tiny_imagenet_mini')
    train = TinyImageNet(root, download=False)
    val = TinyImageNet(root, 'val', download=False)
    assert (len(train), len(val)) == (1200, 400)
    assert np.bincount(val.get_gt_labels()).tolist() == [2] * 200
