"""KNNHook: what it measures, when, where it writes, and that training never notices."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, HOOKS, DefaultScope
from PIL import Image

from mmattmask.dataset_configs import check_same_colours
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import evaluating
from mmattmask.engine.knn_hook import KNNHook, pool_tokens, write_row
from mmattmask.evaluation import knn_accuracy, nearest_neighbours
from tests.processes import run_ranks

from ..models.ibot_model import ibot_config
from .toy_run import (
    NUM_IMAGES,
    assert_equal_weights,
    log_of,
    times_of,
    toy_config,
    train,
    train_here,
    weights,
    write_images,
)


def knn_hook(data_root, **options):
    dataset = dict(type='CustomDataset', data_root=str(data_root))
    hook = dict(type='mmattmask.KNNHook', memory=dataset, query=dataset, k=(1, 3))
    return {**hook, **options}


def config(work_dir, data_root, hook, **changes):
    cfg = toy_config(work_dir, data_root, **changes)
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    return cfg


def read(path):
    with Path(path).open(newline='') as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope='module')
def options(data_root):
    """Five of the images against all, before every epoch."""
    query = dict(type='CustomDataset', data_root=data_root, indices=5)
    return knn_hook(data_root, query=query, interval=1, num_workers=2, batch_size=4)


@pytest.fixture(scope='module')
def watched(tmp_path_factory, data_root, options):
    return train(config(tmp_path_factory.mktemp('watched'), data_root, options))


def test_training_does_not_notice(whole, watched):
    assert_equal_weights(weights(whole), weights(watched))
    losses = [r.message_hub.get_scalar('train/loss').data[0] for r in (whole, watched)]
    np.testing.assert_array_equal(*losses)
    assert watched.model.training


def test_accuracy_is_that_of_the_features_of_whole_images(watched, data_root):
    load = dict(type='mmcv.LoadImageFromFile')
    dataset = dict(type='mmpretrain.CustomDataset', data_root=data_root)
    images = WholeImages([DATASETS.build({**dataset, 'pipeline': [load]})], (16, 16))
    pixels = torch.stack([images[index][0] for index in range(NUM_IMAGES)])
    labels = torch.tensor([images[index][2] for index in range(NUM_IMAGES)])
    with evaluating(watched) as model:
        inputs = model.data_preprocessor({'inputs': pixels, 'data_samples': []}, False)
        tokens = model(inputs['inputs'], mode='tensor')[-1]
    row = read(Path(watched.work_dir) / 'knn.csv')[-1]
    for name, features in (('cls', tokens[:, 0]), ('mean', tokens[:, 1:].mean(1))):
        similarity, places = nearest_neighbours(features[:5], features, 3)
        results = knn_accuracy(similarity, labels[places], labels[:5], (1, 3))
        assert results[1].top1 == 100.0  # every query is in the memory
        for k in (1, 3):
            expected = pytest.approx(results[k].top1, abs=1e-3)
            assert float(row[f'{name}_top1_k{k}']) == expected


def test_where_it_writes(watched):
    rows = read(Path(watched.work_dir) / 'knn.csv')
    epochs = [0, 1, 2, 3, 4, 5]
    assert [int(row['epoch']) for row in rows] == epochs
    for name in ('cls_top1_k3', 'cls_top5_k3', 'mean_top1_k3', 'mean_top5_k3'):
        values = [float(row[name]) for row in rows]
        assert all(0 <= value <= 100 for value in values)
        scalar = watched.message_hub.get_scalar(f'knn/{name}').data[0]
        assert np.allclose(scalar, values, atol=1e-3)
    log = Path(watched.log_dir) / 'vis_data' / 'scalars.json'
    lines = [line for line in log.read_text().splitlines() if 'knn/cls_top1_k3' in line]
    assert [json.loads(line)['step'] for line in lines] == epochs


@pytest.mark.parametrize(
    ('options', 'epochs'),
    [
        (dict(interval=2), [0, 2, 4, 5]),
        (dict(interval=5), [0, 5]),
        (dict(interval=1, begin=4), [0, 4, 5]),
        (dict(interval=10, begin=3), [0, 3, 5]),
    ],
)
def test_when_it_measures(options, epochs):
    assert times_of(KNNHook({}, {}, **options), 'measure') == epochs


def test_by_iteration(tmp_path, data_root):
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=3, interval=3)
    hooks = [refresh, knn_hook(data_root, interval=3)]
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=[{**hook, 'by_epoch': False} for hook in hooks],
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, _delete_=True),
        default_hooks__checkpoint=dict(by_epoch=False, interval=7),
        default_hooks__logger=dict(log_metric_by_epoch=False),
    )
    train(cfg)
    assert [int(row['iter']) for row in read(tmp_path / 'knn.csv')] == [0, 3, 6, 7]


def test_resumed_run_replaces_later_rows_and_keeps_earlier_ones(
    tmp_path, data_root, watched, options
):
    folder = shutil.copytree(watched.work_dir, tmp_path / 'run')
    before = read(folder / 'knn.csv')
    point = dict(resume=True, load_from=str(folder / 'epoch_3.pth'))
    train(config(folder, data_root, options, **point))
    assert read(folder / 'knn.csv') == before
    train(config(folder, data_root, options, train_cfg__max_epochs=1))
    assert [int(row['epoch']) for row in read(folder / 'knn.csv')] == [0, 1]


def test_write_row_with_new_columns(tmp_path):
    path = tmp_path / 'knn.csv'
    write_row(path, 'epoch', 0, {'a': 1.0})
    write_row(path, 'epoch', 2, {'a': 2.0, 'b': 3.0})
    assert read(path) == [
        {'epoch': '0', 'a': '1.000', 'b': ''},
        {'epoch': '2', 'a': '2.000', 'b': '3.000'},
    ]


def test_the_teacher_is_measured_instead_of_the_student(tmp_path, data_root):
    """Of DINO, the smallest of the hosts with a teacher."""
    cfg = config(tmp_path, data_root, knn_hook(data_root), train_cfg__max_epochs=1)
    model = ibot_config(img_size=16, patch_size=4)
    del model['data_preprocessor']
    cfg.model = {**model, 'patch_weight': 0.0}
    crop = [dict(type='mmattmask.RandomResizedCrop', scale=16)]
    views = dict(type='mmattmask.MultiCrop', num_views=[2], transforms=[crop])
    load, *_, pack = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset.pipeline = [load, views, pack]
    cfg.custom_hooks[:2] = [dict(type='mmattmask.EMATeacherHook', momentum=0.5)]
    runner = train(cfg)
    model, hook = runner.model, next(h for h in runner.hooks if isinstance(h, KNNHook))
    student, _ = hook._features(runner, 'query')
    hook.target = 'teacher'
    teacher, labels = hook._features(runner, 'query')
    assert not torch.equal(student['cls'], teacher['cls'])
    assert len(labels) == len(teacher['cls']) == NUM_IMAGES
    model.backbone.load_state_dict(model.teacher['backbone'].state_dict(), strict=False)
    hook.target = 'student'
    same, _ = hook._features(runner, 'query')
    for name, features in teacher.items():
        assert torch.equal(features, same[name])


def test_votes_of_the_first_images_of_each_class(tmp_path, data_root):
    hook = knn_hook(data_root)
    hook['memory'] = dict(
        type='mmattmask.FirstPerClass', images_per_class=3, dataset=hook['memory']
    )
    train(config(tmp_path, data_root, hook, train_cfg__max_epochs=1))
    assert f'({NUM_IMAGES} images against 6)' in log_of(tmp_path)


def test_ranks_measure_what_one_process_does(tmp_path, data_root):
    options = {
        'custom_hooks': [knn_hook(data_root, interval=1)],
        'model__scorer': None,  # no hook refreshes it
        'train_cfg__max_epochs': 1,
        'optim_wrapper__optimizer__lr': 0.0,
    }
    assert NUM_IMAGES % 3  # there is padding
    tables = []
    for world_size in (1, 3):
        folder = tmp_path / str(world_size)
        folder.mkdir()
        arguments = (str(folder), data_root, options)
        run_ranks(folder, train_here, *arguments, ranks=world_size)
        assert f'({NUM_IMAGES} images against {NUM_IMAGES})' in log_of(folder)
        tables.append(read(folder / 'knn.csv'))
    assert tables[0] == tables[1]


def test_unreadable_images_are_left_out(tmp_path, data_root):
    broken = write_images(tmp_path / 'images')
    path = Path(broken) / 'class_0' / '008.png'
    path.write_bytes(b'no image')
    cfg = config(tmp_path / 'run', data_root, knn_hook(broken), train_cfg__max_epochs=1)
    train(cfg)
    log, number = log_of(tmp_path / 'run'), NUM_IMAGES - 1
    assert f'({number} images against {number})' in log
    assert str(path) in log


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(k=()), r'k \(\)'),
        (dict(k=(0, 5)), r'k \(0, 5\)'),
        (dict(temperature=0), r'temperature \(0\)'),
        (dict(interval=0), r'interval \(0\)'),
        (dict(begin=-1), r'begin \(-1\)'),
        (dict(target='ema'), "'student', 'teacher'.*'ema'"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        KNNHook(memory={}, query={}, **options)


def check(hook, runner):
    """Do what comes before training."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        HOOKS.build(hook).before_train(runner)


@pytest.mark.parametrize('kept', ['bcd', 'dcba', 'abcd'])
def test_class_numbers_must_mean_the_same(tmp_path, whole, kept):
    """Without its first folder each class has the number of the one before."""
    for split, names in (('memory', 'abcd'), ('query', kept)):
        for name in names:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            image = np.full((8, 8, 3), ord(name), np.uint8)
            Image.fromarray(image).save(folder / '0.png')
    hook = knn_hook(tmp_path / 'memory')
    hook['query'] = dict(hook['query'], data_root=str(tmp_path / 'query'))
    if kept == 'dcba':  # the same folders, in an order of the user's
        hook['query']['metainfo'] = dict(classes=tuple(kept))
    if kept == 'abcd':
        check(hook, whole)
        return
    what = 'in another order' if len(kept) == 4 else 'not the same: '
    with pytest.raises(ValueError, match=rf'memory has 4 .* query {len(kept)}, {what}'):
        check(hook, whole)


def test_what_cannot_be_measured_is_refused_before_training(whole, data_root):
    with pytest.raises(ValueError, match=r'EMA teacher of its backbone.*GuidedMAE'):
        check(knn_hook(data_root, target='teacher'), whole)
    hook = knn_hook(data_root)
    hook['query'] = dict(hook['query'], with_label=False)
    with pytest.raises(ValueError, match='query dataset have no labels'):
        check(hook, whole)


EXCHANGE = [dict(type='NumpyToPIL', to_rgb=True), dict(type='PILToNumpy')]


@pytest.mark.parametrize('pipeline', [[], EXCHANGE], ids=['as they are', 'exchanged'])
def test_red_and_blue_of_packed_images_in_a_run_on_files(tmp_path, whole, pipeline):
    """Packed images begin as RGB arrays, loaded files as BGR ones."""
    Image.new('RGB', (8, 8), (200, 50, 10)).save(tmp_path / 'red.png')
    data = np.frombuffer((tmp_path / 'red.png').read_bytes(), np.uint8)
    arrays = dict(jpeg=data, offsets=[0, len(data)], labels=[0], classes=['red'])
    np.savez(tmp_path / 'red.npz', **arrays)
    packed = dict(
        type='mmattmask.PackedImages',
        ann_file='red.npz',
        data_root=str(tmp_path),
        pipeline=pipeline,
    )
    hook = HOOKS.build(dict(type='mmattmask.KNNHook', memory=packed, query=packed))
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        if not pipeline:
            with pytest.raises(ValueError, match=r"'bgr', 'memory': 'rgb', 'query'"):
                hook.check_data(whole)
            return
        hook.check_data(whole)
    assert hook._images['memory'][0][0][:, 0, 0].tolist() == [10, 50, 200]


def test_own_arrays_are_trusted():
    """Whose order of colours nobody says: they would count as BGR."""
    packed, own = dict(type='mmattmask.PackedImages'), dict(type='CustomDataset')
    check_same_colours(training=packed, memory=own)
    loaded = dict(own, pipeline=[dict(type='LoadImageFromFile')])
    with pytest.raises(ValueError, match=r"'rgb', 'memory': 'bgr'"):
        check_same_colours(training=packed, memory=loaded)


def test_pool_tokens_of_backbones_with_and_without_cls():
    tokens = torch.arange(24.0).view(1, 6, 4)
    backbone = torch.nn.Module()
    backbone.cls_token = torch.nn.Parameter(torch.zeros(1, 1, 4))
    backbone.num_extra_tokens = 2
    pooled = pool_tokens(backbone, tokens)
    assert torch.equal(pooled['cls'], tokens[:, 0])
    assert torch.equal(pooled['mean'], tokens[:, 2:].mean(1))
    plain = torch.nn.Module()
    assert set(pool_tokens(plain, tokens)) == {'mean'}
    feature_map = tokens.view(1, 6, 2, 2)
    assert pool_tokens(plain, feature_map)['mean'].shape == (1, 6)
