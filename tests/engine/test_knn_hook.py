"""KNNHook: what it measures, when, where it writes, and that training never notices."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from mmpretrain.utils import get_ori_model
from PIL import Image

from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import evaluating
from mmattmask.engine.knn_hook import KNNHook, pool_tokens, write_row
from mmattmask.evaluation import knn_accuracy, nearest_neighbours
from tests.processes import run_ranks

from ..models.ibot_model import ibot_config
from .toy_run import (
    NUM_IMAGES,
    assert_equal_weights,
    train,
    train_here,
    weights,
    write_images,
)
from .toy_run import toy_config as config

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def knn_hook(data_root, **options):
    dataset = dict(type='CustomDataset', data_root=data_root)
    hook = dict(type='mmattmask.KNNHook', memory=dataset, query=dataset, k=(1, 3))
    return {**hook, **options}


def add(cfg, hook):
    cfg.custom_hooks = [*cfg.custom_hooks, hook]
    return cfg


def hook_of(runner):
    (hook,) = [hook for hook in runner.hooks if isinstance(hook, KNNHook)]
    return hook


def table(work_dir):
    with (Path(work_dir) / 'knn.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def test_training_does_not_notice(tmp_path, data_root):
    plain = train(config(tmp_path / 'plain', data_root))
    hook = knn_hook(data_root, interval=1, num_workers=2)
    watched = train(add(config(tmp_path / 'watched', data_root), hook))
    assert_equal_weights(weights(plain), weights(watched))
    assert torch.equal(
        torch.tensor(plain.message_hub.get_scalar('train/loss').data[0]),
        torch.tensor(watched.message_hub.get_scalar('train/loss').data[0]),
    )
    assert watched.model.training


def test_accuracy_is_that_of_the_features_of_whole_images(tmp_path, data_root):
    query = dict(type='CustomDataset', data_root=data_root, indices=5)
    cfg = add(
        config(tmp_path, data_root), knn_hook(data_root, query=query, batch_size=4)
    )
    runner = train(cfg)
    dataset = DATASETS.build(
        dict(
            type='mmpretrain.CustomDataset',
            data_root=data_root,
            pipeline=[dict(type='mmcv.LoadImageFromFile')],
        )
    )
    images = WholeImages([dataset], (16, 16))
    pixels = torch.stack([images[index][0] for index in range(NUM_IMAGES)])
    labels = torch.tensor([images[index][2] for index in range(NUM_IMAGES)])
    model = get_ori_model(runner.model)
    with evaluating(runner):
        inputs = model.data_preprocessor({'inputs': pixels, 'data_samples': []}, False)
        tokens = model(inputs['inputs'], mode='tensor')[-1]
    row = table(tmp_path)[-1]
    for name, features in (('cls', tokens[:, 0]), ('mean', tokens[:, 1:].mean(1))):
        similarity, places = nearest_neighbours(features[:5], features, 3)
        results = knn_accuracy(similarity, labels[places], labels[:5], (1, 3))
        assert results[1].top1 == 100.0  # every query is in the memory
        for k in (1, 3):
            expected = pytest.approx(results[k].top1, abs=1e-3)
            assert float(row[f'{name}_top1_k{k}']) == expected


def dino_config(work_dir, data_root):
    """DINO, the smallest of the hosts with a teacher, for one epoch."""
    model = ibot_config(img_size=16, patch_size=4)
    del model['data_preprocessor']
    crop = [dict(type='mmattmask.RandomResizedCrop', scale=16)]
    cfg = config(work_dir, data_root, train_cfg__max_epochs=1)
    cfg.model = {**model, 'patch_weight': 0.0}
    cfg.train_dataloader.dataset.pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmattmask.MultiCrop', num_views=[2], transforms=[crop]),
        dict(type='mmattmask.PackInputs'),
    ]
    cfg.custom_hooks = []
    return cfg


def test_the_teacher_is_measured_instead_of_the_student(tmp_path, data_root):
    cfg = add(dino_config(tmp_path / 'run', data_root), knn_hook(data_root))
    add(cfg, dict(type='mmattmask.EMATeacherHook', momentum=0.5))
    runner = train(cfg)
    hook, model = hook_of(runner), runner.model
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
    whole = dict(type='CustomDataset', data_root=data_root)
    memory = dict(type='mmattmask.FirstPerClass', images_per_class=3, dataset=whole)
    cfg = config(tmp_path, data_root, train_cfg__max_epochs=1)
    train(add(cfg, knn_hook(data_root, memory=memory)))
    assert f'({NUM_IMAGES} images against 6)' in output_of(tmp_path)


def test_target_without_a_teacher(tmp_path, data_root):
    cfg = add(config(tmp_path, data_root), knn_hook(data_root, target='teacher'))
    with pytest.raises(ValueError, match=r'EMA teacher of its backbone.*GuidedMAE'):
        train(cfg)


@pytest.mark.parametrize(
    ('options', 'epochs'),
    [
        (dict(interval=2), [0, 2, 4, 5]),
        (dict(interval=5), [0, 5]),
        (dict(interval=1, begin=4), [0, 4, 5]),
        (dict(interval=10, begin=3), [0, 3, 5]),
    ],
)
def test_when_it_measures(tmp_path, data_root, options, epochs):
    runner = train(add(config(tmp_path, data_root), knn_hook(data_root, **options)))
    rows = table(tmp_path)
    assert [int(row['epoch']) for row in rows] == epochs
    for feature in ('cls', 'mean'):
        for top in ('top1', 'top5'):
            name = f'{feature}_{top}_k3'
            assert all(0 <= float(row[name]) <= 100 for row in rows)
            scalar = runner.message_hub.get_scalar(f'knn/{name}').data[0]
            assert np.allclose(scalar, [float(row[name]) for row in rows], atol=1e-3)
    lines = (
        (Path(runner.log_dir) / 'vis_data' / 'scalars.json').read_text().splitlines()
    )
    steps = [json.loads(line)['step'] for line in lines if 'knn/cls_top1_k3' in line]
    assert steps == epochs


def test_by_iteration(tmp_path, data_root):
    cfg = config(
        tmp_path,
        data_root,
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, _delete_=True),
        default_hooks__checkpoint=dict(by_epoch=False, interval=7),
        default_hooks__logger=dict(log_metric_by_epoch=False),
    )
    hook = knn_hook(data_root, interval=3, by_epoch=False)
    cfg.custom_hooks = [
        dict(
            type='mmattmask.AttentionRefreshHook', begin=3, interval=3, by_epoch=False
        ),
        hook,
    ]
    train(cfg)
    assert [int(row['iter']) for row in table(tmp_path)] == [0, 3, 6, 7]


def test_resumed_run_replaces_later_rows_and_keeps_earlier_ones(tmp_path, data_root):
    hook = knn_hook(data_root, interval=1)
    train(add(config(tmp_path, data_root), hook))
    whole = table(tmp_path)
    (tmp_path / 'epoch_5.pth').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_3.pth'))
    train(add(config(tmp_path, data_root, resume=True), hook))
    assert table(tmp_path) == whole
    train(add(config(tmp_path, data_root, train_cfg__max_epochs=1), hook))
    assert [int(row['epoch']) for row in table(tmp_path)] == [0, 1]


def test_write_row_with_new_columns(tmp_path):
    path = tmp_path / 'knn.csv'
    write_row(path, 'epoch', 0, {'a': 1.0})
    write_row(path, 'epoch', 2, {'a': 2.0, 'b': 3.0})
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert rows == [
        {'epoch': '0', 'a': '1.000', 'b': ''},
        {'epoch': '2', 'a': '2.000', 'b': '3.000'},
    ]


def test_two_ranks_measure_what_one_does(tmp_path, data_root):
    options = {
        'custom_hooks': [knn_hook(data_root, interval=1)],
        'model__scorer': None,  # no hook refreshes it
        'train_cfg__max_epochs': 1,
        'optim_wrapper__optimizer__lr': 0.0,
    }
    for world_size in (1, 3):
        work_dir = tmp_path / str(world_size)
        work_dir.mkdir()
        arguments = (str(work_dir), data_root, options)
        run_ranks(work_dir, train_here, *arguments, ranks=world_size)
        assert world_size == 1 or NUM_IMAGES % world_size  # there is padding
        assert f'({NUM_IMAGES} images against {NUM_IMAGES})' in output_of(
            tmp_path / str(world_size)
        )
    assert table(tmp_path / '1') == table(tmp_path / '3')


def output_of(work_dir):
    return ''.join(path.read_text() for path in work_dir.glob('*/*.log'))


def test_unreadable_images_are_left_out(tmp_path):
    data_root = write_images(tmp_path / 'images')
    broken = sorted(Path(data_root).glob('*/*.png'))[4]
    hook = knn_hook(data_root, interval=5)
    cfg = add(config(tmp_path / 'run', data_root, train_cfg__max_epochs=1), hook)
    cfg.train_dataloader.dataset.ann_file = str(tmp_path / 'list.txt')
    (tmp_path / 'list.txt').write_text('class_0/000.png 0\nclass_1/001.png 1\n')
    cfg.train_dataloader.dataset.data_prefix = ''
    broken.write_bytes(b'no image')
    train(cfg)
    text = output_of(tmp_path / 'run')
    number = NUM_IMAGES - 1
    assert f'({number} images against {number})' in text
    assert broken.name in text


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


@pytest.mark.parametrize('kept', ['bcd', 'dcba', 'abcd'])
def test_class_numbers_must_mean_the_same(tmp_path, data_root, kept):
    """Without its first folder each class has the number of the one before."""
    for split, names in (('memory', 'abcd'), ('query', kept)):
        for name in names:
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            image = np.full((8, 8, 3), ord(name), np.uint8)
            Image.fromarray(image).save(folder / '0.png')
    memory, query = (
        dict(type='CustomDataset', data_root=str(tmp_path / split))
        for split in ('memory', 'query')
    )
    if kept == 'dcba':  # the same folders, in an order of the user's
        query['metainfo'] = dict(classes=tuple(kept))
    hook = knn_hook(data_root, memory=memory, query=query)
    cfg = add(config(tmp_path / 'run', data_root, train_cfg__max_epochs=1), hook)
    if kept == 'abcd':
        train(cfg)
        return
    with pytest.raises(ValueError, match=r'other classes or another order'):
        train(cfg)


def test_dataset_without_labels_is_refused_before_training(tmp_path, data_root):
    hook = knn_hook(data_root)
    hook['query'] = dict(hook['query'], with_label=False)
    with pytest.raises(ValueError, match='query dataset have no labels'):
        train(add(config(tmp_path, data_root), hook))
    assert not (tmp_path / 'knn.csv').exists()


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
