"""Train a config: the flags of MMPretrain's tools/train.py, also without a GPU."""

import argparse

from mmengine.config import Config

from mmattmask.cli.arguments import add_run, merge_run, read_config
from mmattmask.launching import (
    build_runner,
    drop_amp_without_accelerator,
    set_loader_defaults,
    use_amp,
)
from mmattmask.resuming import latest_checkpoint

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
DESCRIPTION = 'Pre-train or fine-tune a config.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask train``."""
    add_run(parser)
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CHECKPOINT',
        help='continue from this checkpoint, or from the latest of the work dir',
    )
    parser.add_argument(
        '--no-validate', action='store_true', help='do not evaluate while training'
    )
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the batch size of this run',
    )
    parser.add_argument(
        '--no-persistent-workers',
        action='store_true',
        help='start the loader workers anew each epoch',
    )


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Write the arguments into the config; ``--cfg-options`` have the last word."""
    merge_run(cfg, args)
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.amp:
        use_amp(cfg)
    if args.resume is not None:
        cfg.resume = True
        cfg.load_from = cfg.get('load_from') if args.resume == 'auto' else args.resume
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise ValueError(
                f'--auto-scale-lr: {args.config} has no auto_scale_lr.base_batch_size'
            )
        cfg.auto_scale_lr.enable = True
    cfg.merge_from_dict(args.cfg_options or {})
    if args.auto_scale_lr:
        scaling, wrapper = cfg.auto_scale_lr, cfg.optim_wrapper
        before, now = (x.get('accumulative_counts', 1) for x in (scaling, wrapper))
        if before != now:  # MMEngine does not know of them
            scaling.base_batch_size *= before / now
            scaling.accumulative_counts = now
    if args.resume == 'auto' and cfg.get('load_from'):  # of weights to start from
        cfg.resume = latest_checkpoint(cfg.work_dir) is not None
        cfg.load_from = None if cfg.resume else cfg.load_from

    forced = {}
    if args.no_pin_memory:
        forced['pin_memory'] = False
    if args.no_persistent_workers:
        forced['persistent_workers'] = False
    set_loader_defaults(cfg, LOADERS, forced, pin_memory=True, persistent_workers=True)
    drop_amp_without_accelerator(cfg)
    return cfg


def run(args: argparse.Namespace) -> None:
    """Train."""
    build_runner(merge_args(read_config(args.config), args)).train()
