"""Add a finished run to the zoo that comes with the package."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmattmask.zoo.publish import MAX_BYTES, PRECISIONS, publish_model
from mmattmask.zoo.table import render

EXAMPLE = """
results.json says what the run was and what it came to:
  {"data": "CIFAR-10, 10,000 training images",
   "budget": "12 epochs, 11 minutes",
   "machine": "1 core of an AMD EPYC, torch 2.11",
   "results": [{"task": "Image Classification", "dataset": "CIFAR-10",
                "metrics": {"k-NN top-1, k = 20": 41.2, "linear top-1": 45.0}}]}
"""


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Add a finished run to the zoo: weights without optimizer, whole '
        'config, log and metafile go to mmattmask/zoo/entries/NAME, and docs/zoo.md '
        'lists it.',
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('checkpoint', nargs='?', help='of the work dir of the run')
    parser.add_argument('--name', help='such as amt_vit-tiny-p4_cifar10')
    parser.add_argument('--config', help="the run's config")
    parser.add_argument('--results', help='JSON file, see below')
    parser.add_argument(
        '--log', help='default: */vis_data/scalars.json beside the checkpoint'
    )
    parser.add_argument(
        '--precision',
        choices=tuple(PRECISIONS),
        help=f'default: the first that fits into {MAX_BYTES / 1e6:g} MB',
    )
    parser.add_argument(
        '--force', action='store_true', help='replace an entry of this name'
    )
    parser.add_argument(
        '--table-only', action='store_true', help='only write docs/zoo.md again'
    )
    return parser.parse_args(argv)


def main(docs: str | Path, argv: Sequence[str] | None = None) -> str:
    """Run ``tools/publish_model.py``; return what it prints.

    Args:
        docs: The folder ``docs``; where there is none, no table is written.
        argv: Command line. Defaults to the process's.
    """
    args = parse_args(argv)
    try:
        text = '' if args.table_only else publish(args)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    table = Path(docs) / 'zoo.md'
    if table.parent.is_dir():
        table.write_text(render(), encoding='utf-8')
        text += f'{table} is up to date\n'
    return text


def publish(args: argparse.Namespace) -> str:
    """Add an entry and return what was done.

    Raises:
        ValueError: If an argument is missing; see also :func:`publish_model`.
        OSError: See :func:`publish_model`.
    """
    needed = ('checkpoint', 'name', 'config', 'results')
    missing = [name for name in needed if not getattr(args, name)]
    if missing:
        raise ValueError(f'{", ".join(missing)} missing; see --help')
    results = json.loads(Path(args.results).read_text(encoding='utf-8'))
    published = publish_model(
        args.checkpoint,
        args.name,
        args.config,
        results,
        log=args.log,
        precision=args.precision,
        force=args.force,
    )
    return str(published)
