"""Look at attention, rankings, partitions and reconstructions of images."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.config import DictAction
from mmengine.device import get_device
from mmpretrain.utils import register_all_modules
from PIL import Image, ImageOps

from mmattmask.cli.frozen import as_pair
from mmattmask.datasets.foreground import IMAGE_SUFFIXES
from mmattmask.datasets.photographs import find_photographs
from mmattmask.scorers.self_attention import ATTENTIONS
from mmattmask.visualization.animation import strip_frames, write_gif
from mmattmask.visualization.pages import (
    draw_contact_sheet,
    draw_pages,
    draw_panels,
)
from mmattmask.visualization.policy_panels import apply_policy, example_policies
from mmattmask.visualization.portrait import Portrait, portray
from mmattmask.visualization.sitter import load_sitter

WEIGHT_SUFFIXES = ('.pth', '.pt', '.bin', '.ckpt', '.safetensors')


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description='Draw what a model makes of images: attention per head and block, '
        'ranking, what several policies mask, reconstruction'
    )
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
    parser.add_argument('--out', default='work_dirs/visualize', help='%(default)s')
    parser.add_argument(
        '--max-images', type=int, default=8, help='the first so many (%(default)s)'
    )
    parser.add_argument(
        '--squash',
        action='store_true',
        help='squash images, as the attention refresh does (default: crop the centre)',
    )
    parser.add_argument(
        '--score',
        choices=['host', 'cls', 'received'],
        default='host',
        help='what policies decide on: what the config says, or attention of --block',
    )
    parser.add_argument('--block', type=int, default=-1, help='the last (-1)')
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
        help='of all policies side by side but AMT (0.75)',
    )
    parser.add_argument(
        '--progress',
        type=float,
        default=1.0,
        help="share of the training that is done, for the config's own policy (1)",
    )
    parser.add_argument('--seed', type=int, default=0, help='of the masks')
    parser.add_argument('--key', help='which network of the checkpoint, say teacher')
    parser.add_argument(
        '--size', type=int, nargs='+', metavar='PX', help='for the name of a ViT'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='KEY=VALUE'
    )
    parser.add_argument('--device', default=get_device())
    args = parser.parse_args(argv)
    if args.strips is None and args.config is None:
        parser.error('give a config, or --strips')
    return args


def main(argv: Sequence[str] | None = None) -> str:
    """Run ``tools/visualize.py``; return what it prints."""
    args = parse_args(argv)
    register_all_modules(init_default_scope=True)
    out = Path(args.out)
    try:
        if args.strips is not None:
            frames = strip_frames(args.strips)
            path = write_gif(frames, out / 'strips.gif')
            return f'{len(frames)} drawings in {path}'
        return draw(args, out)
    except (ValueError, FileNotFoundError) as error:
        sys.exit(f'error: {error}')


def draw(args: argparse.Namespace, out: Path) -> str:
    """Draw everything; return what to print."""
    checkpoints = [name for name in args.inputs if name.endswith(WEIGHT_SUFFIXES)]
    others = [name for name in args.inputs if name not in checkpoints]
    paths = find_images(others, args.photographs)[: args.max_images]
    names = unique_names(paths)
    frames: list[np.ndarray] = []
    lines: list[str] = []
    for checkpoint in checkpoints or [None]:
        portrait, line = _portray(args, checkpoint, paths)
        lines += [line, *portrait.remarks]
        if len(checkpoints) > 1:
            caption = f'{Path(checkpoint).stem} · {portrait.score_note}'
            frames.append(draw_contact_sheet(portrait, {}, names, caption))
    if portrait.prediction_note:
        lines.append(f'reconstruction: {portrait.prediction_note}')
    if frames:
        write_gif(frames, out / 'checkpoints.gif')
        lines.append(f'{len(frames)} checkpoints in {out / "checkpoints.gif"}')
    sets = _apply_policies(args, portrait)
    caption = f'{Path(args.config).stem} · {lines[0]} · score: {portrait.score_note}'
    save(draw_contact_sheet(portrait, sets, names, caption), out / 'contact_sheet.png')
    block = _block(portrait, args.block)
    for index, name in enumerate(names):
        pages = draw_pages(portrait, sets, index, name, args.attention, block)
        for page, picture in pages.items():
            save(picture, out / name / f'{page}.png')
        for panel, picture in draw_panels(portrait, sets, index, block).items():
            save(picture, out / name / 'panels' / f'{panel}.png')
    return '\n'.join([*lines, f'{len(names)} images in {out}'])


def _portray(
    args: argparse.Namespace, checkpoint: str | None, paths: Sequence[Path]
) -> tuple[Portrait, str]:
    size = as_pair(args.size) if args.size else None
    sitter, size, line = load_sitter(
        args.config, checkpoint, args.key, args.cfg_options, size
    )
    sitter.vit.to(args.device)
    if sitter.host is not None:
        sitter.host.to(args.device)
    images = np.stack([read_image(path, size, args.squash) for path in paths])
    portrait = portray(
        sitter,
        images,
        [str(path) for path in paths],
        args.attention,
        args.score,
        args.block,
        args.progress,
        args.seed,
    )
    return portrait, line


def _apply_policies(
    args: argparse.Namespace, portrait: Portrait
) -> dict[str, np.ndarray]:
    score = torch.from_numpy(portrait.score)
    grid = tuple(score.shape[1:])
    policies = example_policies(grid[0] * grid[1], args.mask_ratio)
    return {
        policy.name: apply_policy(policy, score.flatten(1), grid, args.seed)
        for policy in policies
    }


def _block(portrait: Portrait, block: int) -> int:
    """Return the number of the block whose heads are drawn.

    Raises:
        ValueError: If it has no attention to read.
    """
    blocks = portrait.blocks
    number = blocks[-1] + 1 + block if blocks and block < 0 else block
    if blocks and number not in blocks:
        raise ValueError(f'block {block} has no attention to read, only {blocks} have')
    return number


def find_images(names: Sequence[str], photographs: bool) -> list[Path]:
    """List images, those in folders, and the photographs inside scikit-image.

    Raises:
        ValueError: If there is none.
        FileNotFoundError: If a file or folder is missing.
    """
    paths: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.exists():
            raise FileNotFoundError(f'there is no image or folder {path}')
        found = sorted(path.rglob('*')) if path.is_dir() else [path]
        paths += [each for each in found if each.suffix.lower() in IMAGE_SUFFIXES]
    if photographs:
        paths += find_photographs()
    if not paths:
        raise ValueError(
            f'there is no image in {", ".join(names) or "the arguments"}: name images '
            'or folders, or give --photographs'
        )
    return paths


def unique_names(paths: Sequence[Path]) -> list[str]:
    """Name images by their files; those with equal names get a number."""
    names: list[str] = []
    for path in paths:
        name, number = path.stem, 2
        while name in names:
            name, number = f'{path.stem}_{number}', number + 1
        names.append(name)
    return names


def read_image(path: Path, size: tuple[int, int], squash: bool) -> np.ndarray:
    """Read an image upright and bring it to (H, W), (H, W, 3) uint8 RGB.

    Args:
        path: The image.
        size: Height and width in px.
        squash: Do not keep the aspect ratio; else the centre is cropped.

    Raises:
        ValueError: If it cannot be read.
    """
    try:
        with Image.open(path) as file:
            image = ImageOps.exif_transpose(file).convert('RGB')
    except (OSError, SyntaxError) as error:  # SyntaxError: PIL, PNG
        raise ValueError(f'{path} cannot be read as an image: {error}') from error
    how = Image.Resampling.BICUBIC
    if squash:
        return np.asarray(image.resize(size[::-1], how))
    return np.asarray(ImageOps.fit(image, size[::-1], how))


def save(picture: np.ndarray, path: Path) -> None:
    """Write a picture, and the folder it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
