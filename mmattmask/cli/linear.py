"""Linear probe of a checkpoint's frozen features, with one learning rate or a sweep."""

import argparse
import hashlib
import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from mmengine.dist import get_rank
from torch import Tensor

from mmattmask.cli.frozen import Evaluation, add_frozen_arguments, evaluation
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
    """Measure; return what to print, nothing on other ranks."""
    lrs = tuple(args.lr or SWEEP)
    settings = ProbeSettings(lrs, args.epochs, args.batch_size, args.seed)
    return measure(evaluation(args), settings)


def measure(run: Evaluation, settings: ProbeSettings) -> str:
    """Train, test after every epoch, and write the report."""
    args = run.args
    kind = args.features or linear_kind(run.backbone)
    model = run.model([kind])
    train = run.checked(
        run.train(run.view if args.cached_features else random_view(run.size))
    )
    how = (128, args.num_workers, run.cache)
    val, target = extract_features(model, run.val, 'val', *how)
    if args.cached_features:
        features, labels = extract_features(model, train, 'train', *how)
        batches = fixed_features(features[kind], labels, args.device)
    else:
        batches = fresh_features(model, train, settings.seed, args.num_workers)
    # other weights, images or settings never go on with this state
    parts = [settings, args.cached_features]
    parts += [identity(model, images, kind) for images in (train, run.val)]
    name = hashlib.blake2b(repr(parts).encode(), digest_size=8).hexdigest()
    probe = LinearProbe.build(
        settings,
        val[kind].shape[1],
        int(train.labels.max()) + 1,
        run.work_dir / f'linear-{name}.pth',
        args.device,
    )
    history = probe.run(len(train), batches, val[kind], target)
    if get_rank() != 0:
        return ''
    return report(run, settings, kind, history, len(train), target)


def report(
    run: Evaluation,
    settings: ProbeSettings,
    kind: str,
    history: ProbeHistory,
    num_images: int,
    target: Tensor,
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
    views = 'one view each' if run.args.cached_features else 'random crops and flips'
    text = (
        f'Linear probe of {run.args.checkpoint}: {num_images} training images '
        f'({views}), {len(target)} validation images, batch {settings.batch_size} '
        f'(lr x {settings.batch_size / 256:g}), accuracy in %; {run.matched}\n\n'
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
    return run.report('linear', text, content)


def choices(history: ProbeHistory, lrs: Sequence[float]) -> list[dict[str, Any]]:
    """Return the best result of all epochs and that of the last epoch.

    The first is the official protocol's, which chooses on the images it reports. Each
    record says what it was chosen from.
    """
    last = len(history.accuracy) - 1
    final = int(history.accuracy[last, :, 0].argmax())
    many = f'best of {len(lrs)} lrs' if len(lrs) > 1 else ''
    both = f'{many} and best epoch' if many else 'best epoch'
    records = []
    for chosen, (epoch, classifier) in (
        (f'{both} on the validation set', history.best()),
        (f'{many} on the validation set, last epoch', (last, final))
        if many
        else ('last epoch', (last, final)),
    ):
        top1, top5 = history.accuracy[epoch, classifier].tolist()
        record = dict(chosen_by=chosen, lr=lrs[classifier], epoch=epoch + 1)
        records.append(dict(record, top1=top1, top5=top5))
    return records
