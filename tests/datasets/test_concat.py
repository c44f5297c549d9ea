"""Every image has one key, and a bank knows whether it is of this dataset."""

import mmcv
import numpy as np
import pytest
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS
from torch.utils.data import TensorDataset

from mmattmask.datasets.concat import bases, fingerprint

from .conftest import folder_config


def key_to_path(dataset) -> dict[int, str]:
    """Path of each key; fails if two images share one."""
    paths = {}
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        assert paths.setdefault(sample.sample_idx, sample.img_path) == sample.img_path
    return paths


@pytest.fixture
def folders(image_folder):
    return [image_folder('first', images=2), image_folder('second', images=3)]


def joined(parts, **options):
    config = dict(type='mmattmask.ConcatDataset', datasets=parts, **options)
    return DATASETS.build(config)


def repeated(config, times=2):
    return dict(type='RepeatDataset', dataset=config, times=times)


@pytest.mark.parametrize('wrap', [lambda c: c, repeated])
def test_keys_are_unique_and_in_the_order_of_the_bases(folders, wrap):
    parts = [folder_config(folder) for folder in folders]
    parts[1] = wrap(parts[1])
    dataset = joined(parts)
    paths = key_to_path(dataset)
    assert sorted(paths) == list(range(4 + 6))
    listed = [
        base.get_data_info(index)['img_path']
        for base in bases(dataset)
        for index in range(len(base))
    ]
    assert [paths[key] for key in range(10)] == listed
    assert len(set(listed)) == 10


def test_the_same_folder_twice_is_two_datasets(folders):
    config = folder_config(folders[0])
    dataset = DATASETS.build(
        dict(type='mmattmask.ConcatDataset', datasets=[config, config])
    )
    keys = [dataset[i]['data_samples'].sample_idx for i in range(len(dataset))]
    assert keys == list(range(8))


def test_parts_may_be_concatenations_and_indices_negative(folders):
    first, second = map(folder_config, folders)
    inner = dict(type='mmattmask.ConcatDataset', datasets=[first, second])
    dataset = joined([first, inner, second])
    keys = [dataset[i]['data_samples'].sample_idx for i in range(len(dataset))]
    assert keys == list(range(4 + 10 + 6))
    assert dataset[-1]['data_samples'].sample_idx == 19
    assert [len(base) for base in bases(dataset)] == [4, 4, 6, 6]


def test_a_lazy_concatenation_is_keyed_when_first_used(folders):
    parts = [folder_config(folder, lazy_init=True) for folder in folders]
    dataset = joined(parts, lazy_init=True)
    assert dataset[5]['data_samples'].sample_idx == 5


@pytest.mark.parametrize(
    'wrapper',
    [
        dict(type='RepeatDataset', times=3),
        dict(type='ClassBalancedDataset', oversample_thr=0.9),
        dict(type='mmpretrain.KFoldDataset', fold=1, num_splits=3, seed=0),
    ],
)
def test_keys_of_wrapped_datasets_belong_to_their_base(folders, wrapper):
    dataset = DATASETS.build({**wrapper, 'dataset': folder_config(folders[1])})
    (base,) = bases(dataset)
    paths = key_to_path(dataset)
    assert len(paths) > 1
    for key, path in paths.items():
        assert base.get_data_info(key)['img_path'] == path


def test_folds_have_fingerprints_of_their_own(folders):
    fold = dict(type='mmpretrain.KFoldDataset', num_splits=3, seed=0)
    config = folder_config(folders[1])
    prints = {
        fingerprint(bases(DATASETS.build({**fold, 'fold': k, 'dataset': config})))
        for k in range(3)
    }
    whole = fingerprint(bases(DATASETS.build(config)))
    assert len(prints | {whole}) == 4


def test_wrappers_keep_the_fingerprint_of_their_base(folders):
    config = folder_config(folders[1])
    plain = fingerprint(bases(DATASETS.build(config)))
    assert fingerprint(bases(DATASETS.build(repeated(config)))) == plain
    balanced = dict(type='ClassBalancedDataset', oversample_thr=0.9, dataset=config)
    assert fingerprint(bases(DATASETS.build(balanced))) == plain


@pytest.mark.parametrize('serialize', [True, False])
def test_fingerprint_is_stable_and_changes_with_the_files(folders, serialize):
    config = folder_config(folders[0], serialize_data=serialize)
    before = fingerprint(bases(DATASETS.build(config)))
    assert len(before) == 32
    assert fingerprint(bases(DATASETS.build(config))) == before
    image = np.zeros((8, 8, 3), np.uint8)
    mmcv.imwrite(image, str(folders[0] / 'class_0' / 'new.png'))
    after = fingerprint(bases(DATASETS.build(config)))
    assert after != before
    (folders[0] / 'class_0' / 'new.png').unlink()
    assert fingerprint(bases(DATASETS.build(config))) == before
    (folders[0] / 'class_0' / '0.png').rename(folders[0] / 'class_1' / '9.png')
    assert fingerprint(bases(DATASETS.build(config))) not in (before, after)


def test_fingerprint_sees_order_subset_and_number_of_datasets(folders):
    parts = [DATASETS.build(folder_config(folder)) for folder in folders]
    prints = [
        fingerprint(parts),
        fingerprint(parts[::-1]),
        fingerprint(parts[:1]),
        fingerprint([parts[0], parts[0]]),
        fingerprint([DATASETS.build(folder_config(folders[0], indices=[0, 1, 2]))]),
        fingerprint([DATASETS.build(folder_config(folders[0], indices=[1, 0, 2]))]),
    ]
    assert len(set(prints)) == len(prints)


@pytest.mark.parametrize('serialize', [True, False])
def test_fingerprint_sees_arrays_in_memory(serialize):
    class Arrays(BaseDataset):
        def load_data_list(self):
            return [dict(img=image, gt_label=0) for image in self.images]

    def print_of(value):
        Arrays.images = np.zeros((4, 8, 8, 3), np.uint8)
        Arrays.images[3, 7, 7, 2] = value
        return fingerprint([Arrays(serialize_data=serialize)])

    assert print_of(0) == print_of(0)
    assert print_of(0) != print_of(1)


@pytest.mark.parametrize('wrap', [lambda c: c, repeated])
def test_a_stock_concatenation_is_refused_with_the_replacement(folders, wrap):
    parts = [folder_config(folder) for folder in folders]
    dataset = DATASETS.build(wrap(dict(type='ConcatDataset', datasets=parts)))
    message = r"2 images would share one.*use type='mmattmask\.ConcatDataset'"
    with pytest.raises(ValueError, match=message):
        bases(dataset)


def test_a_stock_concatenation_inside_ours_is_refused_too(folders):
    parts = [folder_config(folder) for folder in folders]
    inner = dict(type='ConcatDataset', datasets=parts)
    with pytest.raises(ValueError, match=r"use type='mmattmask\.ConcatDataset'"):
        joined([inner, parts[0]])


def test_a_dataset_without_sample_numbers_is_refused_by_name():
    dataset = TensorDataset(torch.zeros(4, 3, 8, 8))
    with pytest.raises(
        ValueError, match='TensorDataset gives its samples no sample_idx'
    ):
        bases(dataset)
