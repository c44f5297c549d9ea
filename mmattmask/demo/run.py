"""Run the demo: prepare images, train through the real runner, report."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from mmengine.runner import Runner
from mmpretrain.utils import get_ori_model

from mmattmask.comparison.stretch import stretch
from mmattmask.demo.data import NUM_TILES, PHOTOGRAPHS, DemoData, prepare_data
from mmattmask.demo.page import write_page
from mmattmask.demo.report import report
from mmattmask.demo.step_time import measure_step_times

MIN_EPOCHS = 3  # one of warm-up and two refreshes
MAX_SCALE = 10  # few images are seen in at most so many times as many epochs


def parse_args(args: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Pre-train a tiny ViT with MAE and AMT on the CPU and watch it: '
        'attention, masks, reconstructions, k-NN accuracy.'
    )
    parser.add_argument(
        '--data',
        default=PHOTOGRAPHS,
        help='a folder of images (subfolders are classes), cifar10, or photographs: '
        'those inside scikit-image (default)',
    )
    parser.add_argument(
        '--work-dir', default='work_dirs/demo', help='default: %(default)s'
    )
    parser.add_argument(
        '--epochs',
        type=int,
        help='at least 3; default: such that it takes a few minutes',
    )
    parser.add_argument(
        '--resume',
        action='store_true',
        help='go on from the last checkpoint; else training starts anew',
    )
    return parser.parse_args(args)


def main(configs: str | Path, args: Sequence[str] | None = None) -> str:
    """Run the demo from the command line.

    Args:
        configs: The folder ``configs``.
        args: Command line. Defaults to the process's.

    Returns:
        The report.

    Raises:
        SystemExit: If the command line or the images do not allow a run.
    """
    options = parse_args(args)
    if options.epochs is not None and options.epochs < MIN_EPOCHS:
        raise SystemExit(
            f'demo: --epochs {options.epochs} is too short for two refreshes, it must '
            f'be at least {MIN_EPOCHS}'
        )
    try:
        data = prepare_data(options.data, options.work_dir)
    except (OSError, RuntimeError, ValueError) as error:
        raise SystemExit(f'demo: {error}') from error
    return run_demo(configs, data, options.work_dir, options.epochs, options.resume)


def run_demo(
    configs: str | Path,
    data: DemoData,
    work_dir: str | Path,
    epochs: int | None = None,
    resume: bool = False,
) -> str:
    """Train and report.

    Args:
        configs: The folder ``configs``.
        data: What to train on.
        work_dir: Where everything goes.
        epochs: Length of the run. Defaults to as many images as the config's own run
            sees.
        resume: Go on from the last checkpoint.
    """
    cfg = Config.fromfile(Path(configs) / 'demo' / data.config)
    cfg.work_dir = str(work_dir)
    cfg.resume = resume
    use_data(cfg, data)
    if epochs is None:
        epochs = round(cfg.train_cfg.max_epochs * NUM_TILES / data.num_train)
        epochs = max(MIN_EPOCHS, min(epochs, MAX_SCALE * cfg.train_cfg.max_epochs))
    set_epochs(cfg, epochs)
    start = time.perf_counter()
    runner = Runner.from_cfg(cfg)
    runner.logger.info(data.description)
    if resume:
        runner.logger.info(f'going on from the last checkpoint in {work_dir}, if any')
    else:
        runner.logger.info('training starts anew; --resume goes on instead')
    runner.train()
    seconds = time.perf_counter() - start
    times = measure_step_times(
        get_ori_model(runner.model), next(iter(runner.train_dataloader))
    )
    page = write_page(runner, data.description, seconds, times)
    return report(runner, seconds, times, page)


def use_data(cfg: Config, data: DemoData) -> None:
    """Put datasets into the config; without labels the k-NN hook goes."""
    pipeline = cfg.train_dataloader.dataset.pipeline
    cfg.train_dataloader.dataset = dict(data.train, pipeline=pipeline)
    for hook in list(cfg.custom_hooks):
        if hook.type != 'mmattmask.KNNHook':
            continue
        if data.test is None:
            cfg.custom_hooks.remove(hook)
        else:
            hook.memory, hook.query = data.train, data.test


def set_epochs(cfg: Config, epochs: int) -> None:
    """Stretch or shorten the whole schedule.

    Raises:
        ValueError: If there is no room for two refreshes.
    """
    if epochs < MIN_EPOCHS:
        raise ValueError(f'epochs ({epochs}) must be at least {MIN_EPOCHS}')
    checkpoint = cfg.default_hooks.checkpoint
    kept = checkpoint.interval / cfg.train_cfg.max_epochs
    checkpoint.interval = max(1, round(kept * epochs))
    stretch(cfg, epochs)
    for hook in cfg.custom_hooks:
        if hook.get('begin'):  # with room for a second time
            hook.begin = min(hook.begin, epochs - 1 - hook.interval)
