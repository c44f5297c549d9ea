"""Say what a pre-training config will do, and what is wrong with it, before it runs."""

import argparse
import warnings
from collections.abc import Sequence

from mmengine.config import Config, DictAction

from mmattmask.inspection.built_config import UnreadableError, build_config
from mmattmask.inspection.findings import findings
from mmattmask.inspection.summary import report

SOUND, PROBLEMS, UNREADABLE = 0, 1, 2


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog='python -m mmattmask check',
        description='Say what a pre-training config will do, without data or a GPU. '
        'The exit code is 0 for a sound config, 1 for problems, 2 for a file that '
        'cannot be read.',
    )
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--gpus',
        type=int,
        help='GPUs of the run (default: those in the name of the config, such as '
        '_8xb512-, or as many as the learning rate is for)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, as for tools/train.py',
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> tuple[str, int]:
    """Return what ``python -m mmattmask check`` prints, and its exit code."""
    args = parse_args(argv)
    try:
        cfg = Config.fromfile(args.config)
        if args.cfg_options is not None:
            cfg.merge_from_dict(args.cfg_options)
    except Exception as error:  # whatever a config, which is Python, may raise
        kind = type(error).__name__
        return f'error: {args.config} cannot be read: {kind}: {error}', UNREADABLE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of stock layers on torch's meta device
            built = build_config(cfg, args.config, args.gpus)
    except UnreadableError as error:
        return f'error: {error}', UNREADABLE
    found = findings(built)
    is_sound = all(finding.level == 'note' for finding in found)
    return report(built, found), SOUND if is_sound else PROBLEMS
