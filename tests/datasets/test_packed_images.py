"""Images packed into one file: pixels, labels, and files that are not whole."""

import numpy as np
import pytest
from PIL import Image

from mmattmask.datasets import PackedImages
from mmattmask.registry import DATASETS
from tests.comparison.toy import write_packed


@pytest.fixture
def folder(tmp_path):
    write_packed(tmp_path / 'train.npz', 12, seed=0)
    return tmp_path


def change(folder, **arrays):
    """Rewrite the file with other arrays; None drops one."""
    path = folder / 'train.npz'
    with np.load(path) as file:
        content = {**{name: file[name] for name in file}, **arrays}
    np.savez(path, **{k: v for k, v in content.items() if v is not None})


def build(folder, **options):
    return PackedImages('train.npz', data_root=str(folder), **options)


def test_reads_what_was_written(folder):
    dataset = build(folder)
    assert len(dataset) == 12
    assert dataset.metainfo['classes'] == ('dark', 'bright')
    for index in range(12):
        info = dataset.get_data_info(index)
        assert info['gt_label'] == index % 2
        assert info['img'].shape == (32, 32, 3)
        assert (info['img'].mean() > 127) == bool(info['gt_label'])
        assert info['sample_idx'] == index


def test_channels_are_red_green_blue(tmp_path):
    write_packed(tmp_path / 'train.npz', 1, seed=0)
    path = tmp_path / 'red.jpg'
    Image.new('RGB', (8, 4), (250, 10, 10)).save(path, 'JPEG', quality=95)
    data = np.frombuffer(path.read_bytes(), np.uint8)
    change(tmp_path, jpeg=data, offsets=np.array([0, len(data)]))
    image = build(tmp_path).get_data_info(0)['img']
    assert image.shape == (4, 8, 3)
    assert image[..., 0].min() > 200 > 50 > image[..., 1:].max()


def test_indices_and_registry(folder):
    config = dict(type='mmattmask.PackedImages', data_root=str(folder))
    dataset = DATASETS.build(dict(config, ann_file='train.npz', indices=5))
    assert len(dataset) == 5


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'no file of packed images .*train'):
        build(tmp_path)


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        (dict(labels=None), 'has no array labels'),
        (dict(labels=np.zeros(11, np.uint8)), '11 labels need 12 offsets .* got 13'),
        (dict(jpeg=np.zeros(10, np.uint8)), 'offsets that end at 10 bytes'),
    ],
)
def test_contradictions_are_refused(folder, arrays, message):
    change(folder, **arrays)
    with pytest.raises(ValueError, match=message):
        build(folder)


def test_broken_image_is_named(folder):
    with np.load(folder / 'train.npz') as file:
        data, start = file['jpeg'].copy(), file['offsets'][3]
    data[start : start + 20] = 0
    change(folder, jpeg=data)
    with pytest.raises(ValueError, match='image 3 cannot be read'):
        build(folder)


def test_torn_file_is_named(folder):
    path = folder / 'train.npz'
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=r'train\.npz cannot be read'):
        build(folder)
