"""Pre-train and evaluate several policies at equal budgets; one table at the end."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from mmattmask.cli.arguments import add_cfg_options, config_file
from mmattmask.comparison.checks import check_runs
from mmattmask.comparison.plan import BUDGETS, read_comparison
from mmattmask.comparison.pool import Pool
from mmattmask.comparison.report import write_results
from mmattmask.comparison.study import Study

DESCRIPTION = """Pre-train with several mask policies, at equal encoder tokens and at
equal time, evaluate, and write one table with intervals. Run it again to go on after
an interruption."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask compare``."""
    parser.add_argument(
        'comparison', help='a file such as configs/study/compare_cifar10.py'
    )
    parser.add_argument(
        '--work-dir', help='if not given work_dirs/<name of the comparison>'
    )
    parser.add_argument('--runs', nargs='+', metavar='NAME', help='only these')
    parser.add_argument('--seeds', nargs='+', type=int, help="instead of the file's")
    parser.add_argument('--control', metavar='NAME', help="instead of the file's")
    parser.add_argument(
        '--budgets', nargs='+', choices=BUDGETS, help="instead of the file's"
    )
    parser.add_argument(
        '--devices',
        nargs='+',
        metavar='GPU',
        help="one run at a time on each: numbers of the machine's GPUs (as for "
        'CUDA_VISIBLE_DEVICES), or cpu several times; if not given all GPUs, or as '
        'many CPU processes as --threads leaves room for',
    )
    parser.add_argument(
        '--threads', type=int, default=1, help='of each process on the CPU'
    )
    parser.add_argument(
        '--report-only', action='store_true', help='write the table of what is there'
    )
    add_cfg_options(parser)


def default_devices(threads: int) -> list[str]:
    """Return all visible GPUs, or one CPU process for every ``threads`` cores."""
    gpus = torch.cuda.device_count()
    if gpus:
        visible = os.environ.get('CUDA_VISIBLE_DEVICES')
        return visible.split(',') if visible else [str(gpu) for gpu in range(gpus)]
    return ['cpu'] * max(1, (os.cpu_count() or 1) // threads)


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the workers too, as Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit('error: terminated'))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def run(args: argparse.Namespace) -> tuple[str, int]:
    """Compare; return what to print, and 1 if a run failed."""
    options = dict(args.cfg_options or {})
    if args.control:
        options['control'] = args.control
    comparison = read_comparison(
        config_file(args.comparison), options, args.runs, args.seeds, args.budgets
    )
    work_dir = Path(args.work_dir or Path('work_dirs') / comparison.name)
    study = Study(comparison, work_dir)
    study.check_finished(files=not args.report_only)
    failures = {}
    if study.to_do() and not args.report_only:
        check_runs(study)
        pool = Pool(args.devices or default_devices(args.threads), args.threads)
        with ending_on_sigterm():
            failures = pool.work(study.to_do(), study)
    if not args.report_only:
        study.measure_content()
    failed = {str(run): reason for run, reason in failures.items()}
    text = write_results(study, failed)
    if failed:
        lines = [f'{run}: {reason}' for run, reason in failed.items()]
        text = '\n'.join([text, f'{len(failed)} runs failed:', *lines])
    return text, 1 if failed else 0
