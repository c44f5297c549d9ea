"""The first images of each class are a dataset of their own."""

import pickle
import re
import shutil

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, DefaultScope
from mmengine.runner import Runner

from mmattmask.datasets import first_per_class
from mmattmask.datasets.concat import bases, fingerprint

from .conftest import folder_config


def subset(config, number):
    return DATASETS.build(
        dict(type='mmattmask.FirstPerClass', images_per_class=number, dataset=config)
    )


def names(dataset) -> list[str]:
    infos = map(dataset.get_data_info, range(len(dataset)))
    return [re.search(r'class_\d+/\d+\.png$', info['img_path'])[0] for info in infos]


@pytest.fixture
def folder(image_folder):
    return image_folder(classes=3, images=4)


@pytest.mark.parametrize('serialize', [True, False])
def test_keeps_the_first_images_of_each_class(folder, serialize):
    config = folder_config(folder, serialize_data=serialize)
    dataset = subset(config, 2)
    assert names(dataset) == [f'class_{c}/{i}.png' for c in range(3) for i in range(2)]
    assert dataset.metainfo == DATASETS.build(config).metainfo
    assert names(subset(config, 4)) == names(DATASETS.build(config))


def test_first_is_said_by_the_list_which_may_mix_classes():
    class Listed(BaseDataset):
        def load_data_list(self):
            return [dict(gt_label=label, place=i) for i, label in enumerate(labels)]

    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(7), 9))
    whole = Listed()
    kept = [i['place'] for i in map(first_per_class(whole, 5).get_data_info, range(35))]
    expected = [i for i, c in enumerate(labels) if (labels[:i] == c).sum() < 5]
    assert kept == expected
    assert len(whole) == 63  # what was given as an object stays


def test_samples_are_numbered_and_found_by_the_bank(folder):
    dataset = subset(folder_config(folder), 2)
    (base,) = bases(dataset)
    assert base is dataset
    samples = [dataset[i]['data_samples'] for i in range(len(dataset))]
    assert [sample.sample_idx for sample in samples] == list(range(6))
    for sample in samples:
        assert base.get_data_info(sample.sample_idx)['img_path'] == sample.img_path


def test_fingerprint_is_that_of_the_shorter_list(folder):
    config = folder_config(folder)
    prints = [fingerprint(bases(subset(config, n))) for n in (1, 2, 3, 4)]
    assert len(set(prints)) == 4
    assert prints[3] == fingerprint(bases(DATASETS.build(config)))
    assert prints[1] == fingerprint(bases(subset(config, 2)))
    shutil.copy(folder / 'class_1' / '3.png', folder / 'class_1' / '9.png')
    assert prints[1] == fingerprint(bases(subset(config, 2)))  # it is not among them


def test_can_be_joined_repeated_and_sent_to_workers(folder):
    config = dict(
        type='mmattmask.FirstPerClass',
        images_per_class=1,
        dataset=folder_config(folder),
    )
    joined = DATASETS.build(
        dict(
            type='mmattmask.ConcatDataset',
            datasets=[config, dict(type='RepeatDataset', dataset=config, times=2)],
        )
    )
    keys = [joined[i]['data_samples'].sample_idx for i in range(len(joined))]
    assert keys == [0, 1, 2, 3, 4, 5, 3, 4, 5]
    assert names(pickle.loads(pickle.dumps(subset(folder_config(folder), 1)))) == [
        f'class_{c}/0.png' for c in range(3)
    ]


def test_inherits_a_stock_dataset_config(folder, tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(
        """
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs512_mae.py'
train_dataloader = dict(
    num_workers=0,
    persistent_workers=False,
    collate_fn=dict(_delete_=True, type='default_collate'),
    dataset=dict(
        _delete_=True,
        type='mmattmask.FirstPerClass',
        images_per_class=2,
        dataset=_base_.train_dataloader.dataset,
    ),
)
"""
    )
    lines = [f'class_{c}/{i}.png {c}' for c in range(3) for i in range(4)]
    (tmp_path / 'train.txt').write_text('\n'.join(lines))
    cfg = Config.fromfile(str(path))
    whole = cfg.train_dataloader.dataset.dataset
    assert whole.type == 'ImageNet'
    assert [t.type for t in whole.pipeline][1:3] == ['RandomResizedCrop', 'RandomFlip']
    whole.update(data_root=str(folder), ann_file=str(tmp_path / 'train.txt'), split='')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        batch = next(iter(loader))
    assert type(loader.dataset).__name__ == 'ImageNet'
    assert batch['inputs'].shape == (6, 3, 224, 224)


def test_classes_with_fewer_images_are_named_with_their_number(folder):
    for index in (1, 3):
        (folder / 'class_2' / f'{index}.png').unlink()
    message = '1 of 3 classes have fewer than 3 images: class_2 2$'
    with pytest.raises(ValueError, match=message):
        subset(folder_config(folder), 3)
    with pytest.raises(ValueError, match=r'3 of 3 .* class_0 4, class_1 4, class_2 2$'):
        subset(folder_config(folder), 5)


def test_a_long_list_of_classes_is_cut():
    class Nine(BaseDataset):
        def load_data_list(self):
            return [dict(gt_label=label) for label in range(9)]

    with pytest.raises(ValueError, match=r'9 of 9 classes .*: 0 1, .*, 7 1, \.\.\.$'):
        first_per_class(Nine(), 2)


@pytest.mark.parametrize('number', [0, -1])
def test_number_must_be_positive(folder, number):
    with pytest.raises(ValueError, match=f'at least 1, got {number}'):
        subset(folder_config(folder), number)


def test_images_need_one_label_each(folder):
    with pytest.raises(ValueError, match=r'0\.png has the label None.*with_label=True'):
        subset(folder_config(folder, with_label=False), 1)

    class Several(BaseDataset):
        def load_data_list(self):
            return [dict(gt_label=[0, 2])]

    with pytest.raises(ValueError, match=r'has the label \[0, 2\]'):
        first_per_class(Several(), 1)


def test_wrappers_are_refused(folder):
    config = dict(type='RepeatDataset', dataset=folder_config(folder), times=2)
    with pytest.raises(ValueError, match=r'RepeatDataset has no list .* inside it'):
        subset(config, 1)
