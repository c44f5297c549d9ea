"""Arguments that several commands share, and how a config is read."""

import argparse
import os
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine.config import Config, DictAction
from mmengine.device import get_device

from mmattmask.quiet import quietly


def add_cfg_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, with which everything in a config can be changed."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='override the config, such as train_dataloader.batch_size=64; lists as '
        'key="[a,b]" with the quotes and without spaces',
    )


def add_work_dir(parser: argparse.ArgumentParser) -> None:
    """Add the folder of logs and results."""
    parser.add_argument(
        '--work-dir', help='logs and results; if not given work_dirs/<config>'
    )


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add the device."""
    parser.add_argument('--device', default=get_device(), help='of the network')


def add_amp(parser: argparse.ArgumentParser) -> None:
    """Add mixed precision."""
    parser.add_argument('--amp', action='store_true', help='compute in mixed precision')


def add_launcher(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of distributed runs."""
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='what starts the processes',
    )
    # torch.distributed.launch passes it; torchrun sets LOCAL_RANK instead.
    parser.add_argument(
        '--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """Add what MMPretrain's train.py and test.py share."""
    parser.add_argument('config', help='a file, or mmattmask::<a shipped one>')
    add_work_dir(parser)
    add_amp(parser)
    parser.add_argument(
        '--no-pin-memory',
        action='store_true',
        help='do not pin the memory of loaded batches',
    )
    add_cfg_options(parser)
    add_launcher(parser)


def merge_run(cfg: Config, args: argparse.Namespace) -> None:
    """Write the arguments of :func:`add_run` into the config, but ``--cfg-options``."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg.launcher = args.launcher
    # Command line, then config, then the config's file name.
    if args.work_dir is not None or cfg.get('work_dir') is None:
        cfg.work_dir = work_dir_of(args)


def work_dir_of(args: argparse.Namespace) -> str:
    """Return the work dir that was asked for, or the one of the config's name."""
    return args.work_dir or str(Path('work_dirs') / Path(args.config).stem)


def read_config(name: str, options: dict[str, Any] | None = None) -> Config:
    """Read a config file and override it by ``--cfg-options``."""
    with quietly():  # it may import packages
        cfg = Config.fromfile(config_file(name))
    cfg.merge_from_dict(options or {})
    return cfg


def config_file(name: str) -> str:
    """Return the path of a config, also of ``package::path`` as in ``_base_``."""
    package, separator, path = name.partition('::')
    if not separator:
        return name
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(f'{name}: there is no package {package} here')
    file = Path(spec.origin).parent / '.mim' / 'configs' / path
    if not file.is_file():
        raise FileNotFoundError(f'{name}: there is no file {file}')
    return str(file)


def as_pair(size: Sequence[int]) -> tuple[int, int]:
    """Return height and width of one or two numbers."""
    if len(size) not in (1, 2):
        raise ValueError(f'a size is one or two numbers, got {tuple(size)}')
    return int(size[0]), int(size[-1])
