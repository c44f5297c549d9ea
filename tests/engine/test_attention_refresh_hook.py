"""AttentionRefreshHook in one process: schedule, randomness, resume, bad input."""

import copy
import json
import os
import random
import shutil
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import DATA_SAMPLERS, HOOKS, TASK_UTILS
from mmengine.runner import Runner
from PIL import Image
from torch.utils.data import BatchSampler

from mmattmask.engine import AttentionRefreshHook
from mmattmask.engine.image_pass import evaluating
from mmattmask.mask_generators import AMTMaskGenerator
from mmattmask.models.guidance import attention_maps
from mmattmask.scorers import AttentionBank, BankWriter, CachedAttention

from .toy_run import (
    NUM_IMAGES,
    assert_equal_weights,
    log_of,
    stop_and_resume,
    toy_config,
    train,
    weights,
)

IDS = np.arange(NUM_IMAGES)
WATCH = dict(type='WatchHook')


def hooks(*extra, **refresh):
    default = dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=2)
    return [{**default, **refresh}, dict(type='mmattmask.EpochSeedHook'), *extra]


def sources(runner):
    """Return the bank that each iteration's masks came from."""
    return [source for source, _ in runner.watched]


def test_a_run(whole):
    assert sources(whole) == [None] * 3 + ['epoch 1'] * 6 + ['epoch 3'] * 6
    warm, guided = whole.watched[0][1], whole.watched[-1][1]
    assert (warm.num_visible, warm.num_masked, warm.num_thrown) == (4, 12, 0)
    assert (guided.num_visible, guided.num_masked, guided.num_thrown) == (3, 7, 6)
    folder = Path(whole.work_dir)
    names = sorted(path.name for path in (folder / 'attention_bank').iterdir())
    assert names == ['epoch_1.bank', 'epoch_3.bank']
    lines = log_of(folder).splitlines()
    line = next(line for line in lines if 'attention refresh before' in line)
    for part in ('epoch 1', f'{NUM_IMAGES} maps of 4 x 4', '% of the time', 'MiB'):
        assert part in line
    saved = torch.load(folder / 'epoch_2.pth', weights_only=False)
    entry = saved['message_hub']['runtime_info']['mmattmask/attention_bank']
    assert json.loads(json.dumps(entry)) == entry
    assert entry['name'] == 'epoch_1'


def test_bank_holds_the_models_attention(whole):
    folder, model = Path(whole.work_dir), whole.model
    bank = AttentionBank(folder / 'attention_bank' / 'epoch_1.bank')
    assert len(bank) == NUM_IMAGES
    model.load_state_dict(weights(folder / 'epoch_1.pth'))
    for index in (0, 7, NUM_IMAGES - 1):
        path = whole.train_dataloader.dataset.get_data_info(index)['img_path']
        image = Image.open(path).resize((16, 16), Image.Resampling.BILINEAR)
        pixels = (np.array(image, dtype=np.float32)[..., ::-1] - 128) / 64
        inputs = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        with evaluating(whole):
            expected = attention_maps(model, inputs)[0].numpy()
        np.testing.assert_allclose(bank.maps(np.array([index]))[0], expected, atol=1e-3)
    model.load_state_dict(weights(folder / 'epoch_5.pth'))


def test_schedule_by_iteration_and_accumulation(tmp_path, data_root):
    refresh, _, watch = hooks(WATCH, begin=3, interval=4, by_epoch=False)
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=[refresh, watch],
        optim_wrapper__accumulative_counts=2,
        train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9),
        train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True),
        default_hooks__checkpoint=dict(by_epoch=False, interval=100),
    )
    assert sources(train(cfg)) == [None] * 3 + ['iter 3'] * 4 + ['iter 7'] * 2


def test_a_loader_with_a_batch_sampler(tmp_path, data_root, whole):
    """Which takes the loader's batch size: a refresh makes its steps of as many."""
    DATA_SAMPLERS.register_module(module=BatchSampler, force=True)
    sampler = dict(type='BatchSampler', drop_last=False)
    cfg = toy_config(tmp_path, data_root, train_dataloader__batch_sampler=sampler)
    assert_equal_weights(weights(train(cfg)), weights(whole))


def test_a_batch_sampler_by_iteration(tmp_path, data_root):
    """The official loop has drawn indices when crops are exchanged: it begins again."""
    DATA_SAMPLERS.register_module(module=BatchSampler, force=True)
    found = []
    for own in (None, dict(type='BatchSampler', drop_last=False)):
        cfg = toy_config(
            tmp_path / str(bool(own)),
            data_root,
            custom_hooks=hooks(begin=1, interval=9, by_epoch=False)[:1],
            train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=3),
            train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True),
            train_dataloader__batch_sampler=own,
            train_dataloader__num_workers=1,
            train_dataloader__dataset__pipeline__1__type='RandomResizedCrop',
            default_hooks__checkpoint=dict(by_epoch=False, interval=100),
        )
        found.append(weights(train(cfg)))
    assert_equal_weights(*found)


def test_refresh_keeps_gradients_of_an_accumulation(tmp_path, data_root):
    @HOOKS.register_module(force=True)
    class GradientHook(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 3:
                grads.append([copy.deepcopy(p.grad) for p in runner.model.parameters()])

    grads = []
    spies = [dict(type='GradientHook', priority=p) for p in ('VERY_HIGH', 'NORMAL')]
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks(*spies, begin=3, interval=9, by_epoch=False),
        optim_wrapper__accumulative_counts=2,
        train_cfg__max_epochs=2,
    )
    train(cfg)
    pairs = [(a, b) for a, b in zip(*grads, strict=True) if a is not None]
    assert pairs
    assert all(torch.equal(a, b) for a, b in pairs)


def test_random_stream_of_training_is_untouched(tmp_path, data_root):
    """Random masks: with and without refreshes the same weights come out."""
    runs = []
    for refreshed in (True, False):
        cfg = toy_config(tmp_path / str(refreshed), data_root, train_cfg__max_epochs=3)
        cfg.custom_hooks = cfg.custom_hooks[:1] if refreshed else []
        masks = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.75)
        cfg.model.mask_generator = masks
        if not refreshed:  # which a cached score is refused
            cfg.model.scorer = None
        runner = train(cfg)
        draws = np.random.rand(), torch.rand(1).item()  # noqa: NPY002
        runs.append((weights(runner), random.random(), *draws))
    (first, *draws), (second, *others) = runs
    assert_equal_weights(first, second)
    assert draws[1:] == others[1:]


@pytest.mark.parametrize('stop', [2, 3, 4])
def test_resumed_equals_uninterrupted(tmp_path, data_root, whole, stop):
    """Stopped before, at and after the second refresh (epoch 3)."""
    resumed = stop_and_resume(tmp_path, data_root, stop)
    assert_equal_weights(weights(whole), weights(resumed))


def resume_from_epoch_2(whole, folder, data_root, spoil=None, **changes):
    """Resume a copy of a run, whose bank of epoch 1 somebody spoils."""
    logs = shutil.ignore_patterns('20*')
    shutil.copytree(whole.work_dir, folder, ignore=logs)
    if spoil is not None:
        spoil(folder / 'attention_bank' / 'epoch_1.bank')
    point = dict(resume=True, load_from=str(folder / 'epoch_2.pth'))
    return train(toy_config(folder, data_root, **point, **changes))


def test_resume_from_before_the_newest_refresh(tmp_path, data_root, whole):
    resumed = resume_from_epoch_2(whole, tmp_path / 'run', data_root)
    assert_equal_weights(weights(whole), weights(resumed))


def tear(path):
    path.write_bytes(path.read_bytes()[:-7])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 0xFF
    path.write_bytes(content)


def replace(path):
    header = AttentionBank(path).header
    writer = BankWriter(path, type(header)(**{**vars(header), 'checksum': None}))
    writer.write(np.arange(3), np.full((3, 4, 4), 0.5))
    writer.finish()


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (os.unlink, 'No such file'),
        (tear, 'torn'),
        (flip, 'checksum'),
        (replace, 'stale'),
        (None, 'of other data: its fingerprint'),
    ],
)
def test_resume_makes_a_new_bank_and_says_why(
    tmp_path, data_root, whole, spoil, message
):
    if spoil is None:
        data_root = shutil.copytree(data_root, tmp_path / 'other')
    # epoch 2 is between refreshes: the run must find its bank or make one
    changes = dict(custom_hooks=hooks(WATCH), train_cfg__max_epochs=4)
    run = resume_from_epoch_2(whole, tmp_path / 'run', data_root, spoil, **changes)
    log = log_of(tmp_path / 'run')
    assert 'the saved bank cannot be used' in log
    assert message in log
    assert 'making a new bank from the weights at epoch 2' in log
    assert sources(run) == ['epoch 2'] * 3 + ['epoch 3'] * 3


def test_rolling_refresh_renews_a_share_and_resumes_bit_for_bit(tmp_path, data_root):
    changes = dict(
        custom_hooks=hooks(rolling=True, begin=1, interval=3, max_keep_banks=9),
        optim_wrapper__optimizer__lr=0.02,
    )
    rolling = train(toy_config(tmp_path / 'whole', data_root, **changes))
    folder = tmp_path / 'whole' / 'attention_bank'
    banks = [AttentionBank(folder / f'epoch_{epoch}.bank') for epoch in (1, 2, 3, 4)]
    maps = [bank.maps(IDS) for bank in banks]
    for epoch, (old, new) in enumerate(pairwise(maps), 1):
        changed = (old != new).any(axis=(1, 2))
        np.testing.assert_array_equal(changed, epoch % 3 == IDS % 3)
    resumed = stop_and_resume(tmp_path / 'parts', data_root, 3, **changes)
    assert_equal_weights(weights(rolling), weights(resumed))


def test_smaller_input_gives_a_coarser_bank(tmp_path, data_root):
    changes = dict(custom_hooks=hooks(WATCH, input_size=8), train_cfg__max_epochs=2)
    runner = train(toy_config(tmp_path, data_root, **changes))
    assert runner.model.guidance.scorer.bank.header.grid == (2, 2)
    assert runner.watched[-1][1].num_visible == 3


@TASK_UTILS.register_module(force=True)
class SpyMaskGenerator(AMTMaskGenerator):
    """Remembers the scores it was given."""

    scores: ClassVar[list] = []

    def __call__(self, score, *args):
        self.scores.append(score)
        return super().__call__(score, *args)


def test_persistent_workers_see_new_maps(tmp_path, data_root):
    SpyMaskGenerator.scores.clear()
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks()[:1],
        model__mask_generator__type='SpyMaskGenerator',
        train_cfg__max_epochs=3,
        train_dataloader__num_workers=1,
        train_dataloader__persistent_workers=True,
    )
    train(cfg)
    scores = SpyMaskGenerator.scores[2:]  # after the trial of the policy
    assert len(scores) == 2 * 3  # none in the epoch before a score
    assert all(score.std() > 0 for score in scores)


def test_ema_hook_beside_ours(tmp_path, data_root):
    changes = dict(custom_hooks=hooks(dict(type='EMAHook')), train_cfg__max_epochs=3)
    train(toy_config(tmp_path / 'whole', data_root, **changes))
    stop_and_resume(tmp_path / 'parts', data_root, 2, **changes)
    first, second = (
        torch.load(tmp_path / name / 'epoch_3.pth', weights_only=False)
        for name in ('whole', 'parts')
    )
    for state in ('state_dict', 'ema_state_dict'):
        assert_equal_weights(first[state], second[state])
    assert not [key for key in first['state_dict'] if 'scorer' in key]


def test_unreadable_images_are_named_and_get_no_attention(tmp_path, data_root):
    broken = tmp_path / 'images'
    shutil.copytree(data_root, broken)
    (broken / 'class_1' / '003.png').write_bytes(b'not an image')
    (broken / 'class_1' / '005.png').write_bytes(b'')  # cv2 has an error of its own
    cfg = toy_config(tmp_path / 'run', broken, train_cfg__max_epochs=2)
    cfg.train_dataloader.dataset.pipeline[0].type = 'mmattmask.LoadImageFromFile'
    runner = train(copy.deepcopy(cfg))
    log, dataset = log_of(tmp_path / 'run'), runner.train_dataloader.dataset
    paths = [Path(dataset.get_data_info(index)['img_path']).name for index in IDS]
    maps = runner.model.guidance.scorer.bank.maps(IDS)
    silent = np.flatnonzero((maps == 0).all(axis=(1, 2)))
    assert [paths[index] for index in silent] == ['003.png', '005.png']
    for name in ('003.png', '005.png'):
        lines = [line for line in log.splitlines() if name in line]
        assert any('skipped an unreadable image' in line for line in lines)

    cfg.work_dir = str(tmp_path / 'strict')
    cfg.custom_hooks[0].max_unreadable = 1
    with pytest.raises(ValueError, match=r'2 images cannot be read.*003\.png'):
        train(cfg)


@pytest.fixture(scope='module')
def short(tmp_path_factory, data_root):
    """A run of two epochs that may be refreshed again, and its hook."""
    folder = tmp_path_factory.mktemp('short')
    left = folder / 'attention_bank' / 'epoch_1.bank.0123abcd.tmp'
    left.parent.mkdir()
    left.write_bytes(b'of a killed run')
    runner = train(toy_config(folder, data_root, train_cfg__max_epochs=2))
    assert [path.name for path in left.parent.iterdir()] == ['epoch_1.bank']
    return runner, next(h for h in runner.hooks if isinstance(h, AttentionRefreshHook))


@pytest.mark.parametrize('rows', [None, range(NUM_IMAGES)])
def test_a_few_maps_of_nan_are_named_and_tolerated(short, monkeypatch, rows):
    """Images 2 and 5 get no new map; the others do."""
    runner, hook = short
    scorer = runner.model.guidance.scorer
    measure, seen = scorer.measure, []

    def broken(model, images):
        maps = measure(model, images)
        for row, index in enumerate(range(len(seen), len(seen) + len(maps))):
            seen.append(index)
            if index in (2, 5):
                maps[row, 3] = float('nan')
        return maps

    monkeypatch.setattr(scorer, 'measure', broken)
    before = scorer.bank.maps(IDS)
    hook._refresh(runner, 9 if rows else 8, rows)
    after = scorer.bank.maps(IDS)
    assert np.isfinite(after).all()
    for index in (2, 5):  # of a rolling refresh the former stay
        wanted = before[index] if rows else np.zeros((4, 4))
        assert (after[index] == wanted).all()
    assert (after.max(axis=(1, 2)) > 0).sum() >= NUM_IMAGES - 2
    lines = log_of(runner.work_dir).splitlines()
    line = [line for line in lines if 'no usable map' in line][-1]
    assert 'of 2 images' in line
    assert line.count('.png') == 2
    monkeypatch.setattr(hook, 'max_unreadable', 1)
    seen.clear()
    with pytest.raises(ValueError, match='attention of'):
        hook._refresh(runner, 10)


def test_nan_attention_leaves_the_bank_in_use(short):
    runner, hook = short
    bank, token = runner.model.guidance.scorer.bank, runner.model.backbone.cls_token
    source, token.data = bank.header.source, token.data * float('nan')
    with pytest.raises(ValueError, match='not in'):
        hook._refresh(runner, 11)
    assert runner.model.guidance.scorer.bank is bank
    assert AttentionBank(bank.path).header.source == source
    assert runner.model.training


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(begin=-1), 'begin'),
        (dict(interval=0), 'interval'),
        (dict(begin=float('nan')), 'begin .nan. must be a whole number'),
        (dict(begin=1.0), 'begin .1.0. must be a whole number'),
        (dict(interval=1.5), 'interval .1.5.'),
        (dict(max_keep_banks=0), 'max_keep_banks'),
        (dict(rolling=True, by_epoch=False), 'rolling'),
        (dict(rolling=True, only_content=True), 'only_content'),
    ],
)
def test_bad_options(changes, message):
    with pytest.raises(ValueError, match=message):
        AttentionRefreshHook(**changes)


@pytest.mark.parametrize('kept', [1, 2, 3])
def test_the_newest_banks_are_kept_whatever_the_clock_says(tmp_path, kept):
    hook = AttentionRefreshHook(max_keep_banks=kept)
    names = [f'epoch_{number}.bank' for number in (9, 10, 40, 80)]
    for age, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))  # the clock goes back
    (tmp_path / 'epoch_5.node2.bank').touch()
    hook._prune(tmp_path / names[-1])
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*names[-kept:], 'epoch_5.node2.bank'}
    hook._prune(tmp_path / names[-kept])  # resumed: an older number is the newest
    assert (tmp_path / names[-kept]).exists()


def set_crop(cfg):
    cfg.train_dataloader.dataset.pipeline[1].type = 'EfficientNetRandomCrop'


def drop_packing(cfg):
    cfg.train_dataloader.dataset.pipeline.pop()


def load_alone(cfg):
    load = cfg.train_dataloader.dataset.pipeline[0]
    load.update(color_type='unchanged', to_float32=True)
    cfg.custom_hooks[0].pipeline = [dict(type='LoadImageFromFile')]


def concatenate(cfg):
    part = cfg.train_dataloader.dataset
    both = dict(type='mmengine.ConcatDataset', datasets=[part, part.copy()])
    cfg.train_dataloader.dataset = both


def drop_scorer(cfg):
    cfg.model.pop('scorer')


def set_refresh(**options):
    return lambda cfg: cfg.custom_hooks[0].update(options)


def count_iterations(*custom_hooks, **options):
    """An iteration-based run, with other hooks if there are some."""

    def change(cfg):
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=9)
        cfg.default_hooks.checkpoint.by_epoch = False
        if custom_hooks:
            cfg.model.scorer = None  # no refresh to count epochs first
            cfg.custom_hooks = list(custom_hooks)
        else:
            cfg.custom_hooks = [{**cfg.custom_hooks[0], **options}]

    return change


STRIPS = dict(type='mmattmask.MaskStripHook')
KNN = dict(type='mmattmask.KNNHook', memory={}, query={})


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (set_crop, 'EfficientNetRandomCrop.*replace it with one of the crops'),
        (drop_packing, "drops .*crop_box.*: use type='mmattmask.PackInputs'"),
        (load_alone, r'must be \(C, 16, 16\).*\(3, 24, 30\)'),
        (concatenate, 'mmattmask.ConcatDataset'),
        (drop_scorer, 'CachedAttention'),
        (set_refresh(begin=5), 'begins after 5 epochs, the run has 5'),
        (
            count_iterations(begin=9, by_epoch=False),
            'begins after 9 iters, the run has 9',
        ),
        (count_iterations(), 'AttentionRefreshHook counts epochs.*by_epoch=False'),
        (count_iterations(STRIPS), 'MaskStripHook counts epochs'),
        (count_iterations(KNN), 'KNNHook counts epochs'),
        (
            set_refresh(input_size=(18, 16)),
            r'patch size \(4\) does not divide the image size \(18 x 16\)',
        ),
    ],
)
def test_bad_input_stops_before_training(tmp_path, data_root, change, message):
    cfg = toy_config(tmp_path, data_root)
    change(cfg)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
    assert not list(tmp_path.glob('*.pth'))


def test_concat_dataset_is_keyed(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=2)
    part = dict(cfg.train_dataloader.dataset, with_label=False)
    parts = [dict(part, data_root=f'{data_root}/class_{label}') for label in range(2)]
    cfg.train_dataloader.dataset = dict(type='mmattmask.ConcatDataset', datasets=parts)
    runner = train(cfg)
    assert len(runner.model.guidance.scorer.bank) == NUM_IMAGES
    dataset = runner.train_dataloader.dataset
    ids = [dataset[i]['data_samples'].sample_idx for i in range(len(dataset))]
    assert ids == list(range(NUM_IMAGES))


def place_at_first(self, model, images):
    """Maps of place before epoch 3, of the pixels from there on."""
    pixels = images.mean(dim=1).unfold(1, 4, 4).unfold(2, 4, 4).mean(dim=(3, 4))
    content = pixels.flatten(1).sigmoid()
    if MessageHub.get_current_instance().get_info('epoch') < 3:
        return torch.linspace(0.1, 0.9, content.shape[1]).expand_as(content)
    return content


def test_guidance_begins_with_maps_of_content(tmp_path, data_root, monkeypatch):
    monkeypatch.setattr(CachedAttention, 'measure', place_at_first)
    changes = dict(custom_hooks=hooks(WATCH, only_content=True))
    run = train(toy_config(tmp_path / 'whole', data_root, **changes))
    assert sources(run) == [None] * 9 + ['epoch 3'] * 6
    assert all(b.num_thrown == (6 if source else 0) for source, b in run.watched)
    log = log_of(tmp_path / 'whole')
    assert 'not used yet, the score is place, not content: 100%' in log
    assert 'guidance begins, the score is content' in log
    # the decision of epoch 1 is the checkpoint's
    resumed = stop_and_resume(tmp_path / 'parts', data_root, 2, **changes)
    assert sources(resumed)[0] is None
    assert_equal_weights(weights(run), weights(resumed))


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(begin=40, interval=40), [40, 80, 120, 160]),
        (dict(begin=30, interval=40), [30, 70, 110, 150, 190]),
        (dict(begin=0, interval=None), [0]),
        (dict(begin=200, interval=40), []),
        (dict(begin=200, interval=None), []),
        (dict(begin=40, interval=10, rolling=True), [40]),
    ],
)
def test_epochs_of_the_refreshes(options, expected):
    hook = AttentionRefreshHook(**options)
    assert [epoch for epoch in range(200) if hook._is_due(epoch)] == expected


def content_at_first(self, model, images):
    pixels = images.mean(dim=1).unfold(1, 4, 4).unfold(2, 4, 4).mean(dim=(3, 4))
    content = pixels.flatten(1).sigmoid()
    if MessageHub.get_current_instance().get_info('epoch') < 3:
        return content
    return torch.linspace(0.1, 0.9, content.shape[1]).expand_as(content)


def test_guidance_that_has_begun_goes_on_when_resumed_at_a_refresh(
    tmp_path, data_root, monkeypatch
):
    monkeypatch.setattr(CachedAttention, 'measure', content_at_first)
    changes = dict(custom_hooks=hooks(WATCH, only_content=True))
    whole = train(toy_config(tmp_path / 'whole', data_root, **changes))
    resumed = stop_and_resume(tmp_path / 'parts', data_root, 3, **changes)
    assert sources(resumed) == ['epoch 3'] * 6
    assert_equal_weights(weights(whole), weights(resumed))


def test_a_resumed_run_may_use_maps_that_waited(tmp_path, data_root, monkeypatch):
    place = torch.linspace(0.1, 0.9, 16)
    monkeypatch.setattr(
        CachedAttention, 'measure', lambda self, m, x: place.expand(len(x), -1)
    )
    options = [hooks(WATCH, interval=None, only_content=c) for c in (True, False)]
    cfg = toy_config(tmp_path, data_root, custom_hooks=options[0])
    cfg.custom_hooks.append(dict(type='StopHook', epoch=3))
    with pytest.raises(SystemExit):
        train(cfg)
    cfg = toy_config(tmp_path, data_root, custom_hooks=options[1], resume=True)
    assert set(sources(train(cfg))) == {'epoch 1'}


def test_maps_of_another_head_are_not_gone_on_with(tmp_path, data_root):
    def config(head, **changes):
        scorer = dict(type='mmattmask.CachedAttention', head=head)
        custom = hooks(WATCH, begin=1, interval=None)
        return toy_config(
            tmp_path, data_root, model__scorer=scorer, custom_hooks=custom, **changes
        )

    cfg = config(0)
    cfg.custom_hooks.append(dict(type='StopHook', epoch=3))
    with pytest.raises(SystemExit):
        train(cfg)
    run = train(config(1, resume=True))
    assert set(sources(run)) == {'epoch 3'}
    assert 'head=0' in log_of(tmp_path)


def test_a_rolling_refresh_of_no_image_is_refused(tmp_path, data_root):
    custom = hooks(rolling=True, begin=1, interval=NUM_IMAGES + 1)
    with pytest.raises(ValueError, match=f'there are {NUM_IMAGES} images'):
        train(toy_config(tmp_path, data_root, custom_hooks=custom))


def test_a_size_that_cannot_be_measured_is_refused(tmp_path, data_root, monkeypatch):
    """Before training, not at the first refresh, which may be hours away."""
    monkeypatch.setattr(
        CachedAttention, 'measure', lambda self, model, images: images.flatten(1)
    )
    later = hooks(begin=3, input_size=8)
    message = r'CachedAttention cannot measure images of 8 x 8 px: .*to \(16, 16\)'
    with pytest.raises(ValueError, match=message):
        train(toy_config(tmp_path, data_root, custom_hooks=later))
    assert not list(tmp_path.glob('*.pth'))
