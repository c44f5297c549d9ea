"""A training run small enough to repeat, in this process or another one."""

import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmpretrain.utils import get_ori_model
from PIL import Image

from mmattmask.launching import leave_processes
from mmattmask.scorers import BankWriter

NUM_IMAGES = 22


def write_images(root, count=NUM_IMAGES):
    """Write ``count`` small random photographs into two class folders."""
    rng = np.random.default_rng(0)
    for index in range(count):
        folder = Path(root) / f'class_{index % 2}'
        folder.mkdir(parents=True, exist_ok=True)
        coarse = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((30, 24), Image.Resampling.BICUBIC)
        image.save(folder / f'{index:03d}.png')
    return str(root)


def toy_config(work_dir, data_root, **changes):
    """Return the config; ``changes`` are dotted keys with __ for dots."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='mmattmask.RandomResizedCrop', scale=16),
        dict(type='RandomFlip', prob=0.5),
        dict(type='mmattmask.PackInputs'),
    ]
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            work_dir=str(work_dir),
            log_level='INFO',
            model=dict(
                type='mmattmask.GuidedMAE',
                backbone=dict(
                    type='mmattmask.GuidedMAEViT',
                    arch=dict(
                        embed_dims=24,
                        num_layers=2,
                        num_heads=2,
                        feedforward_channels=48,
                    ),
                    img_size=16,
                    patch_size=4,
                ),
                neck=dict(
                    type='mmattmask.GuidedMAEDecoder',
                    decoder_embed_dim=16,
                    decoder_depth=1,
                    decoder_num_heads=2,
                ),
                head=dict(
                    type='MAEPretrainHead',
                    norm_pix=True,
                    loss=dict(type='PixelReconstructionLoss', criterion='L2'),
                ),
                scorer=dict(type='mmattmask.CachedAttention'),
                mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
            ),
            data_preprocessor=dict(
                type='SelfSupDataPreprocessor', mean=[128] * 3, std=[64] * 3
            ),
            train_dataloader=dict(
                batch_size=8,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=True),
                collate_fn=dict(type='default_collate'),
                dataset=dict(
                    type='CustomDataset', data_root=str(data_root), pipeline=pipeline
                ),
            ),
            optim_wrapper=dict(
                type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-3)
            ),
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=5),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', interval=1),
                logger=dict(type='LoggerHook', interval=1),
            ),
            custom_hooks=[
                dict(type='mmattmask.AttentionRefreshHook', begin=1, interval=2),
                dict(type='mmattmask.EpochSeedHook'),
            ],
            env_cfg=dict(
                mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
                dist_cfg=dict(backend='gloo'),
            ),
            randomness=dict(seed=3),
        )
    )
    cfg.merge_from_dict({key.replace('__', '.'): v for key, v in changes.items()})
    if cfg.train_cfg.get('max_epochs') == 1 and 'custom_hooks' not in changes:
        cfg.custom_hooks[0].begin = 0  # else it would refresh after the run
    return cfg


def train(cfg):
    """Train and return the runner."""
    # runs of one process share MMEngine's instance names
    cfg.experiment_name = (
        f'{Path(cfg.work_dir).name}_{len(os.listdir("/proc/self/fd"))}'
    )
    cfg.experiment_name += f'_{np.random.default_rng().integers(2**62)}'
    runner = Runner.from_cfg(cfg)
    runner.train()
    return runner


def weights(runner_or_path):
    """Return a state dict, of a runner's model or a checkpoint."""
    if isinstance(runner_or_path, str | Path):
        return torch.load(runner_or_path, weights_only=False)['state_dict']
    return runner_or_path.model.state_dict()


def assert_equal_weights(first, second):
    """Assert two state dicts are equal bit for bit."""
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def times_of(hook, action, epochs=5):
    """Return the epochs at which a hook calls its method, without what it does."""
    runner, times = SimpleNamespace(), []
    setattr(hook, action, lambda runner: times.append(runner.epoch))
    for runner.epoch in range(epochs):
        hook.before_train_epoch(runner)
    runner.epoch = epochs
    hook.after_train(runner)
    return times


def log_of(work_dir):
    """Return what runs in a folder have logged."""
    return ''.join(path.read_text() for path in Path(work_dir).glob('*/*.log'))


def stop_and_resume(work_dir, data_root, stop, **changes):
    """Train up to an epoch, and go on from its checkpoint; return the last runner."""
    cfg = toy_config(work_dir, data_root, **changes)
    cfg.custom_hooks.append(dict(type='StopHook', epoch=stop))
    with pytest.raises(SystemExit):
        train(cfg)
    return train(toy_config(work_dir, data_root, resume=True, **changes))


@HOOKS.register_module()
class WatchHook(Hook):
    """Remembers of each iteration the partition's counts and the bank in use."""

    priority = 'LOWEST'

    def before_run(self, runner):
        guidance, runner.watched = runner.model.guidance, []
        original = guidance.guide

        def spy(inputs, data_samples):
            score, partition = original(inputs, data_samples)
            bank = guidance.scorer.bank
            source = None if bank is None else bank.header.source
            runner.watched.append((source, partition.budget))
            assert runner.model.training
            return score, partition

        guidance.guide = spy


@HOOKS.register_module()
class TellMasksHook(Hook):
    """Prints which patches of a batch are masked."""

    def before_run(self, runner):
        guidance = get_ori_model(runner.model).guidance
        original = guidance.guide

        def tell(inputs, data_samples):
            score, partition = original(inputs, data_samples)
            masked = partition.mask.int().flatten().tolist()
            sys.stdout.write(f'masks {"".join(map(str, masked))}\n')
            sys.stdout.flush()
            return score, partition

        guidance.guide = tell


@HOOKS.register_module()
class StopHook(Hook):
    """Leave the run before an epoch begins, as if the time were up."""

    def __init__(self, epoch):
        self.epoch = epoch

    def before_train_epoch(self, runner):
        if runner.epoch == self.epoch:
            sys.exit(0)


def train_here(work_dir, data_root, changes):
    """Train in a process of its own; environment variables say what befalls it."""
    if 'HOST_NAME' in os.environ:
        socket.gethostname = lambda: os.environ['HOST_NAME']
    if 'FAILING_RANK' in os.environ and os.environ['RANK'] == '1':
        BankWriter.write = None
    if 'RANK' in os.environ:  # MMEngine's own launcher wants an accelerator
        torch.distributed.init_process_group('gloo')
    cfg = toy_config(work_dir, data_root, **changes)
    if 'RANK' in os.environ:
        cfg.model_wrapper_cfg = dict(type='MMDistributedDataParallel', device_ids=None)
    train(cfg)
    leave_processes()
