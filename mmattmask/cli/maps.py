"""Make the maps of all images once, for UserMaps, here or on another machine."""

import argparse
import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmpretrain.models import SelfSupDataPreprocessor
from mmpretrain.registry import DATASETS
from mmpretrain.utils import register_all_modules

from mmattmask.cli.arguments import add_cfg_options, add_device, as_pair, read_config
from mmattmask.dataset_configs import base_datasets
from mmattmask.datasets.concat import bases, fingerprint
from mmattmask.datasets.foreground import IMAGE_SUFFIXES, read_saliency
from mmattmask.datasets.whole_images import WholeImages
from mmattmask.engine.image_pass import check_images, image_pass
from mmattmask.evaluation.frozen_backbone import is_config
from mmattmask.files import file_state
from mmattmask.inspection.score import guided_model
from mmattmask.models.guidance import attention_maps, guidance_of
from mmattmask.progress_report import report_progress
from mmattmask.scorers import FrozenTeacher
from mmattmask.scorers.area import area_score
from mmattmask.scorers.library_vits import library_config
from mmattmask.scorers.map_files import order_of
from mmattmask.scorers.map_writer import Batches, MapWriter
from mmattmask.scorers.self_attention import ATTENTIONS, image_size_of

DESCRIPTION = """Make the maps of all images once, as a file for UserMaps: what a ViT
attends to, or a folder of saliency or segmentation images. Run again, it goes on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask maps``."""
    parser.add_argument(
        'source',
        nargs='?',
        help="a config, whose scorer measures; timm's name of a ViT, with its tag; a "
        'folder of Hugging Face; nothing with --from-masks',
    )
    parser.add_argument('--images', metavar='DIR', help='if not given the config says')
    parser.add_argument(
        '--from-masks',
        metavar='DIR',
        help='images named as those they are for: grey values are the score, of a '
        'palette all but the first colour',
    )
    parser.add_argument('--out', required=True, help='.safetensors, or .npy')
    parser.add_argument('--checkpoint', help='weights, if the ViT does not bring them')
    vit = parser.add_argument_group("timm's and Hugging Face's ViTs")
    vit.add_argument('--block', type=int, default=-1, help='-1 is the last')
    vit.add_argument('--head', type=int, help='if not given their sum')
    vit.add_argument('--attention', choices=ATTENTIONS, default='cls')
    parser.add_argument(
        '--size', type=int, nargs='+', metavar='PX', help='if not given that of the ViT'
    )
    parser.add_argument(
        '--grid', type=int, nargs='+', default=[28], help='cells of --from-masks'
    )
    parser.add_argument('--batch-size', type=int, default=32, help='images per step')
    parser.add_argument('--num-workers', type=int, default=4, help='loader processes')
    add_device(parser)
    add_cfg_options(parser)


def run(args: argparse.Namespace) -> str:
    """Make the file; return what to print."""
    if (args.source is None) == (args.from_masks is None):
        raise ValueError('give a config or the name of a ViT, or --from-masks')
    register_all_modules(init_default_scope=True)
    writer, batches = of_masks(args) if args.from_masks else of_images(args)
    if not writer.is_complete:
        writer.write(batches)
    return (
        f'{args.out}: maps of {len(writer.names)} images\n'
        f"scorer=dict(type='mmattmask.UserMaps', path={args.out!r})"
    )


def of_masks(args: argparse.Namespace) -> tuple[MapWriter, Batches]:
    """Return the maps of a folder of masks."""
    root, grid = Path(args.from_masks), as_pair(args.grid)
    paths = [p for p in sorted(root.rglob('*')) if p.suffix.lower() in IMAGE_SUFFIXES]
    if not paths:
        raise ValueError(f'there is no image in {root}')
    names = [path.relative_to(root).with_suffix('').as_posix() for path in paths]
    if Path(args.out).suffix == '.npy':
        raise ValueError('masks are found by name: write .safetensors')
    writer = MapWriter(args.out, names, dict(masks=_hash(paths), grid=str(grid)))

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        ids = range(writer.done, len(paths))
        for index in report_progress(ids, len(ids), 'maps'):
            values = read_saliency(paths[index])
            whole = (0, 0, *values.shape)
            cells = area_score(values, whole, values.shape, (False, False), grid)
            yield np.array([index]), cells.reshape(1, *grid)

    return writer, batches()


def of_images(args: argparse.Namespace) -> tuple[MapWriter, Batches]:
    """Return what a scorer measures of images."""
    measure, model, images, made_of = (
        of_config(args) if is_config(args.source) else of_library(args)
    )
    if args.out.endswith('.npy') and args.images:
        raise ValueError(
            '.npy is in the order of the sample ids: leave --images out, or write '
            '.safetensors'
        )
    check_images(model, images)
    infos = (images.info(index)[1] for index in range(len(images)))
    paths = [info.get('img_path') or '' for info in infos]
    made_of |= dict(
        images=f'{fingerprint(images.datasets)} {_hash(paths)}',
        order=order_of(paths),
        size=str(images.input_size),
        batch_size=str(args.batch_size),
        source=args.source,
        checkpoint=_stamp(args.checkpoint),
    )
    writer = MapWriter(args.out, names_of(paths, Path(args.out)), made_of)

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        first = writer.done * args.batch_size
        ids = range(first, len(images))
        for batch in image_pass(
            model, images, args.batch_size, args.num_workers, 'maps', ids
        ):
            with torch.no_grad():
                maps = measure(batch.inputs)
            yield batch.ids.numpy(), maps.cpu().numpy()

    return writer, batches()


def of_config(args: argparse.Namespace) -> tuple[Any, Any, WholeImages, dict[str, str]]:
    """Return how a config's scorer measures, whose pixels, which images, made how."""
    cfg = read_config(args.source, args.cfg_options)
    model = guided_model(cfg, args.checkpoint).to(args.device)
    guidance = guidance_of(model)
    scorer = None if guidance is None else guidance.scorer
    if args.checkpoint is None and not isinstance(scorer, FrozenTeacher):
        raise ValueError(
            f'{type(scorer).__name__} looks with the weights of the model: give '
            '--checkpoint'
        )
    dataset = cfg.train_dataloader.dataset
    if args.images:
        dataset = folder(args.images, base_datasets(dataset)[0]['pipeline'])
    size = as_pair(args.size) if args.size else image_size_of(model.backbone)
    images = WholeImages(bases(DATASETS.build(dataset)), size)
    parts = dict(model=cfg.model, dataset=dataset)
    parts['data_preprocessor'] = cfg.get('data_preprocessor')
    made_of = {name: str(part and part.to_dict()) for name, part in parts.items()}
    if isinstance(scorer, FrozenTeacher):
        made_of['weights'] = _stamp(scorer.checkpoint)
    pixels_of = SimpleNamespace(model=model)
    return lambda x: attention_maps(model, x), pixels_of, images, made_of


def of_library(
    args: argparse.Namespace,
) -> tuple[Any, Any, WholeImages, dict[str, str]]:
    """As :func:`of_config`, of a ViT of timm or Hugging Face."""
    if not args.images:
        raise ValueError(f'{args.source} needs --images')
    backbone = library_config(args.source, pretrained=args.checkpoint is None)
    options = {name: getattr(args, name) for name in ('block', 'head', 'attention')}
    scorer = FrozenTeacher(backbone, args.checkpoint, **options)
    raw = SelfSupDataPreprocessor(mean=[0.0] * 3, std=[1.0] * 3, to_rgb=True)
    scorer.views_from(raw)
    scorer.init_weights()
    scorer.to(args.device), raw.to(args.device)
    size = as_pair(args.size) if args.size else image_size_of(scorer.teacher)
    loading = [dict(type='LoadImageFromFile')]
    images = WholeImages(bases(DATASETS.build(folder(args.images, loading))), size)
    grid = scorer.map_grid(scorer.teacher, size)

    def measure(inputs: torch.Tensor) -> torch.Tensor:
        return scorer.measure(scorer.teacher, inputs).unflatten(1, grid)

    pixels_of = SimpleNamespace(model=SimpleNamespace(data_preprocessor=raw))
    made_of = {name: str(value) for name, value in options.items()}
    made_of['weights'] = _stamp(scorer.checkpoint)
    return measure, pixels_of, images, made_of


def folder(path: str, pipeline: Any) -> Config:
    """Return the config of a dataset of all images in a folder."""
    kind = dict(type='CustomDataset', with_label=False)
    return Config(dict(kind, data_root=path, pipeline=pipeline))


def names_of(paths: Sequence[str], out: Path) -> list[str] | int:
    """Return the images' names below their common folder, or their number."""
    if out.suffix == '.npy' or not all(paths):
        return len(paths)
    root = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.splitext(os.path.relpath(path, root))[0] for path in paths]


def _stamp(path: str | None) -> str:
    """Hash the state of a file of weights, or of the files of a folder."""
    return 'none' if path is None else _hash(sorted(Path(path).glob('*')) or [path])


def _hash(paths: Iterable[str | Path]) -> str:
    """Hash the names of files and their states."""
    lines = '\n'.join(f'{path} {file_state(path)}' for path in paths)
    return hashlib.sha256(lines.encode()).hexdigest()
