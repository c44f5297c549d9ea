"""Choose GPA's block and head from a few annotated images."""

import argparse
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from mmpretrain.models import MAEViT, VisionTransformer
from mmpretrain.registry import MODELS
from mmpretrain.utils import register_all_modules
from PIL import Image
from torch import Tensor, nn

from mmattmask.cli.arguments import add_device, read_config
from mmattmask.datasets.foreground import (
    AnnotatedImage,
    patch_mask,
    read_coco,
    read_index,
    read_label_maps,
    read_mask_folder,
)
from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.frozen_backbone import normalisation_of
from mmattmask.evaluation.head_selection import (
    AVERAGES,
    HeadContent,
    head_content,
    read_maps,
    two_crops,
)
from mmattmask.progress_report import report_progress
from mmattmask.reporting.head_recall import SelectionReport
from mmattmask.scorers.frozen_teacher import FrozenTeacher
from mmattmask.scorers.library_vits import LibraryViT, library_config
from mmattmask.scorers.self_attention import (
    ATTENTIONS,
    grid_of,
    image_size_of,
    patch_size_of,
)
from mmattmask.visualization.image_folder import find_images, read_image
from mmattmask.visualization.pixels import normalise

T = TypeVar('T')
DESCRIPTION = """Choose the block and head that FrozenTeacher or CachedAttention reads:
whose most attended patches recall the annotated foreground best. Or, without
annotations, the head of a block that follows content most and place least."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask select``."""
    parser.add_argument(
        'checkpoint', nargs='?', help='weights; none if model.backbone loads its own'
    )
    vit = parser.add_argument_group('the ViT (default: a stock ViT-B/16 of 224 px)')
    vit.add_argument('--config', help='take model.backbone and the normalisation of it')
    vit.add_argument(
        '--library', metavar='NAME', help="timm's name, or a folder of Hugging Face"
    )
    vit.add_argument('--arch', default='b', help='without --config: an MMPretrain arch')
    vit.add_argument('--patch-size', type=int, default=16, help='without --config')
    vit.add_argument('--img-size', type=int, default=224, help='without --config')
    data = parser.add_argument_group(
        'annotated images: --index, or --images and one of'
    )
    data.add_argument('--index', help='CSV file with the columns image and mask')
    data.add_argument(
        '--where', nargs='+', default=[], metavar='COLUMN=VALUE', help='rows of --index'
    )
    data.add_argument('--images', help='folder; of --index, root of its paths')
    data.add_argument('--masks', help='folder of PNG masks, not 0 = foreground')
    data.add_argument('--coco', help='JSON file in the format of COCO')
    data.add_argument(
        '--boxes', action='store_true', help='boxes of --coco, not shapes'
    )
    data.add_argument('--categories', nargs='+', help='foreground of --coco')
    data.add_argument('--labels', help='folder of PNG label maps, such as ADE20K')
    data.add_argument('--foreground-ids', nargs='+', type=int, help='of --labels')
    data.add_argument('--background-ids', nargs='+', type=int, help='instead of these')
    data.add_argument(
        '--unsupervised', action='store_true', help='--images alone, no annotations'
    )
    parser.add_argument(
        '--block', type=int, default=-1, help='of --unsupervised; -1 is the last'
    )
    parser.add_argument('--max-images', type=int, help='draw this many images')
    parser.add_argument('--seed', type=int, default=0, help='of --max-images')
    parser.add_argument(
        '--coverage', type=float, default=0.5, help='annotated share of a patch'
    )
    parser.add_argument(
        '--attention', choices=ATTENTIONS, default='received', help='what is read'
    )
    parser.add_argument(
        '--ratio', type=float, default=0.75, help='second k, of all patches'
    )
    parser.add_argument(
        '--average', choices=AVERAGES, default='macro', help='over images, decides'
    )
    parser.add_argument('--batch-size', type=int, default=16, help='images per step')
    add_device(parser)
    parser.add_argument(
        '--work-dir', default='work_dirs/select', help='where the report goes'
    )


def check(args: argparse.Namespace) -> None:
    """Refuse arguments that do not fit each other."""
    kinds = [args.index, args.masks, args.coco, args.labels, args.unsupervised or None]
    if sum(kind is not None for kind in kinds) != 1:
        raise ValueError(
            'give one of --index, --masks, --coco, --labels and --unsupervised'
        )
    if args.index is None and args.images is None:
        raise ValueError('--masks, --coco, --labels and --unsupervised need --images')
    if any('=' not in item for item in args.where):
        raise ValueError(f'--where needs COLUMN=VALUE, got {" ".join(args.where)}')


def annotated_images(args: argparse.Namespace) -> list[AnnotatedImage]:
    """List the images that the arguments name."""
    if args.index:
        where = [item.split('=', 1) for item in args.where]
        images = read_index(args.index, dict(where), args.images)
    elif args.masks:
        images = read_mask_folder(args.images, args.masks)
    elif args.labels:
        images = read_label_maps(
            args.images, args.labels, args.foreground_ids, args.background_ids
        )
    else:
        images = read_coco(
            args.coco,
            args.images,
            'boxes' if args.boxes else 'polygons',
            args.categories,
        )
    return drawn(images, args)


def drawn(images: list[T], args: argparse.Namespace) -> list[T]:
    """Draw --max-images, in their order."""
    if args.max_images is None or args.max_images >= len(images):
        return images
    draw = np.random.default_rng(args.seed)
    chosen = draw.choice(len(images), args.max_images, replace=False)
    return [images[index] for index in sorted(chosen)]


def teacher_config(args: argparse.Namespace) -> tuple[dict[str, Any], Normalisation]:
    """Return FrozenTeacher's ``backbone`` and how images are normalised."""
    if args.library is not None:
        pretrained = args.checkpoint is None
        return library_config(args.library, pretrained), Normalisation()
    if args.config is None:
        backbone = dict(
            type='VisionTransformer',
            arch=args.arch,
            img_size=args.img_size,
            patch_size=args.patch_size,
        )
        return backbone, Normalisation()
    cfg = read_config(args.config)
    if 'backbone' not in cfg.get('model', {}):
        raise ValueError(f'{args.config} has no model.backbone')
    return as_teacher(cfg.model.backbone.to_dict()), normalisation_of(cfg)


def as_teacher(backbone: dict[str, Any]) -> dict[str, Any]:
    """Turn an MAE encoder, which masks, into the ViT that it is; keep other ViTs."""
    backbone = {key: value for key, value in backbone.items() if key != '_scope_'}
    kind = MODELS.get(backbone['type'])
    if kind is None:
        raise ValueError(f'there is no backbone {backbone["type"]!r}')
    if not issubclass(kind, MAEViT):
        return backbone
    known = set(inspect.signature(VisionTransformer).parameters) - {'out_type'}
    own = {key: value for key, value in backbone.items() if key in known}
    return dict(type='VisionTransformer', **own)


def batches(items: list[T], args: argparse.Namespace) -> Iterator[list[T]]:
    """Yield a batch at a time, with a progress line."""
    starts = range(0, len(items), args.batch_size)
    for start in report_progress(starts, len(starts), 'attention selection'):
        yield items[start : start + args.batch_size]


def measure(
    args: argparse.Namespace, vit: nn.Module, normalisation: Normalisation
) -> SelectionReport:
    """Compare what every head attends to with what is annotated."""
    size = image_size_of(vit)
    grid = grid_of(size, patch_size_of(vit))
    maps, masks = [], []
    for batch in batches(annotated_images(args), args):
        loaded = [item.load() for item in batch]
        resizing = (size[::-1], Image.Resampling.BILINEAR)
        pixels = np.stack([np.asarray(image.resize(*resizing)) for image, _ in loaded])
        images = normalise(pixels, normalisation).to(args.device)
        maps.append(read_maps(vit, images, args.attention).cpu())
        masks += [patch_mask(mask, grid, args.coverage) for _, mask in loaded]
    foreground = torch.from_numpy(np.stack(masks))
    return SelectionReport.from_maps(
        torch.cat(maps), foreground, grid, args.ratio, args.average
    )


def measure_content(
    args: argparse.Namespace, vit: nn.Module, normalisation: Normalisation
) -> HeadContent:
    """Look at whole images and two crops of each, without annotations."""
    size = image_size_of(vit)
    maps: list[list[Tensor]] = [[], [], []]
    for batch in batches(drawn(find_images([args.images]), args), args):
        pixels = np.stack([read_image(path, size, squash=True)[0] for path in batch])
        images = normalise(pixels, normalisation).to(args.device)
        for each, shown in zip(maps, (images, *two_crops(images)), strict=True):
            each.append(read_maps(vit, shown, args.attention).cpu())
    whole, *crops = map(torch.cat, maps)
    return head_content(whole, crops, grid_of(size, patch_size_of(vit)))


def run(args: argparse.Namespace) -> str:
    """Choose; return what to print."""
    check(args)
    register_all_modules(init_default_scope=True)
    backbone, normalisation = teacher_config(args)
    scorer = FrozenTeacher(
        backbone, args.checkpoint, block=0, head=None, attention=args.attention
    )
    scorer.init_weights()
    vit = scorer.to(args.device).teacher
    if isinstance(vit, LibraryViT):  # which is refused where it does not know
        assert vit.normalisation is not None
        mean, std = (tuple(values) for values in vit.normalisation)
        normalisation = Normalisation(mean, std)
    if args.unsupervised:
        content = measure_content(args, vit, normalisation)
        choice = content.best(args.block)
        lines = [content.text(choice[0]), *config_lines(args, backbone, *choice)]
        return '\n\n'.join(lines)
    report = measure(args, vit, normalisation)
    lines = config_lines(args, backbone, *report.chosen)
    report.write(Path(args.work_dir), dict(vars(args), config=lines[0]))
    return '\n\n'.join([report.text(), *lines, f'written to {args.work_dir}'])


def config_lines(
    args: argparse.Namespace, backbone: dict[str, Any], block: int, head: int | None
) -> list[str]:
    """Return the ``scorer=dict(…)`` of a config, of a teacher and of the model itself.

    The latter only where its own attention is what was read.
    """
    choice = dict(block=block, head=head)
    teacher: dict[str, Any] = dict(type='mmattmask.FrozenTeacher', **choice)
    if args.attention != 'received':
        teacher['attention'] = args.attention
    if args.checkpoint is not None:
        teacher['checkpoint'] = args.checkpoint
    lines = [f'scorer={as_code(dict(teacher, backbone=backbone))}']
    if args.attention == 'cls' and args.library is None:
        own = dict(type='mmattmask.CachedAttention', **choice)
        lines.append(f'or, of the model itself: scorer={as_code(own)}')
    return lines


def as_code(value: Any) -> str:
    """Write a config value as configs are written, with ``dict(…)``."""
    if isinstance(value, dict):
        items = (f'{key}={as_code(item)}' for key, item in value.items())
        return f'dict({", ".join(items)})'
    return repr(value)
