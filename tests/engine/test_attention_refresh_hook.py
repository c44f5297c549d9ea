"""AttentionRefreshHook in one process: schedule, randomness, resume, bad input."""

import copy
import json
import os
import random
import shutil
from itertools import pairwise
from typing import ClassVar

import mmcv
import numpy as np
import pytest
import torch
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.registry import HOOKS, TASK_UTILS, TRANSFORMS
from mmengine.runner import Runner
from mmpretrain.models import SelfSupDataPreprocessor

from mmattmask.engine import AttentionRefreshHook
from mmattmask.mask_generators import AMTMaskGenerator
from mmattmask.models.guidance import attention_maps
from mmattmask.scorers import AttentionBank, CachedAttention

from .toy_run import (
    NUM_IMAGES,
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)

REFRESH = 'mmattmask.AttentionRefreshHook'


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


@TASK_UTILS.register_module(force=True)
class SpyMaskGenerator(AMTMaskGenerator):
    """Remembers the scores it was given."""

    scores: ClassVar[list] = []

    def __call__(self, score, *args):
        self.scores.append(score)
        return super().__call__(score, *args)


@HOOKS.register_module(force=True)
class WatchHook(Hook):
    """Remembers, per iteration, counts of the partition, mode and bank."""

    priority = 'LOWEST'

    def __init__(self):
        self.rows = []

    def before_run(self, runner):
        model = runner.model
        original = model.guidance.guide

        def spy(inputs, data_samples):
            score, partition = original(inputs, data_samples)
            bank = model.guidance.scorer.bank
            self.rows.append(
                (
                    runner.iter,
                    partition.budget,
                    model.training,
                    None if bank is None else bank.header.source,
                )
            )
            return score, partition

        model.guidance.guide = spy


def watch(runner):
    return next(h for h in runner.hooks if isinstance(h, WatchHook)).rows


def hooks(*extra, **refresh):
    refresh = dict(dict(type=REFRESH, begin=1, interval=2), **refresh)
    return [refresh, dict(type='mmattmask.EpochSeedHook'), *extra]


def test_schedule_by_epoch(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root, custom_hooks=hooks(dict(type='WatchHook')))
    rows = watch(train(cfg))
    assert len(rows) == 5 * 3
    sources = [row[3] for row in rows]
    assert sources == [None] * 3 + ['epoch 1'] * 6 + ['epoch 3'] * 6
    warm, guided = rows[0][1], rows[-1][1]
    assert (warm.num_visible, warm.num_masked, warm.num_thrown) == (4, 12, 0)
    assert (guided.num_visible, guided.num_masked, guided.num_thrown) == (3, 7, 6)
    assert all(row[2] for row in rows)
    names = sorted(path.name for path in (tmp_path / 'attention_bank').iterdir())
    assert names == ['epoch_1.bank', 'epoch_3.bank']


def test_schedule_by_iteration_and_accumulation(tmp_path, data_root):
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks(dict(type='WatchHook'), begin=3, interval=4, by_epoch=False),
        optim_wrapper__accumulative_counts=2,
        train_cfg=dict(_delete_=True, type='IterBasedTrainLoop', max_iters=9),
        train_dataloader__sampler=dict(type='InfiniteSampler', shuffle=True),
        default_hooks__checkpoint=dict(
            type='CheckpointHook', by_epoch=False, interval=100
        ),
    )
    cfg.custom_hooks.pop(1)  # no epochs here
    rows = watch(train(cfg))
    assert [row[3] for row in rows] == [None] * 3 + ['iter 3'] * 4 + ['iter 7'] * 2
    assert all(row[2] for row in rows)


def test_refresh_keeps_gradients_of_an_accumulation(tmp_path, data_root):
    @HOOKS.register_module(force=True)
    class GradientHook(Hook):
        priority = 'VERY_HIGH'

        def __init__(self, after):
            self.priority = 'NORMAL' if after else 'VERY_HIGH'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 3:
                grads.append([copy.deepcopy(p.grad) for p in runner.model.parameters()])

    grads = []
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks(
            dict(type='GradientHook', after=False),
            dict(type='GradientHook', after=True),
            begin=3,
            interval=9,
            by_epoch=False,
        ),
        optim_wrapper__accumulative_counts=2,
        train_cfg__max_epochs=2,
    )
    train(cfg)
    before, after = grads
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None]
    assert pairs
    assert all(torch.equal(a, b) for a, b in pairs)


def test_random_stream_of_training_is_untouched(tmp_path, data_root):
    """Random masks: with and without refreshes the same weights come out."""
    random_masks = dict(_delete_=True, type='mmattmask.RandomMaskGenerator')
    runs = []
    for name, custom_hooks in (('with', hooks()), ('without', hooks()[1:])):
        cfg = toy_config(tmp_path / name, data_root, train_cfg__max_epochs=3)
        cfg.custom_hooks = custom_hooks[: 1 if name == 'with' else 0]
        cfg.model.mask_generator = random_masks | dict(mask_ratio=0.75)
        cfg.model.mask_generator.pop('_delete_')
        if name == 'without':  # which a cached score is refused
            cfg.model.scorer = None
        runs.append(train(cfg))
        states = (
            random.random(),
            np.random.rand(),  # noqa: NPY002
            torch.rand(1).item(),
        )
        runs.append(states)
    assert runs[0].model.guidance.scorer.bank is not None
    assert runs[2].model.guidance.scorer is None
    assert_equal_weights(weights(runs[0]), weights(runs[2]))
    assert runs[1][1:] == runs[3][1:]


def test_bank_holds_the_models_attention(tmp_path, data_root):
    runner = train(toy_config(tmp_path, data_root, train_cfg__max_epochs=2))
    bank = AttentionBank(tmp_path / 'attention_bank' / 'epoch_1.bank')
    assert len(bank) == NUM_IMAGES
    model = runner.model
    model.load_state_dict(weights(tmp_path / 'epoch_1.pth'))
    model.eval()
    dataset = runner.train_dataloader.dataset
    for index in (0, 7, NUM_IMAGES - 1):
        path = dataset.get_data_info(index)['img_path']
        from PIL import Image

        image = Image.open(path).resize((16, 16), Image.Resampling.BILINEAR)
        pixels = (np.array(image, dtype=np.float32)[..., ::-1] - 128) / 64
        inputs = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None]
        with torch.no_grad():
            expected = attention_maps(model, inputs)[0].numpy()
        np.testing.assert_allclose(bank.maps(np.array([index]))[0], expected, atol=1e-3)


@pytest.mark.parametrize('stop', [2, 3, 4])
def test_resumed_equals_uninterrupted(tmp_path, data_root, stop):
    """Stopped before, at and after the second refresh (epoch 3)."""
    whole = train(toy_config(tmp_path / 'whole', data_root))
    with pytest.raises(SystemExit):
        train(
            toy_config(
                tmp_path / 'parts',
                data_root,
                custom_hooks=hooks(dict(type='StopHook', epoch=stop)),
            )
        )
    resumed = train(toy_config(tmp_path / 'parts', data_root, resume=True))
    assert_equal_weights(weights(whole), weights(resumed))


def test_resume_from_before_the_newest_refresh(tmp_path, data_root):
    whole = train(toy_config(tmp_path, data_root))
    cfg = toy_config(
        tmp_path, data_root, resume=True, load_from=str(tmp_path / 'epoch_2.pth')
    )
    assert_equal_weights(weights(whole), weights(train(cfg)))


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        ('missing', 'No such file'),
        ('torn', 'torn'),
        ('flipped', 'checksum'),
        ('stale', 'stale'),
        ('other data', 'of other data: its fingerprint'),
    ],
)
def test_resume_makes_a_new_bank_and_says_why(tmp_path, data_root, damage, message):
    train(toy_config(tmp_path, data_root, train_cfg__max_epochs=3))
    path = tmp_path / 'attention_bank' / 'epoch_1.bank'
    if damage == 'missing':
        path.unlink()
    elif damage == 'torn':
        path.write_bytes(path.read_bytes()[:-7])
    elif damage == 'flipped':
        content = bytearray(path.read_bytes())
        content[-3] ^= 0xFF
        path.write_bytes(content)
    elif damage == 'stale':
        bank = AttentionBank(path)
        from mmattmask.scorers import BankWriter

        fields = {**vars(bank.header), 'checksum': None}
        writer = BankWriter(path, type(bank.header)(**fields))
        writer.write(np.arange(3), np.full((3, 4, 4), 0.5))
        writer.finish()
    else:
        moved = tmp_path / 'other'
        shutil.copytree(data_root, moved)
        data_root = str(moved)
    # epoch 4 is between refreshes: the run must find its bank or make one
    cfg = toy_config(
        tmp_path,
        data_root,
        resume=True,
        load_from=str(tmp_path / 'epoch_2.pth'),
        custom_hooks=hooks(dict(type='WatchHook')),
        train_cfg__max_epochs=4,
    )
    rows = watch(train(cfg))
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'the saved bank cannot be used' in log
    assert message in log
    assert 'making a new bank from the weights at epoch 2' in log
    assert [row[3] for row in rows] == ['epoch 2'] * 3 + ['epoch 3'] * 3


def test_rolling_refresh_renews_a_share(tmp_path, data_root):
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks(rolling=True, begin=1, interval=3, max_keep_banks=9),
        optim_wrapper__optimizer__lr=0.02,
    )
    train(cfg)
    banks = [
        AttentionBank(tmp_path / 'attention_bank' / f'epoch_{epoch}.bank')
        for epoch in (1, 2, 3, 4)
    ]
    ids = np.arange(NUM_IMAGES)
    maps = [bank.maps(ids) for bank in banks]
    for epoch, (old, new) in enumerate(pairwise(maps), 1):
        changed = (old != new).any(axis=(1, 2))
        np.testing.assert_array_equal(changed, ids % 3 == epoch % 3)


def test_rolling_refresh_resumes_bit_for_bit(tmp_path, data_root):
    rolling = dict(rolling=True, begin=1, interval=3)
    whole = train(
        toy_config(tmp_path / 'whole', data_root, custom_hooks=hooks(**rolling))
    )
    stop = dict(type='StopHook', epoch=3)
    with pytest.raises(SystemExit):
        train(
            toy_config(
                tmp_path / 'parts', data_root, custom_hooks=hooks(stop, **rolling)
            )
        )
    resumed = train(
        toy_config(
            tmp_path / 'parts', data_root, custom_hooks=hooks(**rolling), resume=True
        )
    )
    assert_equal_weights(weights(whole), weights(resumed))


def test_smaller_input_gives_a_coarser_bank(tmp_path, data_root):
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks(dict(type='WatchHook'), input_size=8),
        train_cfg__max_epochs=2,
    )
    runner = train(cfg)
    assert runner.model.guidance.scorer.bank.header.grid == (2, 2)
    assert watch(runner)[-1][1].num_visible == 3


def test_persistent_workers_see_new_maps(tmp_path, data_root):
    SpyMaskGenerator.scores.clear()
    cfg = toy_config(
        tmp_path,
        data_root,
        custom_hooks=hooks()[:1],
        model__mask_generator__type='SpyMaskGenerator',
        train_dataloader__num_workers=1,
        train_dataloader__persistent_workers=True,
        train_dataloader__sampler__shuffle=False,
        optim_wrapper__optimizer__lr=0.01,
    )
    train(cfg)
    scores = SpyMaskGenerator.scores[2:]  # after the trial of the policy
    assert len(scores) == 4 * 3  # none in the epoch before a score
    assert all(score.std() > 0 for score in scores)


def test_ema_hook_beside_ours(tmp_path, data_root):
    ema = dict(type='EMAHook')
    changes = dict(custom_hooks=hooks(ema))
    whole = train(toy_config(tmp_path / 'whole', data_root, **changes))
    stopping = hooks(ema, dict(type='StopHook', epoch=2))
    with pytest.raises(SystemExit):
        train(toy_config(tmp_path / 'parts', data_root, custom_hooks=stopping))
    resumed = train(toy_config(tmp_path / 'parts', data_root, resume=True, **changes))
    assert_equal_weights(weights(whole), weights(resumed))
    saved = [
        torch.load(tmp_path / name / 'epoch_5.pth', weights_only=False)
        for name in ('whole', 'parts')
    ]
    assert_equal_weights(saved[0]['ema_state_dict'], saved[1]['ema_state_dict'])
    assert not [key for key in saved[0]['state_dict'] if 'scorer' in key]


def test_log_line(tmp_path, data_root):
    train(toy_config(tmp_path, data_root, train_cfg__max_epochs=2))
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    line = next(line for line in log.splitlines() if 'attention refresh before' in line)
    for part in ('epoch 1', f'{NUM_IMAGES} maps of 4 x 4', '% of the time', 'MiB'):
        assert part in line


@pytest.mark.parametrize('content', [b'not an image', b''])  # the latter: cv2.error
def test_unreadable_image_is_named_and_gets_no_attention(tmp_path, data_root, content):
    broken = tmp_path / 'images'
    shutil.copytree(data_root, broken)
    (broken / 'class_1' / '003.png').write_bytes(content)
    changes = dict(train_cfg__max_epochs=2)
    cfg = toy_config(tmp_path / 'run', broken, **changes)
    cfg.train_dataloader.dataset.pipeline[0].type = 'mmattmask.LoadImageFromFile'
    runner = train(cfg)
    log = ''.join(path.read_text() for path in (tmp_path / 'run').glob('*/*.log'))
    assert 'skipped an unreadable image' in log
    assert '003.png' in log
    dataset = runner.train_dataloader.dataset
    paths = [dataset.get_data_info(i)['img_path'] for i in range(len(dataset))]
    index = next(i for i, path in enumerate(paths) if path.endswith('003.png'))
    maps = runner.model.guidance.scorer.bank.maps(np.arange(NUM_IMAGES))
    silent = (maps == 0).all(axis=(1, 2))
    assert silent[index]
    assert silent.sum() == 1

    cfg = toy_config(tmp_path / 'strict', broken, **changes)
    cfg.train_dataloader.dataset.pipeline[0].type = 'mmattmask.LoadImageFromFile'
    cfg.custom_hooks[0].max_unreadable = 0
    with pytest.raises(ValueError, match=r'1 images cannot be read.*003\.png'):
        train(cfg)


def test_refresh_sees_what_training_sees(tmp_path, data_root):
    """An own loader of four float channels, scaled before the crop, one broken file."""

    @TRANSFORMS.register_module(force=True)
    class ReadFourChannels(BaseTransform):
        def transform(self, results):
            if results['img_path'].endswith('004.png'):
                raise RuntimeError('no such tag')
            image = mmcv.imread(results['img_path']).astype(np.float32)
            results['img'] = np.concatenate([image, image[..., :1]], axis=2)
            results['ori_shape'] = results['img'].shape[:2]
            return results

    @TRANSFORMS.register_module(force=True)
    class Scale(BaseTransform):
        def transform(self, results):
            return {**results, 'img': (results['img'] - 128) / 64}

    cfg = toy_config(
        tmp_path,
        data_root,
        train_cfg__max_epochs=2,
        model__backbone__patch_cfg=dict(in_channels=4),
        model__neck__in_chans=4,
        model__head__in_channels=4,
        data_preprocessor=dict(_delete_=True, type='SelfSupDataPreprocessor'),
    )
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline = [
        dict(type='ReadFourChannels'),
        dict(type='Scale'),
        *dataset.pipeline[1:],
    ]
    dataset.pipeline[2].update(backend='cv2')
    with pytest.raises(RuntimeError, match='no such tag'):  # training reads it too
        train(cfg)
    seen = []
    original = SelfSupDataPreprocessor.forward

    def forward(self, data, training=False):
        inputs = data['inputs']
        inputs = torch.stack(list(inputs)) if isinstance(inputs, list) else inputs
        seen.append((training, inputs))
        return original(self, data, training)

    cfg.train_dataloader.dataset.indices = [i for i in range(NUM_IMAGES) if i != 2]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SelfSupDataPreprocessor, 'forward', forward)
        runner = train(cfg)
    assert runner.model.guidance.scorer.bank.header.source == 'epoch 1'
    for training in (True, False):
        values = torch.cat([x.float() for mode, x in seen if mode is training])
        assert values.shape[1] == 4
        assert -2 <= values.min() < -0.5 < 0.5 < values.max() <= 2


def test_a_pipeline_the_model_does_not_take_stops_before_training(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root)
    cfg.train_dataloader.dataset.pipeline[0].color_type = 'unchanged'
    cfg.train_dataloader.dataset.pipeline[0].to_float32 = True
    cfg.custom_hooks[0].pipeline = [dict(type='LoadImageFromFile')]
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=r'must be \(C, 16, 16\).*\(3, 24, 30\)'):
        runner.train()
    assert runner.iter == 0


@pytest.mark.parametrize('rolling', [False, True])
def test_a_few_maps_of_nan_are_named_and_tolerated(tmp_path, data_root, rolling):
    """Images 2 and 5 get no map of the second refresh; the others do."""
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=2)
    if rolling:
        cfg.custom_hooks[0].update(rolling=True, interval=1)
    runner = train(cfg)
    hook = next(h for h in runner.hooks if type(h).__name__ == 'AttentionRefreshHook')
    scorer = runner.model.guidance.scorer
    measure, seen = scorer.measure, []

    def broken(model, images):
        maps = measure(model, images)
        rows = range(len(seen), len(seen) + len(maps))
        seen.extend(rows)
        for row, index in enumerate(rows):
            if index in (2, 5):
                maps[row, 3] = float('nan')
        return maps

    scorer.measure = broken
    before = scorer.bank.maps(np.arange(NUM_IMAGES))
    hook._refresh(runner, 9, range(NUM_IMAGES) if rolling else None)
    after = scorer.bank.maps(np.arange(NUM_IMAGES))
    assert np.isfinite(after).all()
    for index in (2, 5):
        wanted = before[index] if rolling else np.zeros((4, 4))
        assert (after[index] == wanted).all()
    assert (after.max(axis=(1, 2)) > 0).sum() >= NUM_IMAGES - 2
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    line = next(line for line in log.splitlines() if 'no usable map' in line)
    assert 'of 2 images' in line
    assert line.count('.png') == 2
    hook.max_unreadable, seen[:] = 1, []
    with pytest.raises(ValueError, match='attention of'):
        hook._refresh(runner, 10)


def test_what_killed_runs_left_is_removed(tmp_path, data_root):
    folder = tmp_path / 'attention_bank'
    folder.mkdir()
    (folder / 'epoch_1.bank.0123abcd.tmp').write_bytes(b'half')
    train(toy_config(tmp_path, data_root, train_cfg__max_epochs=2))
    assert [path.name for path in folder.iterdir()] == ['epoch_1.bank']


def test_nan_attention_leaves_the_bank_in_use(tmp_path, data_root):
    runner = train(toy_config(tmp_path, data_root, train_cfg__max_epochs=2))
    hook = next(h for h in runner.hooks if type(h).__name__ == 'AttentionRefreshHook')
    bank = runner.model.guidance.scorer.bank
    with torch.no_grad():
        runner.model.backbone.cls_token.fill_(float('nan'))
    with pytest.raises(ValueError, match='not in'):
        hook._refresh(runner, 9)
    assert runner.model.guidance.scorer.bank is bank
    assert AttentionBank(bank.path).header.source == 'epoch 1'
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
        HOOKS.build(dict(dict(type=REFRESH), **changes))


@pytest.mark.parametrize('kept', [1, 2, 3])
def test_the_newest_banks_are_kept_whatever_the_clock_says(tmp_path, kept):
    hook = HOOKS.build(dict(type=REFRESH, max_keep_banks=kept))
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


def bad_crop(cfg):
    cfg.train_dataloader.dataset.pipeline[1].type = 'EfficientNetRandomCrop'


def bad_pack(cfg):
    cfg.train_dataloader.dataset.pipeline.pop()


def bad_concat(cfg):
    dataset = cfg.train_dataloader.dataset
    cfg.train_dataloader.dataset = dict(
        type='mmengine.ConcatDataset', datasets=[dataset, dataset.copy()]
    )


def bad_host(cfg):
    cfg.model.pop('scorer')


def late(cfg):
    cfg.custom_hooks[0].begin = 5


def late_iterations(cfg):
    counted_epochs(cfg)
    cfg.custom_hooks = [dict(cfg.custom_hooks[0], begin=9, by_epoch=False)]


def counted_epochs(cfg):
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=9)
    cfg.default_hooks.checkpoint.by_epoch = False


def counted_epochs_of_strips(cfg):
    counted_epochs(cfg)
    cfg.model.scorer = None  # no refresh to count epochs first
    cfg.custom_hooks = [dict(type='mmattmask.MaskStripHook')]


def counted_epochs_of_features(cfg):
    counted_epochs(cfg)
    cfg.model.scorer = None
    data = {k: cfg.train_dataloader.dataset[k] for k in ('type', 'data_root')}
    knn = dict(type='mmattmask.KNNHook', memory=data, query=data)
    cfg.custom_hooks = [knn]


def bad_size(cfg):
    cfg.custom_hooks[0].input_size = (18, 16)


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        (bad_crop, 'EfficientNetRandomCrop.*replace it with one of the crops'),
        (bad_pack, "drops .*crop_box.*: use type='mmattmask.PackInputs'"),
        (bad_concat, 'mmattmask.ConcatDataset'),
        (bad_host, 'CachedAttention'),
        (late, 'begins after 5 epochs, the run has 5'),
        (late_iterations, 'begins after 9 iters, the run has 9'),
        (counted_epochs, 'AttentionRefreshHook counts epochs.*by_epoch=False'),
        (counted_epochs_of_strips, 'MaskStripHook counts epochs'),
        (counted_epochs_of_features, 'KNNHook counts epochs'),
        (bad_size, r'patch size \(4\) does not divide the image size \(18 x 16\)'),
    ],
)
def test_bad_input_stops_before_training(tmp_path, data_root, spoil, message):
    cfg = toy_config(tmp_path, data_root)
    spoil(cfg)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
    assert not list(tmp_path.glob('*.pth'))


def test_concat_dataset_is_keyed(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=3)
    part = cfg.train_dataloader.dataset
    first = dict(part, data_root=data_root + '/class_0', with_label=False)
    second = dict(part, data_root=data_root + '/class_1', with_label=False)
    cfg.train_dataloader.dataset = dict(
        type='mmattmask.ConcatDataset', datasets=[first, second]
    )
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
    watched = hooks(dict(type='WatchHook'), only_content=True)
    whole = train(toy_config(tmp_path / 'whole', data_root, custom_hooks=watched))
    sources = [row[3] for row in watch(whole)]
    assert sources == [None] * 9 + ['epoch 3'] * 6
    assert all(row[1].num_thrown == (6 if row[3] else 0) for row in watch(whole))
    log = next((tmp_path / 'whole').glob('*/*.log')).read_text()
    assert 'not used yet, the score is place, not content: 100%' in log
    assert 'guidance begins, the score is content' in log
    # the decision of epoch 1 is the checkpoint's
    stopped = hooks(dict(type='StopHook', epoch=2), only_content=True)
    with pytest.raises(SystemExit):
        train(toy_config(tmp_path / 'parts', data_root, custom_hooks=stopped))
    cfg = toy_config(tmp_path / 'parts', data_root, custom_hooks=watched, resume=True)
    resumed = train(cfg)
    assert watch(resumed)[0][3] is None
    assert_equal_weights(weights(whole), weights(resumed))


def test_message_hub_entry_is_plain(tmp_path, data_root):
    train(toy_config(tmp_path, data_root, train_cfg__max_epochs=2))
    saved = torch.load(tmp_path / 'epoch_2.pth', weights_only=False)
    entry = saved['message_hub']['runtime_info']['mmattmask/attention_bank']
    assert json.loads(json.dumps(entry)) == entry
    assert entry['name'] == 'epoch_1'


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
