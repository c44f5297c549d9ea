"""Batches made at once: the law of the stock crop, Pillow's pixels, true geometry."""

from functools import partial

import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.datasets import RandomResizedCrop
from scipy.stats import ks_2samp
from torch.utils.data import DataLoader

from mmattmask.datasets import ResidentImages
from mmattmask.datasets.batched_crops import crop_resized, draw_boxes
from mmattmask.geometry import view_geometry
from mmattmask.registry import DATASETS
from mmattmask.runtime import default_collate
from mmattmask.sample_batch import collate_compactly
from tests.comparison.toy import write_packed
from tests.engine.toy_run import assert_equal_weights, toy_config, train, weights
from tests.fake_cuda import fake_cuda

CROP = dict(
    type='RandomResizedCrop', scale=16, backend='pillow', interpolation='bicubic'
)
FLIP = dict(type='RandomFlip', prob=0.5)
PIPELINE = [CROP, FLIP, dict(type='PackInputs')]


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture
def folder(tmp_path):
    write_packed(tmp_path / 'train.npz', 24, seed=0)
    return tmp_path


def config(folder, pipeline=PIPELINE):
    images = dict(type='mmattmask.PackedImages', ann_file='train.npz')
    images |= dict(data_root=str(folder), pipeline=pipeline)
    return dict(type='mmattmask.ResidentImages', dataset=images)


@pytest.mark.parametrize('size', [(32, 32), (40, 100), (300, 20)])
@pytest.mark.parametrize('area', [(0.2, 1.0), (0.9, 1.0)])
def test_crops_follow_the_stock_law(size, area):
    stock = RandomResizedCrop(scale=16, crop_ratio_range=area)
    image = np.empty((*size, 3), np.uint8)
    np.random.seed(0)  # noqa: NPY002 what the stock transform draws from
    expected = np.array([stock.rand_crop_params(image) for _ in range(2000)])
    rng = torch.Generator().manual_seed(0)
    boxes = draw_boxes(2000, size, area, stock.aspect_ratio_range, generator=rng)
    for column in range(4):
        assert ks_2samp(boxes[:, column], expected[:, column]).pvalue > 1e-3
    # so often no draw fits and the crop is the central one
    central = (np.ptp(expected, axis=0) == 0).all()
    assert central == bool((boxes == boxes[0]).all())
    again = torch.Generator().manual_seed(0)
    assert torch.equal(
        boxes, draw_boxes(2000, size, area, stock.aspect_ratio_range, generator=again)
    )


@pytest.mark.parametrize('interpolation', ['bilinear', 'bicubic'])
@pytest.mark.parametrize('target', [(16, 16), (32, 24), (70, 50)])
def test_pixels_are_those_of_pillow(interpolation, target):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, 30, 36, 3), np.uint8)
    boxes = draw_boxes(40, (30, 36), (0.05, 1.0), (0.5, 2.0))
    flip = torch.arange(40) % 2 == 1
    planes = torch.from_numpy(images).permute(0, 3, 1, 2)
    views = crop_resized(planes, boxes, flip, target, interpolation)
    for image, box, flipped, view in zip(images, boxes, flip, views, strict=True):
        top, left, height, width = box.tolist()
        crop = np.ascontiguousarray(image[top : top + height, left : left + width])
        options = dict(interpolation=interpolation, backend='pillow')
        expected = mmcv.imresize(crop, target[::-1], **options).astype(int)
        expected = expected[:, ::-1] if flipped else expected
        difference = np.abs(view.permute(1, 2, 0).numpy() - expected)
        assert difference.max() <= 2
        assert difference.mean() <= 0.1  # halves


def test_a_batch_has_what_the_pipeline_packs(folder):
    dataset = DATASETS.build(config(folder))
    assert len(dataset) == 24
    torch.manual_seed(0)
    batch = dataset.__getitems__([5, 3, 5])
    assert batch['inputs'].shape == (3, 3, 16, 16)
    assert batch['inputs'].dtype == torch.uint8
    geometry = view_geometry(batch['data_samples'])
    samples = list(batch['data_samples'])
    for one, other in zip(geometry, view_geometry(samples), strict=True):
        assert torch.equal(one, other)
    assert [sample.sample_idx for sample in samples] == [5, 3, 5]
    assert [sample.gt_label.tolist() for sample in samples] == [[1], [1], [1]]
    assert samples[0].crop_box != samples[2].crop_box
    single = dataset[5]['data_samples']
    assert set(samples[0].keys()) == set(single.keys())
    more = {'crop_box', 'ori_shape'}
    assert set(samples[0].metainfo_keys()) == more | set(single.metainfo_keys())
    for sample, view in zip(samples, batch['inputs'], strict=True):
        top, left, height, width = map(int, sample.crop_box)
        image = dataset.get_data_info(sample.sample_idx)['img']
        crop = image[top : top + height, left : left + width]
        crop = np.ascontiguousarray(crop[:, ::-1] if sample.flip else crop)
        options = dict(interpolation='bicubic', backend='pillow')
        expected = mmcv.imresize(crop, (16, 16), **options).astype(int)
        assert np.abs(view.permute(1, 2, 0).numpy() - expected).max() <= 2


def test_a_batch_is_one_copy_and_waits_for_nothing(folder, monkeypatch):
    dataset = DATASETS.build(config(folder))
    monkeypatch.setattr(f'{ResidentImages.__module__}.get_device', lambda: 'cuda')
    with fake_cuda() as watch:
        dataset.__getitems__([0])  # loads
        watch.clear()
        batch = dataset.__getitems__([5, 3, 5])
    assert batch['inputs'].device.type == 'cuda'
    assert watch.waits == []
    assert watch.copies == 1


@pytest.mark.parametrize(
    'pipeline',
    [
        [{**CROP, 'backend': 'cv2'}, FLIP, PIPELINE[-1]],
        [CROP, dict(type='Rotate', angle=3.0), PIPELINE[-1]],
        [CROP, dict(FLIP, direction='vertical'), PIPELINE[-1]],
        [CROP, dict(type='mmattmask.MultiView', num_views=[1], transforms=[[CROP]])],
        [CROP],
        [],
    ],
)
def test_other_pipelines_are_refused(folder, pipeline):
    with pytest.raises(ValueError, match='ResidentImages makes views of'):
        DATASETS.build(config(folder, pipeline))


def test_images_of_several_sizes_are_refused(image_folder):
    root = image_folder(size=(20, 30))
    mmcv.imwrite(np.zeros((8, 9, 3), np.uint8), str(root / 'odd' / 'one.png'))
    pipeline = [dict(type='LoadImageFromFile'), *PIPELINE]
    images = dict(type='CustomDataset', data_root=str(root), pipeline=pipeline)
    dataset = ResidentImages(DATASETS.build(images))
    with pytest.raises(ValueError, match=r'one size.*8, 9, 3.*20, 30, 3'):
        dataset.__getitems__([0])


def run(folder, name, **changes):
    cfg = toy_config(folder / name, folder, train_cfg__max_epochs=3, **changes)
    cfg.train_dataloader.dataset = config(folder)
    cfg.train_dataloader.pin_memory = True
    train(cfg)
    return weights(folder / name / 'epoch_3.pth')


def test_loader_processes_make_batches_too(folder):
    loader = DataLoader(
        DATASETS.build(config(folder)),
        batch_size=8,
        num_workers=1,
        collate_fn=partial(collate_compactly, collate=default_collate),
    )
    samples = [sample for batch in loader for sample in batch['data_samples']]
    assert [sample.sample_idx for sample in samples] == list(range(24))
    assert samples[1].gt_label.tolist() == [1]


def test_a_resumed_run_sees_the_same_crops(folder):
    expected = run(folder, 'whole')
    (folder / 'resumed').mkdir()
    for path in [folder / 'whole/epoch_1.pth', *folder.glob('whole/attention_bank')]:
        (folder / 'resumed' / path.name).symlink_to(path)
    resumed = run(folder, 'resumed', resume=True)
    assert_equal_weights(expected, resumed)
