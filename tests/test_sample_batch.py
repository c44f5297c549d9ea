"""Samples come out of loader processes as they went in, and in fewer pieces."""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample

from mmattmask.datasets import PackInputs, RandomResizedCrop
from mmattmask.geometry import read_keys, read_metainfo, view_geometry
from mmattmask.sample_batch import SampleBatch, collate_compactly
from tests.engine.toy_run import (
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)
from tests.host_matrix import build
from tests.tiny_hosts import HOSTS, ONE_NORM


def make_sample(index, **meta):
    sample = DataSample().set_gt_label(index).set_mask(torch.full((2, 3), index))
    sample.set_field([torch.ones(index)], 'parts')
    flip = bool(index % 2)
    meta = dict(
        sample_idx=index,
        img_path=f'folder/{index}.png' if index else None,
        ori_shape=(20, 30 + index),
        crop_box=(1.0, 2.5, 10.0, 12.0 + index),
        flip=flip,
        flip_direction='horizontal' if flip else None,
        foreground=np.full((2, 2), index),
        **meta,
    )
    sample.set_metainfo(meta)
    return sample


def travelled(samples):
    data = collate_compactly([dict(data_samples=s) for s in samples], default_collate)
    return pickle.loads(pickle.dumps(data['data_samples']))


def plain(value):
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.numpy() if isinstance(value, torch.Tensor) else value


def assert_same(sample, expected):
    assert type(sample) is type(expected)
    assert set(sample.metainfo_keys()) == set(expected.metainfo_keys())
    assert set(sample.keys()) == set(expected.keys())
    for name in expected.all_keys():
        value, wanted = getattr(sample, name), getattr(expected, name)
        assert type(value) is type(wanted)
        np.testing.assert_equal(plain(value), plain(wanted))


def test_samples_arrive_as_they_went():
    samples = [make_sample(index) for index in range(5)]
    batch = travelled(samples)
    assert isinstance(batch, SampleBatch)
    assert len(batch) == 5
    for sample, expected in zip(batch, samples, strict=True):
        assert_same(sample, expected)
    assert_same(batch[-1], samples[-1])
    assert_same(travelled(batch)[1], samples[1])  # and once more
    batch[0].set_field(1, 'new')
    assert 'new' in batch[0]
    assert 'new' not in batch[1]


def test_other_fields_in_one_sample_change_nothing():
    samples = [make_sample(0), make_sample(1, more=1), DataSample()]
    for sample, expected in zip(travelled(samples), samples, strict=True):
        assert_same(sample, expected)
    assert list(SampleBatch([]).pack()) == []


def test_where_views_lie_is_read_without_the_samples():
    samples = [make_sample(index) for index in range(5)]
    batch = travelled(samples)
    for value, expected in zip(
        view_geometry(batch), view_geometry(samples), strict=True
    ):
        assert torch.equal(value, expected)
    assert read_keys(batch) == read_keys(samples)
    names = ('crop_box', 'ori_shape')
    assert read_metainfo(batch, *names) == read_metainfo(samples, *names)
    assert batch.geometry() is not None  # nobody made samples for it
    with pytest.raises(ValueError, match='without its geometry'):
        read_metainfo(batch, 'scale_factor')
    batch[0].set_metainfo(dict(crop_box=(0.0, 0.0, 1.0, 1.0), sample_idx=7))
    assert view_geometry(batch)[0][0].tolist() == [0.0, 0.0, 1.0, 1.0]
    assert read_keys(batch)[0] == (None, 7)


def test_a_stock_preprocessor_takes_it():
    batch = travelled([make_sample(index) for index in range(2)])
    data = MODELS.build(ONE_NORM)(dict(i=torch.zeros(2, 3, 4, 4), d=batch), True)
    for sample, expected in zip(data['data_samples'], batch, strict=True):
        assert_same(sample, expected)


@pytest.mark.parametrize('name', [n for n in HOSTS if n not in ('MixMIM', 'SparK')])
def test_every_host_takes_it(name):
    host = HOSTS[name]
    policy = 'AM' if name != 'iBOT' else 'AttMask High'
    losses = []
    for wrapped in (False, True):
        batch = copy.deepcopy(host.batch())
        if wrapped:
            batch['data_samples'] = travelled(batch['data_samples'])
        torch.manual_seed(0)
        model = build(host, policy, 'maps')
        data = model.data_preprocessor(batch, True)
        losses.append(model.parse_losses(model(**data, mode='loss'))[0])
    assert losses[0] == losses[1]


def test_a_run_with_loader_processes_learns_the_same(tmp_path, monkeypatch):
    data_root = write_images(tmp_path / 'images')
    folders = [tmp_path / 'compact', tmp_path / 'stock']
    for folder in folders:
        changes = dict(num_workers=2, persistent_workers=True, pin_memory=True)
        cfg = toy_config(folder, data_root, train_cfg__max_epochs=3)
        cfg.train_dataloader.update(changes)
        seen = []
        monkeypatch.setattr(
            'mmattmask.models.guidance.Guidance.views',
            lambda self, inputs, samples, seen=seen: (
                seen.append(type(samples)) or [(inputs, samples)]
            ),
        )
        if folder.name == 'stock':
            monkeypatch.setattr(
                'mmattmask.engine.fast_loader_hook.send_compactly', lambda *_: None
            )
        train(cfg)
        assert set(seen) == {list if folder.name == 'stock' else SampleBatch}
    assert_equal_weights(*(weights(folder / 'epoch_3.pth') for folder in folders))


def test_random_masks_are_loaded_as_fast(tmp_path):
    data_root = write_images(tmp_path / 'images')
    stock = [
        dict(type='LoadImageFromFile'),
        dict(type='RandomResizedCrop', scale=16, backend='pillow'),
        dict(type='PackInputs'),
    ]
    cfg = toy_config(tmp_path / 'run', data_root, train_cfg__max_epochs=1)
    cfg.train_dataloader.dataset.pipeline = stock
    cfg.model.scorer, cfg.custom_hooks = None, []
    _, crop, pack = train(cfg).train_dataloader.dataset.pipeline.transforms
    assert (type(crop), type(pack)) == (RandomResizedCrop, PackInputs)
