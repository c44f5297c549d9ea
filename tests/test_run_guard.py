"""Runs are refused before the first step, keep their folder, and lose nothing."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.registry import DATASETS
from mmengine.runner import FlexibleRunner, Runner
from mmpretrain.models import VisionTransformer
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    IterableDataset,
    SequentialSampler,
)

from mmattmask.engine import EMATeacherHook, TeacherTemperatureHook
from mmattmask.resuming import latest_checkpoint
from mmattmask.run_guard import (
    check_hooks,
    check_length,
    guard_runs,
    partly_frozen,
)
from tests.engine.toy_run import (
    assert_equal_weights,
    toy_config,
    train,
    weights,
    write_images,
)
from tests.models.ibot_model import build as build_ibot

SEED = dict(type='mmattmask.EpochSeedHook')
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
    check_length(loop, loader, 1)
    assert len(next(iter(loader))) == 4
    with pytest.raises(ValueError, match='3 training images make no batch of 4'):
        check_length(loop, loader_of(SequentialSampler(images)), 1)


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
        'import sys, time; from mmattmask.run_guard import only_run_in\n'
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
        ValueError, match=r'1 epochs and 3 steps, and this run has 3: set'
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
    told = 'decays over 4 epochs and the run has 2: change end and T_max'
    assert told in log_of(tmp_path)


@pytest.mark.parametrize(('frozen', 'told'), [(0, ''), (1, '1 of the 2'), (2, '')])
def test_a_probe_of_a_deeper_network_is_told(frozen, told):
    arch = dict(embed_dims=8, num_layers=2, num_heads=1, feedforward_channels=8)
    vit = VisionTransformer(arch, img_size=16, patch_size=8, frozen_stages=frozen)
    assert partly_frozen(SimpleNamespace(backbone=vit)).startswith(told)
    assert bool(partly_frozen(SimpleNamespace(backbone=vit))) == bool(told)
