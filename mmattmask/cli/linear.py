"""Linear probe of a checkpoint's frozen features, with one learning rate or a sweep."""

import argparse
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from mmengine.dist import get_rank

from mmattmask.cli.frozen import Evaluation, add_frozen_arguments
from mmattmask.evaluation.eval_data import random_view
from mmattmask.evaluation.extraction import extract_features, identity
from mmattmask.evaluation.features import KINDS, linear_kind
from mmattmask.evaluation.linear import SWEEP
from mmattmask.evaluation.linear_probe import (
    LinearProbe,
    ProbeHistory,
    ProbeSettings,
    fixed_features,
    fresh_features,
)

DESCRIPTION = 'Linear classification of frozen features, as iBOT and DINO do.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask linear``."""
    add_frozen_arguments(parser)
    parser.add_argument(
        '--features',
        choices=KINDS,
        help='if not given last4 below the width of ViT-B, cls_mean from there on, and '
        'mean without a CLS token',
    )
    parser.add_argument(
        '--lr',
        type=float,
        nargs='+',
        help='for a batch of 256; grows with the batch; if not given the sweep of 45 '
        'from 1e-4 to 9, all trained at once',
    )
    parser.add_argument('--epochs', type=int, default=100, help='of training')
    parser.add_argument('--batch-size', type=int, default=1024, help='of all processes')
    parser.add_argument('--seed', type=int, default=0, help='of order and crops')
    parser.add_argument(
        '--cached-features',
        action='store_true',
        help='make the features once, without augmentation: minutes instead of hours, '
        'and a lower accuracy',
    )


def run(args: argparse.Namespace) -> str:
    """Train, test after every epoch; return what to print, nothing on other ranks."""
    lrs = tuple(args.lr or SWEEP)
    settings = ProbeSettings(lrs, args.epochs, args.batch_size, args.seed)
    evaluation = Evaluation(args)
    train, val = evaluation.labelled(
        evaluation.view if args.cached_features else random_view(evaluation.size)
    )
    kind = args.features or linear_kind(evaluation.backbone)
    model = evaluation.model([kind])
    loading = (128, args.num_workers, evaluation.cache)
    asked, target = extract_features(model, val, 'val', *loading)
    if args.cached_features:
        features, labels = extract_features(model, train, 'train', *loading)
        batches = fixed_features(features[kind], labels, args.device)
    else:
        batches = fresh_features(model, train, settings.seed, args.num_workers)
    # other weights, images or settings never go on with this state
    parts = [settings, args.cached_features]
    parts += [identity(model, images, kind) for images in (train, val)]
    name = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
    probe = LinearProbe(
        settings,
        asked[kind].shape[1],
        int(train.labels.max()) + 1,
        evaluation.work_dir / f'linear-{name}.pth',
        args.device,
    )
    history = probe.run(len(train), batches, asked[kind], target)
    if get_rank() != 0:
        return ''
    return report(evaluation, settings, kind, history, len(train), len(target))


def report(
    evaluation: Evaluation,
    settings: ProbeSettings,
    kind: str,
    history: ProbeHistory,
    num_train: int,
    num_val: int,
) -> str:
    """Write table and numbers; return what to print."""
    records = choices(history, settings.lrs)
    table = [
        {
            'chosen by': record['chosen_by'],
            'features': kind,
            'lr': f'{record["lr"]:g}',
            'epoch': f'{record["epoch"]}/{settings.epochs}',
            'top-1': f'{record["top1"]:.2f}',
            'top-5': f'{record["top5"]:.2f}',
        }
        for record in records
    ]
    views = (
        'one view each' if evaluation.args.cached_features else 'random crops and flips'
    )
    text = (
        f'Linear probe of {evaluation.args.checkpoint}: {num_train} training images '
        f'({views}), {num_val} validation images, batch {settings.batch_size} '
        f'(lr x {settings.batch_size / 256:g}), accuracy in %; {evaluation.matched}\n\n'
        f'{pd.DataFrame(table).to_markdown(index=False, disable_numparse=True)}\n'
    )
    loss = history.loss.tolist()
    content = dict(
        features=kind,
        results=records,
        lrs=settings.lrs,
        top1=history.accuracy[..., 0].tolist(),
        # JSON has no NaN: the loss of an lr that diverged
        loss=[[x if math.isfinite(x) else None for x in epoch] for epoch in loss],
    )
    return evaluation.report('linear', text, content)


def choices(history: ProbeHistory, lrs: Sequence[float]) -> list[dict[str, Any]]:
    """Return the best result of all epochs and that of the last epoch.

    The first is the official protocol's, which chooses on the images it reports. Each
    record says what it was chosen from.
    """
    last = len(history.accuracy) - 1
    final = int(history.accuracy[last, :, 0].argmax())
    where = 'on the validation set'
    names = [f'best epoch {where}', 'last epoch']
    if len(lrs) > 1:
        many = f'best of {len(lrs)} lrs'
        names = [f'{many} and best epoch {where}', f'{many} {where}, last epoch']
    records = []
    for name, place in zip(names, (history.best(), (last, final)), strict=True):
        epoch, classifier = place
        top1, top5 = history.accuracy[place].tolist()
        record = dict(chosen_by=name, lr=lrs[classifier], epoch=epoch + 1)
        records.append(dict(record, top1=top1, top5=top5))
    return records
