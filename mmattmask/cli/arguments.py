"""The arguments that training and testing share."""

import argparse
import os
from pathlib import Path

from mmengine.config import Config, DictAction


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that MMPretrain's train.py and test.py share."""
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--work-dir',
        help='where logs and results go (default: work_dirs/<name of the config>)',
    )
    parser.add_argument(
        '--amp', action='store_true', help='use automatic mixed precision'
    )
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin the memory of loaded batches',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, for example train_cfg.max_epochs=10; lists as '
        'key="[a,b]" with the quotes and without spaces',
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes of a distributed run',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def merge_common_arguments(cfg: Config, args: argparse.Namespace) -> None:
    """Write the shared arguments into the config, except ``--cfg-options``."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    # Command line, then config, then the config's file name.
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
