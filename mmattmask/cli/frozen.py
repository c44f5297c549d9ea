"""What the evaluations of frozen features share: arguments, data, backbone, report."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import init_dist, is_distributed
from mmengine.logging import print_log
from mmengine.utils import to_2tuple
from mmpretrain.utils import register_all_modules

from mmattmask.cli.arguments import (
    add_amp,
    add_cfg_options,
    add_device,
    add_launcher,
    add_work_dir,
    as_pair,
    config_file,
    work_dir_of,
)
from mmattmask.datasets.foreground import IMAGE_SUFFIXES
from mmattmask.evaluation.eval_data import (
    LabelledImages,
    Transforms,
    check_same_classes,
    labelled_images,
    steps_of,
    whole_view,
)
from mmattmask.evaluation.features import KINDS, FrozenFeatures, Kind
from mmattmask.evaluation.frozen_backbone import (
    DEFAULT_SIZE,
    load_backbone,
    normalisation_of,
    read_network,
)
from mmattmask.files import write_text
from mmattmask.launching import start_cpu_processes


def add_network_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which network makes features, of images how large."""
    parser.add_argument(
        'config', help='pre-training config, or the name of a ViT such as vit-small-p16'
    )
    parser.add_argument(
        'checkpoint', help='weights: an MMEngine, MAE, iBOT, AttMask or DINO file'
    )
    parser.add_argument(
        '--key',
        help='which network of the checkpoint: teacher, student, state_dict; if not '
        "given the only one, or the teacher of iBOT's and AttMask's full files",
    )
    parser.add_argument(
        '--size',
        type=int,
        nargs='+',
        metavar='PX',
        help="side, or height and width, of the images; if not given the backbone's",
    )
    parser.add_argument(
        '--resize',
        type=int,
        metavar='PX',
        help='shorter side before the centre crop; if not given 256/224 of --size, and '
        '--size itself below 128',
    )
    parser.add_argument(
        '--num-workers', type=int, default=4, help='loader processes per process'
    )
    add_amp(parser)
    add_cfg_options(parser)
    add_device(parser)
    add_launcher(parser)


def add_frozen_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that k-NN and linear evaluation share."""
    add_network_arguments(parser)
    data = parser.add_argument_group(
        "labelled images: one of these, or the config's train_dataloader and "
        'val_dataloader'
    )
    data.add_argument('--train', help='folder with one folder per class; with --val')
    data.add_argument('--val', help='folder with the same class folders')
    data.add_argument('--imagenet', metavar='DIR', help='ImageNet-1k')
    data.add_argument('--cifar10', metavar='DIR', help='downloaded if missing')
    data.add_argument('--cifar100', metavar='DIR', help='downloaded if missing')
    data.add_argument(
        '--subset',
        type=int,
        metavar='N',
        help="the first N training images of every class (AttMask's 20 %%: 260)",
    )
    add_work_dir(parser)
    parser.add_argument(
        '--cache', help='folder of features; if not given features/ in the work dir'
    )
    parser.add_argument('--out', help='folder of the report; if not given the work dir')


def add_features(parser: argparse.ArgumentParser) -> None:
    """Add which features are made, and how many at once."""
    parser.add_argument(
        '--features',
        nargs='+',
        choices=KINDS,
        help='if not given cls, and mean without a CLS token',
    )
    parser.add_argument(
        '--batch-size', type=int, default=128, help='images per step and process'
    )


class Evaluation:
    """A frozen backbone with its weights, and the images, as the arguments say.

    ``size`` is the images' height and width in px, ``view`` the transforms of
    evaluation, ``steps`` those of training, ``matched`` a line on how many weights
    the checkpoint had.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        start_processes(args)
        register_all_modules(init_default_scope=True)
        self.args = args
        size = as_pair(args.size) if args.size else None
        config = config_file(args.config)
        self.cfg = read_network(config, args.cfg_options, size, args.checkpoint)
        backbone = self.cfg.model.backbone.to_dict()
        self.size = size or to_2tuple(backbone.get('img_size', DEFAULT_SIZE))
        self.view = whole_view(self.size, args.resize)
        self.steps = steps_of(self.cfg)
        network, self.matched = load_backbone(backbone, args.checkpoint, args.key)
        self.backbone = network.to(args.device)
        print_log(self.matched, logger='current')

    def model(self, kinds: Sequence[Kind]) -> FrozenFeatures:
        """Return the backbone as a maker of features."""
        pixels = normalisation_of(self.cfg)
        model = FrozenFeatures(self.backbone, kinds, pixels, self.args.amp)
        return model.to(self.args.device)

    def labelled(self, transforms: Transforms) -> tuple[LabelledImages, LabelledImages]:
        """Return images to learn from, under the transforms, and those to classify."""
        learnt, asked = datasets_of(self.args, self.cfg)
        size, steps, subset = self.size, self.steps, self.args.subset
        val = labelled_images(asked, self.view, size, steps)
        train = labelled_images(learnt, transforms, size, steps, subset)
        check_same_classes(train, val)
        return train, val

    @property
    def work_dir(self) -> Path:
        """Folder of all files."""
        return Path(work_dir_of(self.args))

    @property
    def cache(self) -> Path:
        """Folder of features."""
        return Path(self.args.cache or self.work_dir / 'features')

    def report(self, name: str, text: str, content: dict[str, Any]) -> str:
        """Write ``name.md`` and ``name.json``; return what to print."""
        folder = Path(self.args.out or self.work_dir)
        settings = dict(vars(self.args), weights=self.matched, size=self.size)
        write_text(folder / f'{name}.md', text)
        written = json.dumps(dict(settings=settings, **content), indent=2)
        write_text(folder / f'{name}.json', written + '\n')
        return f'{text}\nwritten to {folder}\n'


def start_processes(args: argparse.Namespace) -> None:
    """Join the processes of the launcher, with or without GPUs."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    if args.launcher == 'none' or is_distributed():
        return
    start_cpu_processes(Config(dict(launcher=args.launcher)))
    if not is_distributed():
        init_dist(args.launcher)


def datasets_of(
    args: argparse.Namespace, cfg: Config
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the configs of training and validation images, of one source."""
    flags = ('train', 'imagenet', 'cifar10', 'cifar100')
    given = [flag for flag in flags if getattr(args, flag)]
    if len(given) > 1 or bool(args.train) != bool(args.val):
        raise ValueError(
            'give --train with --val, or one of --imagenet, --cifar10, --cifar100'
        )
    if args.train:
        folder = dict(type='mmpretrain.CustomDataset', extensions=IMAGE_SUFFIXES)
        return dict(folder, data_root=args.train), dict(folder, data_root=args.val)
    if given:
        types = dict(imagenet='ImageNet', cifar10='CIFAR10', cifar100='CIFAR100')
        source = dict(type=f'mmpretrain.{types[given[0]]}')
        source['data_root'] = getattr(args, given[0])
        held_out = 'val' if args.imagenet else 'test'
        return dict(source, split='train'), dict(source, split=held_out)
    train, val = (cfg.get(f'{name}_dataloader') for name in ('train', 'val'))
    if not train or not val:
        raise ValueError(
            'there are no labelled images: give --train and --val, --imagenet, '
            '--cifar10, --cifar100, or a config with train_dataloader and '
            'val_dataloader'
        )
    return train.dataset.to_dict(), val.dataset.to_dict()
