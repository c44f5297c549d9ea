"""MaskStripHook: what it draws, when, where, and that training never notices."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmcv.transforms import LoadImageFromFile
from mmpretrain.registry import TRANSFORMS
from PIL import Image

from mmattmask.engine import mask_strip_hook
from mmattmask.engine.mask_strip_hook import MaskStripHook
from mmattmask.masking import PatchBudget, view_score
from mmattmask.scorers.map_files import MapFolder
from mmattmask.visualization import Membership
from mmattmask.visualization.records import load_records
from mmattmask.visualization.strips import strip_frames

from ..tiny_hosts import HOSTS
from .toy_run import (
    assert_equal_weights,
    log_of,
    times_of,
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


def config(work_dir, data_root, strips=None, **changes):
    cfg = toy_config(work_dir, data_root, **changes)
    hook = dict(type='mmattmask.MaskStripHook', num_images=3)
    cfg.custom_hooks.append({**hook, **(strips or {})})
    return cfg


def pictures(runner):
    """Return the steps of every image's strips."""
    steps = {}
    for path in (Path(runner.log_dir) / 'vis_data' / 'vis_image').glob('*.png'):
        name, step = path.stem.rsplit('_', 1)
        assert np.asarray(Image.open(path)).ndim == 3
        steps.setdefault(name, set()).add(int(step))
    return steps


def collect(patch):
    """Collect the strips, batch by batch, as (epoch, strips)."""
    batches = []
    original = MaskStripHook._records

    def records(self, runner):
        strips = original(self, runner)
        batches.append((runner.epoch, strips))
        return strips

    patch.setattr(MaskStripHook, '_records', records)
    return batches


@pytest.fixture
def drawn(monkeypatch):
    return collect(monkeypatch)


@pytest.fixture(scope='module')
def watched(tmp_path_factory, data_root):
    """A run drawn on refreshes (1, 3) and every 4 epochs, and what was drawn."""
    with pytest.MonkeyPatch.context() as patch:
        batches = collect(patch)
        folder = tmp_path_factory.mktemp('watched')
        return train(config(folder, data_root, dict(interval=4))), batches


def test_training_does_not_notice(whole, watched):
    run, _ = watched
    assert_equal_weights(weights(whole), weights(run))
    assert run.model.training
    assert run.model.guidance.rng is None


def test_when_and_where_it_draws(watched):
    run, _ = watched
    steps, folder = {0, 1, 3, 4, 5}, Path(run.work_dir)
    assert pictures(run) == {f'mask_strip_{i:02d}': steps for i in range(3)}
    kept = sorted((folder / 'mask_strips').iterdir())
    assert {int(path.stem) for path in kept} == steps
    for path in kept:
        records, title = load_records(path)
        assert len(records) == 2
        assert title.startswith(f'epoch {int(path.stem)}\n')
    frames = strip_frames(folder)
    assert len(frames) == len(steps)
    sheet = np.asarray(Image.open(folder / 'mask_strips.png'))
    assert sheet.shape[1] == frames[0].shape[1]
    assert sheet.shape[0] > frames[0].shape[0]


@pytest.mark.parametrize(('interval', 'steps'), [(None, [0, 5]), (4, [0, 4, 5])])
def test_without_refreshes(interval, steps):
    hook = MaskStripHook(interval=interval, on_refresh=False)
    assert times_of(hook, 'draw') == steps


def test_refresh_by_iteration_is_seen(tmp_path, data_root):
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=2, interval=3)
    hooks = [refresh, dict(type='mmattmask.MaskStripHook')]
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=[{**hook, 'by_epoch': False} for hook in hooks],
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=7, _delete_=True),
        default_hooks__checkpoint=dict(by_epoch=False, interval=7),
        default_hooks__logger=dict(log_metric_by_epoch=False),
    )
    assert pictures(train(cfg))['mask_strip_00'] == {0, 2, 5, 7}


def test_same_images_with_the_partition_of_the_policy(watched):
    run, drawn = watched
    warm_up, *_, last = [strips for _, strips in drawn]
    for _, strips in drawn:
        for strip, first in zip(strips, warm_up, strict=True):
            assert np.array_equal(strip.image, first.image)
    for strips, note, budget in (
        (warm_up, 'Random, warm-up', PatchBudget.from_mask_ratio(16, 0.75)),
        (last, 'AMT', PatchBudget.from_ratios(16, 0.45, 0.40)),
    ):
        for strip in strips:
            assert strip.policy_note == note
            counts = [int((strip.sets == member).sum()) for member in Membership]
            assert counts == [budget.num_visible, budget.num_masked, budget.num_thrown]
    # the score that the bank gives to the whole image, not the model's attention now
    maps = torch.from_numpy(run.model.guidance.scorer.bank.maps(np.array([3, 11, 18])))
    box, size = torch.tensor([[0.0, 0, 16, 16]] * 3), torch.full((3, 2), 16.0)
    flip = torch.zeros(3, 2, dtype=torch.bool)
    scores = view_score(maps, box, size, flip, (4, 4), samples=4).view(3, 4, 4)
    for strip, score in zip(last, scores, strict=True):
        np.testing.assert_allclose(strip.score, score, atol=1e-5)
        assert strip.score_note == 'bank of epoch 3'


def test_masks_follow_the_score_and_are_drawn_from_the_same_numbers(watched):
    _, drawn = watched
    by_epoch = dict(drawn)
    for first, second in zip(by_epoch[3], by_epoch[4], strict=True):
        assert np.array_equal(first.sets, second.sets)  # same map, same masks
    masked = [s.score[s.sets == Membership.MASKED].mean() for s in by_epoch[3]]
    others = [s.score[s.sets != Membership.MASKED].mean() for s in by_epoch[3]]
    assert np.mean(masked) > np.mean(others)


def test_non_square_images(tmp_path, data_root, drawn):
    cfg = config(tmp_path, data_root, train_cfg__max_epochs=1)
    cfg.model.backbone.img_size = (12, 24)
    cfg.model.head.type = 'mmattmask.GuidedMAEHead'
    cfg.train_dataloader.dataset.pipeline[1].scale = (12, 24)
    train(cfg)
    strip = drawn[-1][1][0]
    assert strip.image.shape == strip.prediction.shape == (12, 24, 3)
    assert strip.sets.shape == strip.score.shape == (3, 6)


@pytest.mark.parametrize('channels', [1, 4])
def test_images_of_any_number_of_channels(tmp_path, data_root, drawn, channels):
    cfg = config(tmp_path, data_root, train_cfg__max_epochs=1)
    # MMEngine normalises one channel and three
    statistics = dict(mean=[120.0], std=[60.0]) if channels == 1 else {}
    cfg.data_preprocessor = dict(type='SelfSupDataPreprocessor', **statistics)
    cfg.model.backbone.patch_cfg = dict(in_channels=channels)
    cfg.model.neck.in_chans = channels
    cfg.model.head.in_channels = channels
    load = cfg.train_dataloader.dataset.pipeline[0]
    load.update(
        dict(color_type='grayscale') if channels == 1 else dict(type='LoadBands')
    )
    runner = train(cfg)
    assert set(pictures(runner)) == {f'mask_strip_{i:02d}' for i in range(3)}
    for _, strips in drawn:
        for strip in strips:
            assert strip.image.shape == strip.prediction.shape == (16, 16, 3)
            assert np.ptp(strip.image) > 50
            grey = np.array_equal(strip.image[..., 0], strip.image[..., 1])
            assert grey == (channels == 1)


def test_own_dataset_is_scored_by_the_present_attention(tmp_path, data_root, drawn):
    """Its last image cannot be read: it is left out and named."""
    load = [dict(type='LoadImageFromFile')]
    other = write_images(tmp_path / 'other', 3)
    broken = Path(other) / 'class_1' / '001.png'
    broken.write_bytes(b'no image')
    strips = dict(dataset=dict(type='CustomDataset', data_root=other, pipeline=load))
    runner = train(config(tmp_path / 'run', data_root, strips, train_cfg__max_epochs=2))
    before, after = drawn[0][1], drawn[-1][1]
    assert {strip.policy_note for strip in before} == {'Random, warm-up'}
    assert {strip.policy_note for strip in after} == {'AMT'}
    now = 'CachedAttention, measured now'
    assert {strip.score_note for strip in before} == {f'{now}, unused'}
    assert {strip.score_note for strip in after} == {now}
    assert not np.array_equal(before[0].score, after[0].score)
    assert set(pictures(runner)) == {'mask_strip_00', 'mask_strip_01'}
    assert f'skipped an unreadable {broken}' in log_of(tmp_path / 'run')


@pytest.mark.parametrize('own', [False, True])
def test_users_maps_are_those_of_the_images_by_name(
    tmp_path, data_root, drawn, monkeypatch, own
):
    other, asked, find = write_images(tmp_path / 'other', 3), [], MapFolder.find
    monkeypatch.setattr(
        MapFolder, 'find', lambda *args: asked.append(args[1:]) or find(*args)
    )
    maps = tmp_path / 'maps'
    maps.mkdir()
    for index in range(22):
        np.save(maps / f'{index:03d}.npy', np.full((2, 2), index, np.uint8))
    load = [dict(type='LoadImageFromFile')]
    dataset = dict(type='CustomDataset', data_root=other, pipeline=load)
    strips = dict(dataset=dataset if own else None)
    cfg = config(tmp_path / 'run', data_root, strips, train_cfg__max_epochs=1)
    cfg.model.scorer = dict(type='mmattmask.UserMaps', path=str(maps))
    del cfg.custom_hooks[0]
    train(cfg)
    for _, drawing in drawn:
        assert {strip.score_note for strip in drawing} == {'UserMaps'}
        # in the order of folders: 0, 2, ... and 1, 3, ...
        wanted = [0, 2, 1] if own else [6, 1, 15]
        assert [strip.score.max() for strip in drawing] == wanted
    ids = {index for path, index in asked if path.startswith(other)}
    assert ids == ({None} if own else set())  # theirs are not ids of training images


@pytest.mark.parametrize('kind', ['UserMaps', 'LabelMaps', 'ShuffledMaps'])
def test_maps_by_sample_id_are_not_drawn_over_another_dataset(
    tmp_path, data_root, kind
):
    np.save(tmp_path / 'maps.npy', np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    scorer = dict(type='mmattmask.UserMaps', path=str(tmp_path / 'maps.npy'))
    policy = dict(type='mmattmask.AMTMaskGenerator')
    if kind == 'LabelMaps':
        scorer['type'] = 'mmattmask.LabelMaps'
        policy = dict(type='mmattmask.PartMaskGenerator')
    elif kind == 'ShuffledMaps':
        scorer = dict(type='mmattmask.ShuffledMaps', scorer=scorer)
    cfg, model = toy_config(tmp_path, data_root), HOSTS['MAE'].build(policy, scorer)
    runner = SimpleNamespace(cfg=cfg, model=model, train_loop=None)
    MaskStripHook().check_model(runner)
    other = cfg.train_dataloader.dataset.to_dict()
    with pytest.raises(ValueError, match=r'maps\.npy holds maps by sample id.*dataset'):
        MaskStripHook(dataset=other).check_model(runner)


def test_without_a_scorer_there_is_no_attention_panel(tmp_path, data_root, drawn):
    cfg = config(tmp_path, data_root, train_cfg__max_epochs=1)
    cfg.model.scorer = None
    cfg.model.mask_generator = dict(type='mmattmask.RandomMaskGenerator')
    del cfg.custom_hooks[0]
    train(cfg)
    assert [epoch for epoch, _ in drawn] == [0, 1]
    for _, strips in drawn:
        assert all(strip.score is None for strip in strips)
        assert all(strip.policy_note == 'Random' for strip in strips)


def test_new_run_in_the_same_work_dir_starts_a_new_sheet(tmp_path, data_root, watched):
    folder = shutil.copytree(watched[0].work_dir, tmp_path / 'run')
    train(config(folder, data_root, train_cfg__max_epochs=2))
    rows = {int(path.stem) for path in (folder / 'mask_strips').iterdir()}
    assert rows == {0, 1, 2}


def test_only_rank_0_draws(tmp_path, data_root, drawn, monkeypatch):
    monkeypatch.setattr(mask_strip_hook, 'get_rank', lambda: 1)
    runner = train(config(tmp_path, data_root, train_cfg__max_epochs=1))
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


def test_stock_model_is_refused():
    runner = SimpleNamespace(cfg={}, model=HOSTS['MAE'].build(), train_loop=None)
    with pytest.raises(ValueError, match=r'MaskStripHook needs a guided model.*MAE'):
        MaskStripHook().before_train(runner)


def test_pictures_with_red_and_blue_exchanged_are_refused(tmp_path, data_root):
    model = HOSTS['MAE'].build()
    runner = SimpleNamespace(
        cfg=toy_config(tmp_path, data_root), model=model, train_loop=None
    )
    arrays = dict(type='mmattmask.PackedImages', ann_file='x.npz', pipeline=[])
    with pytest.raises(ValueError, match=r"'training': 'bgr', 'dataset': 'rgb'"):
        MaskStripHook(dataset=arrays).check_model(runner)
