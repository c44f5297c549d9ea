"""Views are the stock ones; the place of the first or of each is kept."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from mmengine.runner import Runner
from mmpretrain.datasets import transforms as stock

from mmattmask.datasets import MultiCrop, MultiView, PackInputs
from mmattmask.datasets.recording import check_pipeline
from mmattmask.geometry import view_samples
from mmattmask.scorers import AttentionBank, BankHeader, BankWriter, CachedAttention

FRAGMENTS = Path(__file__).parents[2] / 'configs' / '_base_'
DIRECTIONS = ['horizontal', 'vertical', 'diagonal']
FLIP = dict(type='RandomFlip', prob=[0.3, 0.3, 0.3], direction=DIRECTIONS)
LARGE = dict(type='mmattmask.RandomResizedCrop', scale=32, crop_ratio_range=(0.3, 1.0))
SMALL = dict(type='mmattmask.RandomResizedCrop', scale=16, crop_ratio_range=(0.1, 0.3))
SOLARIZE = dict(type='Solarize', thr=128, prob=1.0)
VIEWS = dict(
    num_views=[1, 1, 4],
    transforms=[[LARGE, FLIP], [LARGE, SOLARIZE, FLIP], [SMALL, FLIP]],
)
PER_VIEW = ('img', 'img_shape', 'crop_box', 'flip', 'flip_direction')


@pytest.fixture(autouse=True)
def mmpretrain_scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def image():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    return dict(img=pixels, sample_idx=3, ori_shape=(40, 50), img_path='a.png')


def run(transform, results, seed=4):
    np.random.seed(seed)  # noqa: NPY002  MMCV's transforms draw from it
    return transform(copy.deepcopy(results))


def multi_crop(*transforms, num_views=None):
    return MultiCrop(
        num_views=num_views or [1] * len(transforms), transforms=transforms
    )


@pytest.mark.parametrize('kind', [MultiCrop, MultiView])
def test_pixels_and_draws_are_those_of_the_stock_transform(image, kind):
    ours, theirs = (run(views(**VIEWS), image) for views in (kind, stock.MultiView))
    assert len(ours['img']) == 6
    for one, other in zip(ours['img'], theirs['img'], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(*ours['img'][:2])
    assert {key for key in ours if key not in PER_VIEW} >= {*image} - {'img'}


def test_geometry_of_multi_view_is_that_of_the_first(image):
    crop = dict(type='mmattmask.RandomCrop', crop_size=24)
    flip = dict(type='RandomFlip', prob=0.5)
    views = MultiView(num_views=[1, 1], transforms=[[crop, flip], [crop, SOLARIZE]])
    for seed in range(8):
        results = PackInputs()(run(views, image, seed))
        sample = results['data_samples']
        top, left, height, width = map(int, sample.crop_box)
        crop = image['img'][top : top + height, left : left + width]
        view = crop[:, ::-1] if sample.flip else crop
        np.testing.assert_array_equal(results['inputs'][0].permute(1, 2, 0), view)
        assert sample.sample_idx == 3
        assert sample.img_shape[:2] == (24, 24)


@pytest.mark.parametrize(
    'before', [[], [dict(type='mmattmask.RandomCrop', crop_size=70)]]
)
def test_every_view_has_its_own_geometry(
    coordinate_image, expected_coordinates, before
):
    views = MultiCrop(
        num_views=[2, 3],
        transforms=[[LARGE, FLIP], [FLIP, dict(type='Resize', scale=48), SMALL]],
    )
    flips = set()
    for seed in range(6):
        results = dict(img=coordinate_image(90, 110))
        for transform in (*map(TRANSFORMS.build, before), views):
            results = run(transform, results, seed)
        assert results['ori_shape'] == (90, 110)
        assert [view.shape[0] for view in results['img']] == [32, 32, 16, 16, 16]
        for entries in zip(*(results[key] for key in PER_VIEW), strict=True):
            view = dict(zip(PER_VIEW, entries, strict=True))
            assert view['img_shape'] == view['img'].shape
            rows, columns = expected_coordinates(view)
            shown = view['img']
            assert np.median(np.abs(shown[:, :, 0] - rows[:, None])) < 0.01
            assert np.median(np.abs(shown[:, :, 1] - columns[None])) < 0.01
            flips.add(view['flip_direction'])
    assert flips == {None, *DIRECTIONS}


def test_a_view_without_a_crop_shows_the_whole_image(image):
    del image['ori_shape']  # as a dataset in memory
    results = run(multi_crop([SOLARIZE], [LARGE]), image)
    assert results['crop_box'][0] == (0, 0, 40, 50)
    assert results['ori_shape'] == (40, 50)
    assert results['flip'] == [False, False]
    assert results['flip_direction'] == [None, None]
    first = MultiView(num_views=[1, 1], transforms=[[SOLARIZE], [LARGE]])(image)
    assert first['crop_box'] == (0, 0, 40, 50)


def test_views_do_not_share_what_they_change(image):
    def paint(results):
        results['img'][:] = 7
        results['labels'].append(1)
        return results

    image['labels'] = []
    source = image['img'].copy()
    results = multi_crop([LARGE, paint], [LARGE], [])(image)
    assert (results['img'][0] == 7).all()
    assert (results['img'][1] != 7).any()
    np.testing.assert_array_equal(results['img'][2], source)
    results['img'][2][:] = 0  # a view may be written to, also one that is the image
    np.testing.assert_array_equal(image['img'], source)
    assert results['labels'] == []


def test_the_source_is_neither_copied_nor_changed_in_place(image):
    def look(results):
        assert np.shares_memory(results['img'], image['img'])
        return results

    multi_crop([look, LARGE], [look])(image)
    erase = dict(type='RandomErasing', erase_prob=1.0)
    with pytest.raises(ValueError, match='read-only'):
        multi_crop([erase, LARGE])(image)
    multi_crop([LARGE, erase])(image)
    assert image['img'].flags.writeable


@pytest.mark.parametrize('kind', [MultiCrop, MultiView])
def test_pipeline_check_looks_into_the_views(kind):
    pack = PackInputs()
    check_pipeline([kind(**VIEWS), pack])
    bad = dict(type='RandomResizedCrop', scale=24)
    with pytest.raises(ValueError, match='contains RandomResizedCrop'):
        check_pipeline([kind(num_views=[2], transforms=[[bad]]), pack])
    with pytest.raises(ValueError, match=r"use type='mmattmask\.MultiView'"):
        check_pipeline([stock.MultiView(**VIEWS), pack])


def packed(results) -> dict:
    return PackInputs()(results)['data_samples']


def test_samples_of_a_view(image):
    results = [run(MultiCrop(**VIEWS), image, seed) for seed in range(3)]
    samples = [packed(copy.copy(result)) for result in results]
    for view in range(6):
        for one, result in zip(view_samples(samples, view), results, strict=True):
            for key in ('crop_box', 'flip', 'flip_direction'):
                assert getattr(one, key) == result[key][view]
            assert (one.sample_idx, one.img_path) == (3, 'a.png')
            assert one.ori_shape == (40, 50)
            assert pickle.loads(pickle.dumps(one)) == one


def test_samples_of_a_view_that_is_not_there(image):
    sample = packed(run(MultiCrop(**VIEWS), image))
    for view in (-1, 6):
        with pytest.raises(ValueError, match=f'no view {view}, only 6 from 0'):
            view_samples([sample], view)
    del image['img_path']  # an image in memory
    assert view_samples([packed(MultiCrop(**VIEWS)(image))], 5)[0].img_path is None
    one_view = packed(TRANSFORMS.build(LARGE)(copy.deepcopy(image)))
    with pytest.raises(ValueError, match=r"type='mmattmask\.MultiCrop'"):
        view_samples([one_view], 0)
    bare = stock.PackInputs()(run(MultiCrop(**VIEWS), image))['data_samples']
    with pytest.raises(ValueError, match=r"type='mmattmask\.PackInputs'"):
        view_samples([bare], 0)


def test_a_scorer_follows_each_view(coordinate_image, tmp_path):
    """Maps hold the row: a view's score is the row that each of its patches shows."""
    rows, size = 20, (80, 60)
    writer = BankWriter(
        tmp_path / 'bank', BankHeader(1, (rows, 15), 'float16', 'data', 'epoch 1')
    )
    grid = np.broadcast_to(np.arange(rows, dtype=np.float32)[:, None], (1, rows, 15))
    writer.write(np.arange(1), grid)
    writer.finish()
    scorer = CachedAttention()
    scorer.bank = AttentionBank(tmp_path / 'bank')
    results = dict(img=coordinate_image(*size), sample_idx=0)
    results = run(MultiCrop(**{**VIEWS, 'transforms': [[LARGE, FLIP]] * 3}), results)
    images, sample = results['img'], packed(copy.copy(results))
    for view, shown in enumerate(images):
        inputs = torch.zeros(1, 3, *shown.shape[:2])
        score = scorer(inputs, view_samples([sample], view), (4, 4), 8)
        patches = shown[:, :, 0].reshape(4, 8, 4, 8).mean(axis=(1, 3)).reshape(1, 16)
        expected = ((patches + 0.5) / 4 - 0.5).clip(0, rows - 1)
        np.testing.assert_allclose(score, expected, atol=0.15)


def load(name):
    return Config.fromfile(str(FRAGMENTS / f'{name}.py'))


@pytest.mark.parametrize(
    ('name', 'sizes'),
    [
        ('multi_crop', [224] * 2 + [96] * 10),
        ('multi_crop_stl10', [96] * 2 + [48] * 8),
        ('multi_crop_cifar10', [32] * 2 + [16] * 6),
    ],
)
def test_fragments_make_batches_per_view(image_folder, name, sizes):
    cfg = load(name)
    folder = image_folder(size=(40, 50))
    pipeline = cfg.train_dataloader.dataset.pipeline
    pipeline = [t for t in pipeline if t['type'] != 'LoadImageFromFile']
    config = {
        **cfg.train_dataloader.to_dict(),
        'batch_size': 3,
        'num_workers': 0,
        'persistent_workers': False,
        'dataset': dict(
            type='CustomDataset',
            data_prefix=str(folder),
            pipeline=[dict(type='LoadImageFromFile'), *pipeline],
        ),
    }
    loader = Runner.build_dataloader(config, seed=0)
    check_pipeline(loader.dataset.pipeline.transforms)
    assert len(loader) == 2
    batch = next(iter(loader))
    data = MODELS.build(cfg.data_preprocessor)(batch)
    shapes = [tuple(view.shape) for view in data['inputs']]
    assert shapes == [(3, 3, size, size) for size in sizes]
    assert all(view.dtype == torch.float32 for view in data['inputs'])
    for view in range(len(sizes)):
        keys = [
            sample.sample_idx for sample in view_samples(data['data_samples'], view)
        ]
        assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ('name', 'dataset'),
    [
        ('multi_crop', 'ImageNet'),
        ('multi_crop_stl10', 'CustomDataset'),
        ('multi_crop_cifar10', 'CIFAR10'),
    ],
)
def test_fragments_use_their_views_on_their_dataset(name, dataset):
    cfg = load(name)
    loader = cfg.train_dataloader
    assert loader.dataset.type == dataset
    assert loader.dataset.pipeline == cfg.train_pipeline
    assert cfg.multi_crop in cfg.train_pipeline
    assert loader.collate_fn.type == 'default_collate'
    # the colours are made for the channels that the dataset loads
    files = dataset != 'CIFAR10'
    converts = [t.get('to_rgb', False) for t in _flat(cfg) if t.type == 'NumpyToPIL']
    assert converts == [files] * 3
    assert cfg.data_preprocessor.to_rgb == files


def _flat(cfg):
    return [transform for view in cfg.multi_crop.transforms for transform in view]


def test_a_config_changes_numbers_as_the_fragment_says(tmp_path):
    text = f"""
_base_ = {str(FRAGMENTS / 'multi_crop.py')!r}
large = {{**_base_.global_crop, 'crop_ratio_range': (0.32, 1.0)}}
small = {{**_base_.local_crop, 'crop_ratio_range': (0.05, 0.32)}}
views = [[large, *_base_.look_1], [large, *_base_.look_2], [small, *_base_.look_3]]
multi_crop = {{**_base_.multi_crop, 'num_views': [1, 1, 6], 'transforms': views}}
train_pipeline = [_base_.load, multi_crop, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
"""
    path = tmp_path / 'config.py'
    path.write_text(text)
    base, cfg = load('multi_crop'), Config.fromfile(str(path))
    _, ours, _ = cfg.train_dataloader.dataset.pipeline
    assert ours.num_views == [1, 1, 6]
    ranges = [view[0].crop_ratio_range for view in ours.transforms]
    assert ranges == [(0.32, 1.0), (0.32, 1.0), (0.05, 0.32)]
    for view, released in zip(ours.transforms, base.multi_crop.transforms, strict=True):
        assert view[1:] == released[1:]
        assert view[0].scale == released[0].scale
