"""Runs are refused before the first step, keep their folder, and lose nothing."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import InfiniteSampler
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmengine.runner import FlexibleRunner, Runner
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
)

from mmattmask.engine import (
    EMATeacherHook,
    FreezeLastLayerHook,
    LinearEMATeacherHook,
    TeacherTemperatureHook,
)
from mmattmask.resuming import latest_checkpoint
from mmattmask.run_data import check_length, lost_categories
from mmattmask.run_guard import (
    check_hooks,
    check_layer_decay,
    guard_runs,
)
from mmattmask.run_warnings import (
    may_collapse,
    other_length,
    partly_frozen,
    unread_blocks,
)
from tests.engine.toy_run import (
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)
from tests.models.ibot_model import build as build_ibot

ARCH = dict(embed_dims=24, num_layers=1, num_heads=2, feedforward_channels=24)
SEED = dict(type='mmattmask.EpochSeedHook')
DROPS = dict(type='MultiStepLR', milestones=[8, 11], end=12)
KEEP_ONE = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def log_of(work_dir):
    return ''.join(path.read_text() for path in Path(work_dir).glob('*/*.log'))


def refused(cfg, message):
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
    assert not list(Path(cfg.work_dir).glob('*.pth'))


def hpm():
    return dict(
        model__scorer=dict(type='mmattmask.PredictedLoss'),
        model__mask_generator=dict(type='mmattmask.SoftToHardMaskGenerator'),
    )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({}, r'CachedAttention \(guidance.scorer\) .* AttentionRefreshHook.*this run'),
        (hpm(), r'PredictedLoss .*without LinearEMATeacherHook or EMATeacherHook'),
    ],
)
def test_a_scorer_without_its_hook(tmp_path, data_root, changes, message):
    """A list in custom_hooks has replaced that of the base."""
    refused(toy_config(tmp_path, data_root, **changes, custom_hooks=[SEED]), message)


@pytest.mark.parametrize('policy', [dict(type='mmattmask.IBOTMaskGenerator'), None])
def test_a_teacher_without_its_hook(policy):
    """iBOT and DINO, which have no scorer in their config."""
    model = build_ibot(policy, **({} if policy else dict(patch_weight=0)))
    run = SimpleNamespace(model=model, hooks=[TeacherTemperatureHook()])
    with pytest.raises(ValueError, match=r'EMATeacher \(teacher\) .*EMATeacherHook'):
        check_hooks(run)
    run.hooks.append(EMATeacherHook())
    check_hooks(run)
    run.hooks.append(LinearEMATeacherHook())
    with pytest.raises(ValueError, match='2 hooks of this run are EMATeacherHooks'):
        check_hooks(run)
    assert 'last layer of the head is trained' in may_collapse(model, run.hooks)
    run.hooks.append(FreezeLastLayerHook())
    assert not may_collapse(model, run.hooks)
    assert 'temperature 0.07 without a warm-up' in may_collapse(model, run.hooks[1:])


def test_two_refreshes(tmp_path, data_root):
    """A hook appended to the base's, to change what that one does."""
    hook = dict(type='mmattmask.AttentionRefreshHook', begin=1)
    cfg = toy_config(tmp_path, data_root, custom_hooks=[hook, dict(hook, begin=2)])
    refused(cfg, '2 hooks of this run are AttentionRefreshHooks')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(train_cfg__max_epochs=0), 'the run has 0 epochs and 0 iterations'),
        (
            dict(train_dataloader__batch_size=64, train_dataloader__drop_last=True),
            '22 training images make no batch of 64 with drop_last=True on 1 processes',
        ),
    ],
)
def test_a_run_without_a_step(tmp_path, data_root, changes, message):
    refused(toy_config(tmp_path, data_root, **changes), message)


def test_other_classes_in_validation(tmp_path, data_root):
    """A folder that is missing there shifts the numbers of all that follow."""
    shutil.copytree(Path(data_root, 'class_1'), tmp_path / 'val' / 'class_1')
    val = dict(type='CustomDataset', data_root=str(tmp_path / 'val'))
    cfg = toy_config(tmp_path, data_root)
    cfg.val_dataloader = dict(cfg.train_dataloader, dataset=val)
    cfg.val_cfg, cfg.val_evaluator = {}, dict(type='Accuracy')
    refused(cfg, r'train_dataloader has 2 .* val_dataloader 1, not the same: class_0;')


@HOOKS.register_module()
class CropsHook(Hook):
    """Keep the crops of every epoch."""

    def __init__(self):
        self.crops = []

    def before_train_epoch(self, runner):
        self.crops.append([])

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.crops[-1] += [tuple(s.crop_box) for s in data_batch['data_samples']]


@pytest.mark.parametrize('kept', [False, True])
def test_loader_processes_that_start_in_every_epoch(tmp_path, data_root, kept):
    """They draw other crops in each, and the same ones in another run."""
    recorded = []
    for name in ('one', 'two'):
        cfg = toy_config(
            tmp_path / name,
            data_root,
            model__scorer=None,
            model__mask_generator=dict(type='mmattmask.RandomMaskGenerator'),
            train_cfg__max_epochs=2,
            train_dataloader__num_workers=1,
            train_dataloader__persistent_workers=kept,
            custom_hooks=[dict(type='CropsHook')],
        )
        run = train(cfg)
        recorded += [hook for hook in run.hooks if isinstance(hook, CropsHook)]
    one, two = recorded
    assert one.crops == two.crops
    assert len(one.crops[0]) == len(set(one.crops[0] + one.crops[1])) / 2 > 1


def test_annotations_of_no_class_are_told():
    images = {1: [7, 8], 2: [8, 9], 5: [9, 10]}
    coco = SimpleNamespace(cat_img_map=images, cat_ids=[1], ann_file='a.json')
    wrapped = SimpleNamespace(dataset=coco)
    told = '2 categories (ids 2, 5) in 3 images of a.json are left out'
    assert told in lost_categories(wrapped)
    coco.cat_ids = [1, 2, 5]
    assert not lost_categories(wrapped)


@pytest.mark.parametrize('own_batches', [False, True])
def test_an_infinite_sampler_fills_any_batch(own_batches):
    loop, images = SimpleNamespace(max_epochs=None, max_iters=2), list(range(3))

    def loader_of(sampler):
        batches = BatchSampler(sampler, 4, drop_last=True)
        stock = dict(sampler=sampler, batch_size=4, drop_last=True)
        return DataLoader(
            images, **dict(batch_sampler=batches) if own_batches else stock
        )

    loader = loader_of(InfiniteSampler(images))
    check_length(loop, loader, 1, nn.Module())
    assert len(next(iter(loader))) == 4
    with pytest.raises(ValueError, match='3 training images make no batch of 4'):
        check_length(loop, loader_of(SequentialSampler(images)), 1, nn.Module())


@pytest.mark.parametrize(('batch_size', 'last'), [(7, 1), (1, 1), (8, None)])
def test_a_last_batch_of_one(tmp_path, data_root, batch_size, last):
    """Its views are compared, and the last of an epoch has nothing to compare with."""
    teacher = dict(
        type='mmattmask.FrozenTeacher',
        backbone=dict(type='VisionTransformer', arch=ARCH, img_size=16, patch_size=4),
        checkpoint=str(tmp_path / 'teacher.pth'),
        block=0,
        head=0,
        debias='position',
    )
    torch.save(MODELS.build(teacher['backbone']).state_dict(), teacher['checkpoint'])
    cfg = toy_config(
        tmp_path,
        data_root,
        model__scorer=teacher,
        custom_hooks=[],
        train_cfg__max_epochs=1,
        train_dataloader__batch_size=batch_size,
    )
    if last is None:
        assert train(cfg).iter == 3
        return
    for name, scorer in (
        ('FrozenTeacher', teacher),
        ('ShuffledMaps', dict(type='mmattmask.ShuffledMaps', scorer=teacher)),
    ):
        cfg.model.scorer = scorer
        cfg.experiment_name = f'{name}{batch_size}'
        runner = Runner.from_cfg(cfg)
        message = rf'{name} compares .* epoch has {last} \(22 images, {batch_size} in'
        with pytest.raises(ValueError, match=message):
            runner.train()


def test_sizes_that_only_a_step_knows(tmp_path, data_root):
    """Whatever a stock host's own error is, the sizes stand beside it."""
    cfg = toy_config(tmp_path, data_root, custom_hooks=[])
    for key in ('scorer', 'mask_generator'):
        del cfg.model[key]
    cfg.model.type = 'MAE'
    cfg.model.backbone.type = 'MAEViT'
    cfg.model.backbone.img_size = 32
    cfg.model.neck = dict(type='MAEPretrainDecoder', embed_dim=24, patch_size=4)
    sizes = r"\(3, 16, 16\) \(C, H, W\), 8 per batch; .*'img_size': \(32, 32\)"
    refused(cfg, rf'MAE failed before .* first step: The size of tensor .*{sizes}')


def test_a_stream_has_no_length(tmp_path, data_root):
    @DATASETS.register_module(force=True)
    class Stream(IterableDataset):
        def __iter__(self):
            yield from ()

    cfg = toy_config(tmp_path, data_root)
    cfg.train_dataloader.dataset = dict(type='mmengine.Stream')
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match='must know its length'):
        runner.train()


def test_a_flexible_runner_is_held_to_the_same(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=1)
    cfg.strategy = dict(type='SingleDeviceStrategy')
    runner = FlexibleRunner.from_cfg(cfg)
    assert 'FiniteLossHook' in [type(hook).__name__ for hook in runner.hooks]
    runner.train()
    assert runner.iter == 3
    cfg = toy_config(tmp_path, data_root, custom_hooks=[SEED])
    cfg.strategy = dict(type='SingleDeviceStrategy')
    cfg.experiment_name = 'without_refresh'
    runner = FlexibleRunner.from_cfg(cfg)
    with pytest.raises(ValueError, match='does nothing without AttentionRefreshHook'):
        runner.train()
    cfg.model.backbone.patch_size = 0
    with pytest.raises(ValueError, match='patch_size must be at least 1'):
        FlexibleRunner.from_cfg(cfg)


def test_wrapping_again_changes_nothing():
    before = Runner.train, Runner.resume
    guard_runs()
    assert (Runner.train, Runner.resume) == before


def test_a_second_run_in_the_same_folder(tmp_path, data_root):
    """Another process holds the folder; when it dies, the folder is free."""
    code = (
        'import sys, time; from mmattmask.run_folder import only_run_in\n'
        f'with only_run_in({str(tmp_path)!r}):\n'
        '    print("locked", flush=True); time.sleep(600)'
    )
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b'locked\n'
        message = rf'another run \(process {other.pid} on .*\) trains in .*--work-dir'
        refused(toy_config(tmp_path, data_root), message)
        other.kill()
    assert train(toy_config(tmp_path, data_root, train_cfg__max_epochs=2)).epoch == 2


@pytest.mark.parametrize('when', ['before', 'within'])
def test_a_kill_in_writing_leaves_the_former_checkpoint(
    tmp_path, data_root, monkeypatch, when
):
    changes = dict(default_hooks__checkpoint=KEEP_ONE)
    whole = train(toy_config(tmp_path / 'whole', data_root, **changes))
    assert [path.name for path in (tmp_path / 'whole').glob('*.pth')] == ['epoch_5.pth']
    save = Runner.save_checkpoint

    def killed(self, out_dir, filename, *args, **kwargs):
        if filename != 'epoch_3.pth':
            save(self, out_dir, filename, *args, **kwargs)
            return
        if when == 'within':
            content = (Path(out_dir) / 'epoch_2.pth').read_bytes()
            (Path(out_dir) / filename).write_bytes(content[: len(content) // 2])
            (Path(out_dir) / 'last_checkpoint').write_text('')
        raise SystemExit

    parts = tmp_path / 'parts'
    monkeypatch.setattr(Runner, 'save_checkpoint', killed)
    with pytest.raises(SystemExit):
        train(toy_config(parts, data_root, **changes))
    monkeypatch.undo()
    assert (parts / 'epoch_2.pth').exists()
    resumed = train(toy_config(parts, data_root, resume=True, **changes))
    assert_equal_weights(weights(whole), weights(resumed))
    assert [path.name for path in parts.glob('*.pth')] == ['epoch_5.pth']
    if when == 'within':
        assert 'last_checkpoint is empty' in log_of(parts)
        assert 'epoch_2.pth, the newest whole checkpoint' in log_of(parts)


@pytest.mark.parametrize('original', ['moved', 'there'])
def test_a_copied_folder_resumes_from_itself(tmp_path, data_root, original):
    whole = train(toy_config(tmp_path / 'whole', data_root))
    train(toy_config(tmp_path / 'first', data_root, train_cfg__max_epochs=3))
    shutil.copytree(tmp_path / 'first', tmp_path / 'second')
    if original == 'moved':
        shutil.rmtree(tmp_path / 'first')
    else:  # another run went on there
        train(toy_config(tmp_path / 'first', data_root, train_cfg__max_epochs=4))
    resumed = train(toy_config(tmp_path / 'second', data_root, resume=True))
    assert_equal_weights(weights(whole), weights(resumed))
    assert f'{tmp_path / "second" / "epoch_3.pth"}' in log_of(tmp_path / 'second')


def test_a_run_of_which_nothing_is_left_is_refused(tmp_path, data_root):
    """``load_from`` with ``resume=True``, which stock pre-training has."""
    done = train(toy_config(tmp_path / 'done', data_root, train_cfg__max_epochs=1))
    last = str(tmp_path / 'done' / 'epoch_1.pth')
    other = dict(load_from=last, resume=True)
    cfg = toy_config(tmp_path / 'other', data_root, train_cfg__max_epochs=1, **other)
    with pytest.raises(
        ValueError, match=r'1 epochs and 3 steps; this run has 3, .*: set'
    ):
        train(cfg)
    cfg = toy_config(tmp_path / 'other', data_root, train_cfg__max_epochs=2, **other)
    train(cfg)
    assert 'as resume=True has it; set resume=False' in log_of(tmp_path / 'other')
    again = toy_config(tmp_path / 'done', data_root, train_cfg__max_epochs=1, **other)
    assert_equal_weights(weights(train(again)), weights(done))  # a job's second start
    torch.save(dict(state_dict=weights(last)), tmp_path / 'weights.pth')
    other['load_from'] = str(tmp_path / 'weights.pth')
    cfg = toy_config(tmp_path / 'third', data_root, **other)
    refused(cfg, 'holds weights and no run to go on with: set resume=False')


@pytest.mark.parametrize('epochs', [2, 3])
def test_other_settings_in_the_same_folder(tmp_path, data_root, epochs):
    """Refused where nothing is left to do, else told; and told again the next time."""

    def changes(epochs, ratio, **others):
        ratio = dict(model__mask_generator__mask_ratio=ratio)
        return dict(train_cfg__max_epochs=epochs, resume=True, **ratio, **others)

    train(toy_config(tmp_path, data_root, **changes(2, 0.45)))
    moved = dict(train_dataloader__num_workers=1)
    again = train(toy_config(tmp_path, data_root, **changes(2, 0.45, **moved)))
    assert again.iter == 6  # a job's second start, on another machine
    told = 'trained with other model.mask_generator.mask_ratio'
    assert told not in log_of(tmp_path)
    cfg = toy_config(tmp_path, data_root, **changes(epochs, 0.5))
    if epochs == 2:
        with pytest.raises(ValueError, match=rf'2 epochs and 6 steps, {told}; .*work_'):
            train(cfg)
        return
    train(cfg)
    assert log_of(tmp_path).count(told) == 1
    train(toy_config(tmp_path, data_root, **changes(4, 0.5)))
    assert log_of(tmp_path).count(told) == 1


@pytest.mark.parametrize(('batch_size', 'steps'), [(8, 3), (11, 2), (22, 1)])
def test_an_epoch_that_begins_again_counts_from_its_first_step(
    tmp_path, data_root, batch_size, steps
):
    """Of a checkpoint inside of it, or of batches of another size."""
    by_iter = dict(type='CheckpointHook', by_epoch=False, interval=1, max_keep_ckpts=1)
    changes = dict(train_cfg__max_epochs=3, default_hooks__checkpoint=by_iter)
    cfg = toy_config(tmp_path, data_root, **changes)

    @HOOKS.register_module(force=True)
    class LeaveHook(Hook):
        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 5:  # the last of the second epoch
                raise SystemExit

    cfg.custom_hooks.append(dict(type='LeaveHook'))
    with pytest.raises(SystemExit):
        train(cfg)
    changes['train_dataloader__batch_size'] = batch_size
    resumed = train(toy_config(tmp_path, data_root, resume=True, **changes))
    assert resumed.iter == resumed.max_iters == 3 * steps
    told = f'of iteration 5, and epoch 1 (from 0) begins at {steps}'
    assert told in log_of(tmp_path)


def test_which_checkpoint_is_the_latest(tmp_path):
    assert latest_checkpoint(str(tmp_path)) is None
    for number in (9, 10):
        (tmp_path / f'epoch_{number}.pth').write_bytes(b'torn')
    with pytest.raises(ValueError, match=r'none of the 2 .*epoch_9.pth, epoch_10.pth'):
        latest_checkpoint(str(tmp_path))
    for number in (3, 8, 9):
        torch.save({}, tmp_path / f'epoch_{number}.pth')
    torch.save({}, tmp_path / 'best_accuracy.pth')
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_9.pth')
    (tmp_path / 'last_checkpoint').write_text('/elsewhere/epoch_8.pth')
    assert latest_checkpoint(str(tmp_path)) == str(tmp_path / 'epoch_8.pth')
    elsewhere, empty = tmp_path / 'out' / 'epoch_7.pth', tmp_path / 'run'
    elsewhere.parent.mkdir()
    empty.mkdir()
    torch.save({}, elsewhere)
    (empty / 'last_checkpoint').write_text(str(elsewhere))
    assert latest_checkpoint(str(empty)) == str(elsewhere)


def test_resuming_with_more_epochs_tells_of_the_old_schedule(tmp_path, data_root):
    def changes(epochs):
        cosine = dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True, end=epochs)
        return dict(train_cfg__max_epochs=epochs, param_scheduler=[cosine])

    train(toy_config(tmp_path, data_root, **changes(2)))
    assert 'the schedule' not in log_of(tmp_path)
    train(toy_config(tmp_path, data_root, resume=True, **changes(4)))
    line = next(line for line in log_of(tmp_path).splitlines() if 'goes on as' in line)
    assert "'T_max': 2" in line
    assert "'T_max': 4" in line
    assert 'load_from=CHECKPOINT' in line


def test_a_schedule_of_another_length_is_told(tmp_path, data_root):
    cosine = dict(type='CosineAnnealingLR', begin=1, T_max=3)
    changes = dict(train_cfg__max_epochs=2, param_scheduler=[cosine])
    train(toy_config(tmp_path, data_root, **changes))
    told = 'decays over 4 epochs and the run has 2: change end, T_max'
    assert told in log_of(tmp_path)


@pytest.mark.parametrize(
    ('length', 'schedulers', 'told'),
    [
        (
            dict(max_epochs=36),
            [dict(type='MultiStepLR', milestones=[8, 11], end=12)],
            '12 e',
        ),
        (
            dict(max_epochs=12),
            [dict(type='MultiStepLR', milestones=[8, 11], end=12)],
            '',
        ),
        (dict(max_epochs=200), [dict(type='MultiStepLR', milestones=[700])], '701 epo'),
        (
            dict(max_iters=20),
            [dict(type='MultiStepLR', milestones=[80], by_epoch=False)],
            '81 iterations and the run has 20',
        ),
        (
            dict(max_epochs=400),
            [
                dict(type='CosineAnnealingLR', begin=10, T_max=90, end=100),
                dict(type='mmpretrain.CosineAnnealingWeightDecay'),
            ],
            '100 epochs and the run has 400',
        ),
        (dict(max_iters=4), [dict(type='CosineAnnealingLR', T_max=12)], '12 epochs'),
        (dict(max_iters=120), [dict(type='CosineAnnealingLR', T_max=12)], ''),
        (dict(max_epochs=12), [dict(type='PolyLR', end=120, by_epoch=False)], ''),
        (dict(max_epochs=9), [dict(type='PolyLR', end=120, by_epoch=False)], '120 ite'),
    ],
)
def test_each_schedule_has_the_length_of_its_run(length, schedulers, told):
    """Of ten iterations per epoch; another parameter's does not hide it."""
    cfg = Config(dict(train_cfg=length, param_scheduler=schedulers))
    found = other_length(cfg, range(10))
    assert told in found
    assert bool(told) == bool(found)


def test_a_stream_does_not_know_its_epochs():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from ()

    cosine = dict(type='CosineAnnealingLR', T_max=12)
    cfg = Config(dict(train_cfg=dict(max_iters=4), param_scheduler=[cosine]))
    assert not other_length(cfg, DataLoader(Stream()))


@pytest.mark.parametrize(('frozen', 'told'), [(0, ''), (1, '1 of the 2'), (2, '')])
def test_a_probe_of_a_deeper_network_is_told(frozen, told):
    vit = VisionTransformer(
        dict(ARCH, num_layers=2), img_size=16, patch_size=8, frozen_stages=frozen
    )
    assert partly_frozen(SimpleNamespace(backbone=vit)).startswith(told)
    assert bool(partly_frozen(SimpleNamespace(backbone=vit))) == bool(told)


@pytest.mark.parametrize(('indices', 'told'), [([0, 1], '1 of the 3'), ([0, -1], '')])
def test_blocks_that_nobody_reads_are_told(indices, told):
    vit = VisionTransformer(
        dict(ARCH, num_layers=3), img_size=16, patch_size=8, out_indices=indices
    )
    assert told in unread_blocks(SimpleNamespace(backbone=vit))
    assert bool(unread_blocks(SimpleNamespace(backbone=vit))) == bool(told)


def test_layer_decay_of_a_network_of_another_depth():
    """mmseg's constructor counts to a number in the config."""
    model = SimpleNamespace(backbone=VisionTransformer(dict(ARCH, num_layers=3)))
    wrapper = dict(paramwise_cfg=dict(num_layers=12), constructor='LayerDecayOptimizer')
    with pytest.raises(ValueError, match=r'of 12 layers, .* 3 blocks: .*num_layers=3$'):
        check_layer_decay(dict(optim_wrapper=wrapper), model)
    wrapper['paramwise_cfg']['num_layers'] = 3
    check_layer_decay(dict(optim_wrapper=wrapper), model)
