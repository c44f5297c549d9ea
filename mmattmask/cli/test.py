"""Evaluate a checkpoint: the flags of MMPretrain's tools/test.py."""

import argparse
from copy import deepcopy

from mmengine.config import Config, ConfigDict
from mmengine.evaluator import DumpResults
from mmengine.fileio import dump

from mmattmask.cli.arguments import add_run, merge_run, read_config
from mmattmask.launching import (
    build_runner,
    drop_amp_without_accelerator,
    set_loader_defaults,
)

DESCRIPTION = "Evaluate a config's checkpoint."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask test``."""
    add_run(parser)
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--out', help='file for the results')
    parser.add_argument(
        '--out-item',
        choices=['metrics', 'pred'],
        help='what --out receives (default: pred)',
    )
    parser.add_argument('--show-dir', help='folder for pictures of the predictions')
    parser.add_argument(
        '--show', action='store_true', help='show the predictions in a window'
    )
    parser.add_argument(
        '--interval', type=int, default=1, help='draw every this many samples'
    )
    parser.add_argument(
        '--wait-time', type=float, default=2, help='seconds a window stays'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: tta_model and tta_pipeline of the config, or '
        'the average over the image and its mirror image',
    )


def merge_args(cfg: Config, args: argparse.Namespace) -> Config:
    """Write the arguments into the config; ``--cfg-options`` have the last word."""
    merge_run(cfg, args)
    cfg.load_from = args.checkpoint
    if args.amp:
        cfg.test_cfg.fp16 = True
    if args.show or args.show_dir is not None:
        if 'visualization' not in cfg.default_hooks:
            raise ValueError(
                '--show and --show-dir need default_hooks.visualization='
                f"dict(type='VisualizationHook') in {args.config}"
            )
        cfg.default_hooks.visualization.update(
            enable=True,
            show=args.show,
            wait_time=args.wait_time,
            out_dir=args.show_dir,
            interval=args.interval,
        )
    if args.tta:
        add_test_time_augmentation(cfg)
    cfg.merge_from_dict(args.cfg_options or {})

    set_loader_defaults(
        cfg,
        ['test_dataloader'],
        dict(pin_memory=False) if args.no_pin_memory else {},
        pin_memory=True,
    )
    drop_amp_without_accelerator(cfg)
    return cfg


def add_test_time_augmentation(cfg: Config) -> None:
    """Wrap the model and the test pipeline; flips unless the config says more."""
    dataset = cfg.test_dataloader.dataset
    if 'tta_pipeline' not in cfg:
        *before, pack = deepcopy(dataset.pipeline)
        flips = [dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)]
        flip_both_ways = dict(type='TestTimeAug', transforms=[flips, [pack]])
        cfg.tta_pipeline = [*before, flip_both_ways]
    if 'tta_model' not in cfg:
        cfg.tta_model = dict(type='mmpretrain.AverageClsScoreTTA')
    cfg.model = ConfigDict(**cfg.tta_model, module=cfg.model)
    dataset.pipeline = cfg.tta_pipeline


def run(args: argparse.Namespace) -> None:
    """Test."""
    if args.out_item is not None and args.out is None:
        raise ValueError('--out-item needs --out')
    runner = build_runner(merge_args(read_config(args.config), args))
    if args.out and args.out_item != 'metrics':
        runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
    metrics = runner.test()
    if args.out and args.out_item == 'metrics':
        dump(metrics, args.out)
