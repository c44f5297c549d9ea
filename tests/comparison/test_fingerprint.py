"""Another data set is another fingerprint; another place is not."""

import shutil

import pytest

from mmattmask.comparison.fingerprint import data_fingerprint


@pytest.fixture
def images(tmp_path):
    for name, size in (('train/a/1.png', 5), ('train/b/2.png', 6), ('val/3.png', 7)):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'x' * size)
    return tmp_path / 'images'


def config(root, **more):
    return dict(type='CustomDataset', data_root=str(root), data_prefix='train', **more)


def test_a_moved_folder_is_the_same(images, tmp_path):
    before = data_fingerprint(config(images))
    moved = shutil.move(images, tmp_path / 'elsewhere')
    assert data_fingerprint(config(moved)) == before


def test_names_and_sizes_count_and_what_is_beside_does_not(images):
    before = data_fingerprint(config(images))
    (images / 'val' / '4.png').write_bytes(b'')
    assert data_fingerprint(config(images)) == before
    (images / 'train' / 'a' / '1.png').write_bytes(b'longer')
    larger = data_fingerprint(config(images))
    (images / 'train' / 'a' / '1.png').rename(images / 'train' / 'a' / '0.png')
    assert len({before, larger, data_fingerprint(config(images))}) == 3


def test_the_content_of_a_list_counts(images):
    listed = config(images, ann_file='list.txt')
    found = []
    for text in ('a/1.png 0\n', 'a/1.png 1\n'):
        (images / 'list.txt').write_text(text)
        found.append(data_fingerprint(listed))
    assert found[0] != found[1]


def test_wrapped_and_several_datasets_are_found(images):
    other = dict(config(images), data_prefix=dict(img_path='val'))
    wrapped = dict(type='RepeatDataset', times=2, dataset=config(images))
    joined = dict(type='mmattmask.ConcatDataset', datasets=[config(images), other])
    assert data_fingerprint(wrapped) == data_fingerprint(config(images))
    assert data_fingerprint(joined) == data_fingerprint(config(images), other)
    assert data_fingerprint(joined) != data_fingerprint(wrapped)


@pytest.mark.parametrize('key', ['path', 'checkpoint', 'load_from'])
def test_maps_and_weights_of_a_model_count(tmp_path, key):
    file, found = tmp_path / 'maps.npy', set()
    for content in (b'', b'one', b'two'):
        file.write_bytes(content)
        found.add(data_fingerprint(dict(model=dict(scorer={key: str(file)}))))
    assert len(found) == 3
    assert not data_fingerprint(dict(model=dict(scorer=dict(type='PatchContrast'))))
