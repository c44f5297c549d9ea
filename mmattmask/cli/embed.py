"""Write the features of a folder of images to one file."""

import argparse
import json
from pathlib import Path
from typing import Any

from mmengine.dist import get_rank
from safetensors.torch import save_file

from mmattmask.cli.frozen import Evaluation, add_features, add_network_arguments
from mmattmask.datasets.foreground import IMAGE_SUFFIXES
from mmattmask.evaluation.eval_data import labelled_images
from mmattmask.evaluation.extraction import extract_features
from mmattmask.evaluation.features import knn_kind
from mmattmask.files import whole_file
from mmattmask.scorers.map_writer import ENTRY_BYTES, MAX_HEADER_BYTES

DESCRIPTION = """Write frozen features of a folder of images, with subfolders, to a
.safetensors file: (N, D) of each kind, and the images' names, JSON, in its metadata."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask embed``."""
    add_network_arguments(parser)
    parser.add_argument('--images', required=True, metavar='DIR', help='the folder')
    parser.add_argument('--out', required=True, metavar='FILE', help='.safetensors')
    add_features(parser)


def run(args: argparse.Namespace) -> str:
    """Make the features; return what to print, nothing on other ranks."""
    if Path(args.out).suffix != '.safetensors':
        raise ValueError(f'--out must end in .safetensors, got {args.out}')
    evaluation = Evaluation(args)
    model = evaluation.model(args.features or [knn_kind(evaluation.backbone)])
    folder: dict[str, Any] = dict(
        type='mmpretrain.CustomDataset',
        data_root=args.images,
        with_label=False,
        extensions=IMAGE_SUFFIXES,
    )
    images = labelled_images(
        folder, evaluation.view, evaluation.size, evaluation.steps, need_labels=False
    )
    paths = [images.images.info(index)[1]['img_path'] for index in range(len(images))]
    names = json.dumps([str(Path(path).relative_to(args.images)) for path in paths])
    size = len(json.dumps(names)) + ENTRY_BYTES * (1 + len(model.kinds))
    if size > MAX_HEADER_BYTES:
        raise ValueError(
            f'the names of {len(paths)} images are too many for a .safetensors file, '
            f'{size} bytes of {MAX_HEADER_BYTES}: embed the subfolders one by one'
        )
    features, _ = extract_features(
        model, images, Path(args.images).name, args.batch_size, args.num_workers
    )
    if get_rank() != 0:
        return ''
    rows = {str(kind): value.contiguous() for kind, value in features.items()}
    with whole_file(args.out) as temporary:
        save_file(rows, temporary, metadata={'names': names})
    shapes = ', '.join(f'{kind} {tuple(value.shape)}' for kind, value in rows.items())
    return f'{shapes} of {args.images}; {evaluation.matched}\nwritten to {args.out}'
