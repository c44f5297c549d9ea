"""MaskStripHook: what it draws, when, where, and that training never notices."""

from pathlib import Path

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS
from mmpretrain.utils import get_ori_model
from PIL import Image

from mmattmask.engine import mask_strip_hook
from mmattmask.engine.mask_strip_hook import MaskStripHook
from mmattmask.masking import PatchBudget, view_score
from mmattmask.visualization import Membership
from mmattmask.visualization.pixels import predict_pixels
from mmattmask.visualization.records import load_records
from mmattmask.visualization.strips import strip_frames

from .toy_run import (
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)


@TRANSFORMS.register_module()
class LoadBands(LoadImageFromFile):
    """A picture and, as a fourth channel, its green one."""

    def transform(self, results):
        results = super().transform(results)
        results['img'] = results['img'][..., [0, 1, 2, 1]]
        return results


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def config(work_dir, data_root, *, size=None, strips=None, **changes):
    cfg = toy_config(work_dir, data_root, **changes)
    cfg.default_hooks.checkpoint.interval = 100
    cfg.custom_hooks.append(
        dict(type='mmattmask.MaskStripHook', num_images=3, **(strips or {}))
    )
    if size is not None:
        cfg.model.backbone.img_size = size
        cfg.model.head.type = 'mmattmask.GuidedMAEHead'
        cfg.train_dataloader.dataset.pipeline[1].scale = size
    return cfg


def pictures(runner):
    """Return the steps of every image's strips."""
    steps = {}
    for path in (Path(runner.log_dir) / 'vis_data' / 'vis_image').glob('*.png'):
        name, step = path.stem.rsplit('_', 1)
        assert np.asarray(Image.open(path)).ndim == 3
        steps.setdefault(name, set()).add(int(step))
    return steps


@pytest.fixture
def drawn(monkeypatch):
    """Collect the strips, batch by batch, as (epoch, strips)."""
    batches = []
    original = MaskStripHook._records

    def collect(self, runner):
        strips = original(self, runner)
        batches.append((runner.epoch, strips))
        return strips

    monkeypatch.setattr(MaskStripHook, '_records', collect)
    return batches


def test_training_does_not_notice(tmp_path, data_root):
    cfg = config(tmp_path / 'plain', data_root)
    cfg.custom_hooks.pop()
    plain = train(cfg)
    watched = train(config(tmp_path / 'strips', data_root, strips=dict(interval=1)))
    assert_equal_weights(weights(plain), weights(watched))
    assert watched.model.training
    assert get_ori_model(watched.model).guidance.rng is None


@pytest.mark.parametrize(
    ('strips', 'steps'),
    [
        (dict(), {0, 1, 3, 5}),  # refreshes before the epochs 1 and 3
        (dict(on_refresh=False), {0, 5}),
        (dict(interval=2), {0, 1, 2, 3, 4, 5}),
        (dict(on_refresh=False, interval=4), {0, 4, 5}),
    ],
)
def test_when_it_draws(tmp_path, data_root, strips, steps):
    runner = train(config(tmp_path, data_root, strips=strips))
    assert pictures(runner) == {f'mask_strip_{i:02d}': steps for i in range(3)}
    kept = sorted((tmp_path / 'mask_strips').iterdir())
    assert {int(path.stem) for path in kept} == steps
    for path in kept:
        records, title = load_records(path)
        assert len(records) == 2
        assert title.startswith(f'epoch {int(path.stem)}\n')
    frames = strip_frames(tmp_path)
    assert len(frames) == len(steps)
    sheet = np.asarray(Image.open(tmp_path / 'mask_strips.png'))
    assert sheet.shape[1] == frames[0].shape[1]
    assert sheet.shape[0] > frames[0].shape[0]


def test_refresh_by_iteration_is_seen(tmp_path, data_root):
    cfg = config(
        tmp_path,
        data_root,
        strips=dict(by_epoch=False),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, _delete_=True),
        default_hooks__checkpoint=dict(by_epoch=False, interval=7),
        default_hooks__logger=dict(log_metric_by_epoch=False),
    )
    cfg.custom_hooks = [
        dict(
            type='mmattmask.AttentionRefreshHook', begin=2, interval=3, by_epoch=False
        ),
        cfg.custom_hooks[-1],
    ]
    runner = train(cfg)
    assert pictures(runner)['mask_strip_00'] == {0, 2, 5, 7}


def test_same_images_with_the_partition_of_the_policy(tmp_path, data_root, drawn):
    runner = train(config(tmp_path, data_root))
    model = get_ori_model(runner.model)
    assert [epoch for epoch, _ in drawn] == [0, 1, 3, 5]
    warm_up, *_, last = [strips for _, strips in drawn]
    for _, strips in drawn:
        for strip, first in zip(strips, warm_up, strict=True):
            assert np.array_equal(strip.image, first.image)
    budgets = {
        'Random, warm-up': PatchBudget.from_mask_ratio(16, 0.75),
        'AMT': PatchBudget.from_ratios(16, 0.45, 0.40),
    }
    for strips, note in ((warm_up, 'Random, warm-up'), (last, 'AMT')):
        for strip in strips:
            assert strip.policy_note == note
            budget = budgets[note]
            counts = [int((strip.sets == member).sum()) for member in Membership]
            assert counts == [budget.num_visible, budget.num_masked, budget.num_thrown]
    # the score that the bank gives to the whole image, not the model's attention now
    maps = torch.from_numpy(model.guidance.scorer.bank.maps(np.array([3, 11, 18])))
    box, size = torch.tensor([[0.0, 0, 16, 16]] * 3), torch.full((3, 2), 16.0)
    flip = torch.zeros(3, 2, dtype=torch.bool)
    scores = view_score(maps, box, size, flip, (4, 4), samples=4).view(3, 4, 4)
    for strip, score in zip(last, scores, strict=True):
        np.testing.assert_allclose(strip.score, score, atol=1e-5)
        assert strip.score_note == 'bank of epoch 3'


def test_masks_follow_the_score_and_are_drawn_from_the_same_numbers(
    tmp_path, data_root, drawn
):
    cfg = config(tmp_path, data_root, strips=dict(interval=1))
    cfg.custom_hooks[0].interval = 100  # one refresh
    train(cfg)
    by_epoch = dict(drawn)
    for first, second in zip(by_epoch[1], by_epoch[4], strict=True):
        assert np.array_equal(first.sets, second.sets)  # same map, same masks
    masked = [s.score[s.sets == Membership.MASKED].mean() for s in by_epoch[1]]
    others = [s.score[s.sets != Membership.MASKED].mean() for s in by_epoch[1]]
    assert np.mean(masked) > np.mean(others)


def test_non_square_images(tmp_path, data_root, drawn):
    cfg = config(tmp_path, data_root, size=(12, 24), train_cfg__max_epochs=2)
    train(cfg)
    strip = drawn[-1][1][0]
    assert strip.image.shape == strip.prediction.shape == (12, 24, 3)
    assert strip.sets.shape == strip.score.shape == (3, 6)


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_any_number_of_channels(tmp_path, drawn, channels):
    data_root = write_images(tmp_path / 'images')
    cfg = config(tmp_path / 'run', data_root, train_cfg__max_epochs=2)
    # MMEngine normalises one channel and three
    statistics = dict(mean=[120.0], std=[60.0]) if channels == 1 else {}
    cfg.data_preprocessor = dict(type='SelfSupDataPreprocessor', **statistics)
    cfg.model.backbone.patch_cfg = dict(in_channels=channels)
    cfg.model.neck.in_chans = channels
    cfg.model.head.in_channels = channels
    pipeline = cfg.train_dataloader.dataset.pipeline
    if channels == 1:
        pipeline[0].color_type = 'grayscale'
    else:
        pipeline[0].type = 'LoadBands'
    runner = train(cfg)
    assert set(pictures(runner)) == {f'mask_strip_{i:02d}' for i in range(3)}
    for _, strips in drawn:
        for strip in strips:
            assert strip.image.shape == strip.prediction.shape == (16, 16, 3)
            assert np.ptp(strip.image) > 50
            grey = np.array_equal(strip.image[..., 0], strip.image[..., 1])
            assert grey == (channels == 1)


def test_own_dataset_is_scored_by_the_present_attention(tmp_path, data_root, drawn):
    other = write_images(tmp_path / 'other', 3)
    dataset = dict(
        type='CustomDataset',
        data_root=other,
        pipeline=[dict(type='LoadImageFromFile')],
    )
    train(config(tmp_path / 'run', data_root, strips=dict(dataset=dataset)))
    before, after = drawn[0][1], drawn[-1][1]
    assert {strip.policy_note for strip in before} == {'Random, warm-up'}
    assert {strip.policy_note for strip in after} == {'AMT'}
    assert {strip.score_note for strip in after} == {'the model now'}
    assert not np.array_equal(before[0].score, after[0].score)


def test_without_a_scorer_there_is_no_attention_panel(tmp_path, data_root, drawn):
    cfg = config(tmp_path, data_root, train_cfg__max_epochs=2)
    cfg.model.scorer = None
    cfg.model.mask_generator = dict(type='mmattmask.RandomMaskGenerator')
    del cfg.custom_hooks[0]
    train(cfg)
    assert [epoch for epoch, _ in drawn] == [0, 2]
    for _, strips in drawn:
        assert all(strip.score is None for strip in strips)
        assert all(strip.policy_note == 'Random' for strip in strips)


@pytest.mark.parametrize('norm_pix', [True, False])
def test_reconstruction_is_in_the_scale_of_the_image(tmp_path, data_root, norm_pix):
    cfg = config(
        tmp_path, data_root, model__head__norm_pix=norm_pix, train_cfg__max_epochs=1
    )
    runner = train(cfg)
    model = get_ori_model(runner.model)
    inputs = 2 * torch.randn(2, 3, 16, 16) + 5
    partition = (
        model.guidance.guide(inputs, None)[1]
        if model.guidance.scorer is None
        else (model.guidance.warmup_mask_generator(torch.zeros(2, 16)))
    )
    with torch.no_grad():
        image, _ = predict_pixels(model, inputs, partition)
        latent, mask, ids = model.backbone(inputs, partition)
        pred = model.neck(latent, ids, partition)
        loss = model.head.loss(pred, inputs, mask)
    assert image.shape == inputs.shape
    patches, target = model.head.patchify(image), model.head.patchify(inputs)
    error = (patches - target) ** 2
    if norm_pix:  # the loss counts in units of each patch's own variance
        error = error / (target.var(dim=-1, keepdim=True) + 1e-6)
        torch.testing.assert_close(
            patches.mean(-1), target.mean(-1), rtol=0.5, atol=2.0
        )
    error = (error.mean(-1) * mask).sum() / mask.sum()
    torch.testing.assert_close(error, loss)


def test_unreadable_image_is_left_out_and_named(tmp_path):
    data_root = write_images(tmp_path / 'images')
    cfg = config(tmp_path / 'run', data_root, train_cfg__max_epochs=1)
    broken = sorted(Path(data_root).glob('*/*.png'))[-1]
    (tmp_path / 'list.txt').write_text(
        ''.join(f'class_0/{2 * i:03d}.png 0\n' for i in range(4))
        + f'{broken.relative_to(data_root)} 1\n'
    )
    strips = dict(
        type='CustomDataset',
        data_root=data_root,
        ann_file=str(tmp_path / 'list.txt'),
        data_prefix='',
        pipeline=[dict(type='LoadImageFromFile')],
    )
    cfg.custom_hooks[-1]['dataset'] = strips
    cfg.train_dataloader.dataset.update(
        ann_file=str(tmp_path / 'readable.txt'), data_prefix=''
    )
    (tmp_path / 'readable.txt').write_text('class_0/000.png 0\nclass_0/002.png 0\n')
    broken.write_bytes(b'no image')
    runner = train(cfg)
    assert set(pictures(runner)) == {'mask_strip_00', 'mask_strip_01'}
    log = ''.join(path.read_text() for path in Path(runner.log_dir).glob('*.log'))
    assert f'skipped an unreadable {broken}' in log


def test_new_run_in_the_same_work_dir_starts_a_new_sheet(tmp_path, data_root):
    train(config(tmp_path, data_root))
    train(config(tmp_path, data_root, train_cfg__max_epochs=2))
    rows = {int(path.stem) for path in (tmp_path / 'mask_strips').iterdir()}
    assert rows == {0, 1, 2}


def test_only_rank_0_draws(tmp_path, data_root, drawn, monkeypatch):
    monkeypatch.setattr(mask_strip_hook, 'get_rank', lambda: 1)
    runner = train(config(tmp_path, data_root, train_cfg__max_epochs=2))
    assert drawn == []
    assert pictures(runner) == {}


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(num_images=0), r'num_images \(0\)'),
        (dict(sheet_images=-1), r'sheet_images \(-1\)'),
        (dict(interval=-1), r'interval \(-1\)'),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        MaskStripHook(**options)


def test_stock_model_is_refused(tmp_path, data_root):
    cfg = config(tmp_path, data_root)
    cfg.model = dict(
        type='MAE',
        backbone=dict(type='MAEViT', arch='b', img_size=16, patch_size=8),
        neck=dict(type='MAEPretrainDecoder', num_patches=4, patch_size=8),
        head=cfg.model.head,
    )
    cfg.custom_hooks = cfg.custom_hooks[-1:]
    with pytest.raises(ValueError, match=r'MaskStripHook needs a guided model.*MAE'):
        train(cfg)
