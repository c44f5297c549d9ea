"""STL-10 is read as it is stored: channels, columns, rows; labels from 1."""

import hashlib
import io
import pickle
import tarfile

import numpy as np
import pytest
from mmengine.registry import DATASETS

from mmattmask.datasets import STL10
from mmattmask.datasets.subset import first_per_class


def write(folder, split, count, labels=None):
    """Write a split whose pixel tells channel, row, column and image."""
    folder = folder / 'stl10_binary'
    folder.mkdir(exist_ok=True)
    rows, columns = np.mgrid[:96, :96]
    image = np.stack([rows, columns, rows * 0 + 7]).astype(np.uint8)  # (3, row, col)
    images = np.stack([image + number for number in range(count)])
    images.transpose(0, 1, 3, 2).tofile(folder / f'{split}_X.bin')
    if labels is not None:
        np.array(labels, np.uint8).tofile(folder / f'{split}_y.bin')
    return images


def test_pixels_rows_and_labels(tmp_path):
    images = write(tmp_path, 'train', 3, [1, 10, 4])
    dataset = DATASETS.build(
        dict(type='mmattmask.STL10', data_root=str(tmp_path), download=False)
    )
    assert len(dataset) == 3
    sample = dataset[1]
    assert sample['img'].shape == (96, 96, 3)
    assert sample['img'].dtype == np.uint8
    np.testing.assert_array_equal(sample['img'], images[1].transpose(1, 2, 0))
    assert sample['img'][5, 60].tolist() == [5 + 1, 60 + 1, 7 + 1]  # row 5, column 60
    assert sample['sample_idx'] == 1
    assert [dataset[i]['gt_label'] for i in range(3)] == [0, 9, 3]
    assert dataset.get_gt_labels().tolist() == [0, 9, 3]
    assert dataset.metainfo['classes'][9] == 'truck'


def test_unlabeled_images_have_no_label(tmp_path):
    write(tmp_path, 'unlabeled', 2)
    dataset = STL10(str(tmp_path), 'unlabeled', download=False)
    assert len(dataset) == 2
    assert 'gt_label' not in dataset[0]


def test_subsets_and_copies_read_the_same_images(tmp_path):
    images = write(tmp_path, 'test', 4, [2, 1, 2, 1])
    dataset = STL10(str(tmp_path), 'test', download=False)
    subset = first_per_class(dataset, 1)
    copy = pickle.loads(pickle.dumps(STL10(str(tmp_path), 'test', indices=[3])))
    assert [subset[i]['gt_label'] for i in range(len(subset))] == [1, 0]
    np.testing.assert_array_equal(copy[0]['img'][..., 0], images[3][0])


def test_refuses_what_it_cannot_read(tmp_path):
    with pytest.raises(
        ValueError, match=r"\('train', 'test', 'unlabeled'\), got 'val'"
    ):
        STL10(str(tmp_path), 'val')
    with pytest.raises(FileNotFoundError, match=r'test_X\.bin.*test_y\.bin.*download'):
        STL10(str(tmp_path), 'test', download=False)
    write(tmp_path, 'train', 2, [1, 2, 3])
    with pytest.raises(ValueError, match='3 labels for 2 images'):
        STL10(str(tmp_path))
    write(tmp_path, 'train', 2, [0, 10])
    with pytest.raises(ValueError, match='labels 0 to 10, not 1 to 10'):
        STL10(str(tmp_path))
    file = tmp_path / 'stl10_binary' / 'train_X.bin'
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(ValueError, match='55295 bytes, not whole images of 27648'):
        STL10(str(tmp_path))


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive of three images, which the class takes for the original."""
    source = tmp_path / 'server'
    source.mkdir()
    write(source, 'test', 3, [1, 2, 3])
    path = source / 'stl10_binary.tar.gz'
    with tarfile.open(path, 'w:gz') as tar:
        tar.add(source / 'stl10_binary', 'stl10_binary')
    monkeypatch.setattr(STL10, 'url', path.as_uri())
    monkeypatch.setattr(STL10, 'md5', hashlib.md5(path.read_bytes()).hexdigest())
    return path


def test_archive_is_fetched_once_and_checked(tmp_path, archive):
    home = tmp_path / 'home'
    home.mkdir()
    assert len(STL10(str(home), 'test')) == 3
    archive.unlink()
    assert len(STL10(str(home), 'test')) == 3


def test_damaged_and_missing_archives_are_named(tmp_path, archive, monkeypatch):
    home = tmp_path / 'home'
    home.mkdir()
    with tarfile.open(archive, 'w:gz') as tar:
        tar.addfile(tarfile.TarInfo('stl10_binary/test_X.bin'), io.BytesIO())
    with pytest.raises(FileNotFoundError, match=r'damaged \(its md5 is not '):
        STL10(str(home), 'test')
    monkeypatch.setattr(STL10, 'url', (tmp_path / 'nowhere.tar.gz').as_uri())
    with pytest.raises(FileNotFoundError, match=r'nowhere\.tar\.gz is missing'):
        STL10(str(home), 'test')
