"""Convert a checkpoint's encoder for another project."""

import argparse

from mmattmask.export.convert import convert_checkpoint
from mmattmask.export.sources import KINDS, read_source
from mmattmask.export.targets import TARGETS

DESCRIPTION = """Convert the encoder of a checkpoint, of any kind below, for another
project. Nothing in the file is executed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask convert``."""
    targets = '\n'.join(f'  {name:15}{t.what}' for name, t in TARGETS.items())
    kinds = '\n'.join(f'  {name:15}{what}' for name, what in KINDS.items())
    parser.epilog = f'targets of --to:\n{targets}\n\nkinds that are read:\n{kinds}'
    parser.add_argument('checkpoint', help='the file')
    parser.add_argument('--to', choices=TARGETS, metavar='TARGET')
    parser.add_argument(
        '--out', help='new .pth or .safetensors file; a folder for --to hf'
    )
    parser.add_argument(
        '--key',
        metavar='NETWORK',
        help='which network of a file of several, such as teacher (see --list)',
    )
    parser.add_argument(
        '--prefix', help="what names begin with, '' for nothing (the target's own)"
    )
    parser.add_argument('--num-heads', type=int, help='for --to hf (by the width)')
    parser.add_argument(
        '--grid',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='for --to hf: patches of the position embedding (a square)',
    )
    parser.add_argument('--force', action='store_true', help='write over --out')
    parser.add_argument('--list', action='store_true', help='only tell what is there')


def run(args: argparse.Namespace) -> str:
    """Convert, or tell what is there; return what to print."""
    if args.list:
        facts = read_source(args.checkpoint, args.key).facts()
        return ''.join(f'{name}: {value}\n' for name, value in facts.items())
    if args.to is None or args.out is None:
        raise ValueError('give --to and --out, or --list')
    report = convert_checkpoint(
        args.checkpoint,
        args.to,
        args.out,
        key=args.key,
        prefix=args.prefix,
        num_heads=args.num_heads,
        grid=None if args.grid is None else tuple(args.grid),
        force=args.force,
    )
    return str(report)
