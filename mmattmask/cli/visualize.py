"""Look at attention, rankings, partitions and reconstructions of images."""

import argparse
from pathlib import Path

from mmpretrain.utils import register_all_modules

from mmattmask.cli.arguments import add_cfg_options, add_device, as_pair, config_file
from mmattmask.datasets.photographs import find_photographs
from mmattmask.scorers.self_attention import ATTENTIONS
from mmattmask.visualization.image_folder import find_images, visualize
from mmattmask.visualization.strips import write_strip_gif

WEIGHT_SUFFIXES = ('.pth', '.pt', '.bin', '.ckpt', '.safetensors')
DESCRIPTION = """Draw what a model makes of images: attention per head and block,
ranking, what several policies mask, reconstruction."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask visualize``."""
    parser.add_argument(
        'config', nargs='?', help='config, or the name of a ViT such as vit-base-p16'
    )
    parser.add_argument(
        'inputs',
        nargs='*',
        metavar='CHECKPOINT | IMAGE',
        help='weights (of this project, or official MAE, DINO, iBOT or AttMask files), '
        'several of them for a GIF over time; images and folders of images',
    )
    parser.add_argument(
        '--photographs', action='store_true', help='use those inside scikit-image'
    )
    parser.add_argument(
        '--strips',
        metavar='DIR',
        help='instead: a GIF of the strips in the work dir of a run',
    )
    parser.add_argument('--out', default='work_dirs/visualize', help='folder')
    parser.add_argument('--max-images', type=int, default=8, help='the first so many')
    parser.add_argument(
        '--squash',
        action='store_true',
        help='squash images, as the attention refresh does; else the centre is cropped',
    )
    parser.add_argument(
        '--score',
        choices=['host', 'cls', 'received'],
        default='host',
        help='what policies decide on: what the config says, or attention of --block',
    )
    parser.add_argument('--block', type=int, default=-1, help='-1 is the last')
    parser.add_argument(
        '--attention',
        choices=[name for name in ATTENTIONS if name != 'cls'],
        default='received',
        help="how received attention is read (received: GPA's, before softmax)",
    )
    parser.add_argument(
        '--mask-ratio',
        type=float,
        default=0.75,
        help='of all policies side by side but AMT',
    )
    parser.add_argument(
        '--progress',
        type=float,
        default=1.0,
        help="share of the training that is done, for the config's own policy",
    )
    parser.add_argument('--seed', type=int, default=0, help='of the masks')
    parser.add_argument('--key', help='which network of the checkpoint, say teacher')
    parser.add_argument(
        '--size', type=int, nargs='+', metavar='PX', help='for the name of a ViT'
    )
    add_cfg_options(parser)
    add_device(parser)


def run(args: argparse.Namespace) -> str:
    """Draw; return what to print."""
    if args.strips is None and args.config is None:
        raise ValueError('give a config, or --strips')
    register_all_modules(init_default_scope=True)
    out = Path(args.out)
    if args.strips is not None:
        return write_strip_gif(args.strips, out / 'strips.gif')
    checkpoints = [name for name in args.inputs if name.endswith(WEIGHT_SUFFIXES)]
    others = [name for name in args.inputs if name not in checkpoints]
    photographs = find_photographs() if args.photographs else []
    return visualize(
        out,
        config_file(args.config),
        checkpoints,
        find_images(others, photographs)[: args.max_images],
        model=dict(
            key=args.key,
            options=args.cfg_options,
            size=as_pair(args.size) if args.size else None,
            device=args.device,
        ),
        options=dict(
            attention=args.attention,
            source=args.score,
            block=args.block,
            progress=args.progress,
            seed=args.seed,
        ),
        squash=args.squash,
        mask_ratio=args.mask_ratio,
    )
