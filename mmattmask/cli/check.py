"""Say what a pre-training config will do, and what is wrong with it, before it runs."""

import argparse
import warnings

from mmattmask.cli.arguments import add_cfg_options, read_config
from mmattmask.inspection.built_config import UnreadableError, build_config
from mmattmask.inspection.findings import findings
from mmattmask.inspection.score import content_of_score
from mmattmask.inspection.summary import report

SOUND, PROBLEMS, UNREADABLE = 0, 1, 2


DESCRIPTION = """Say what a pre-training config will do, without data or a GPU.
The exit code is 0 for a sound config, 1 for problems, 2 for what cannot be read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask check``."""
    parser.add_argument('config', help='a file, or mmattmask::<a shipped one>')
    parser.add_argument(
        '--gpus',
        type=int,
        help='of the run; if not given those in the name of the config, such as '
        '_8xb512-, or as many as the learning rate is for',
    )
    parser.add_argument(
        '--score',
        metavar='CHECKPOINT',
        help='also measure training images with these weights: does the score follow '
        'content, or the place of a patch? (a problem)',
    )
    parser.add_argument(
        '--images', type=int, default=256, help='training images of --score'
    )
    parser.add_argument(
        '--index', help='of --score: CSV file of annotated images (columns image, mask)'
    )
    parser.add_argument(
        '--picture', metavar='FILE', help='of --score: draw maps with and without place'
    )
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> tuple[str, int]:
    """Return the report, and the exit code."""
    if not args.score and (args.index or args.picture):
        raise ValueError('--index and --picture need --score CHECKPOINT')
    try:
        cfg = read_config(args.config, args.cfg_options)
    except Exception as error:  # whatever a config, which is Python, may raise
        kind = type(error).__name__
        return f'error: {args.config} cannot be read: {kind}: {error}', UNREADABLE
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # of stock layers on torch's meta device
            built = build_config(cfg, args.config, args.gpus)
    except UnreadableError as error:
        return f'error: {error}', UNREADABLE
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of weights that are read and not kept
        found = findings(built)
    text = report(built, found)
    is_sound = all(finding.level == 'note' for finding in found)
    if args.score:
        if args.index and built.scorer is not None and not built.scorer.measures:
            raise ValueError(
                f'the maps of {args.config} are of its training images and tell '
                f'nothing of those in {args.index}: leave --index out'
            )
        content = content_of_score(
            cfg, args.score, args.images, args.index, args.picture
        )
        text += f'\n\n{content.sentence()}'
        is_sound = is_sound and content.is_content
    return text, SOUND if is_sound else PROBLEMS
