"""k-NN and few-shot accuracy of a checkpoint's frozen features."""

import argparse
import statistics
from dataclasses import asdict
from typing import Any

import pandas as pd
from mmengine.dist import get_rank
from torch import Tensor

from mmattmask.cli.frozen import Evaluation, add_features, add_frozen_arguments
from mmattmask.evaluation.extraction import extract_features
from mmattmask.evaluation.features import knn_kind
from mmattmask.evaluation.knn import (
    KNNResult,
    few_shot_accuracy,
    knn_accuracy,
    nearest_neighbours,
)

DESCRIPTION = """k-NN accuracy of frozen features, against all training images and
against a few of each class."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``mmattmask knn``."""
    add_frozen_arguments(parser)
    add_features(parser)
    parser.add_argument(
        '--k', type=int, nargs='+', default=[10, 20, 100, 200], help='neighbours'
    )
    parser.add_argument('--temperature', type=float, default=0.07, help='of the votes')
    parser.add_argument(
        '--shots',
        type=int,
        nargs='+',
        default=[],
        metavar='N',
        help='also few-shot: N random training images per class, such as 1 5 10 20',
    )
    parser.add_argument('--draws', type=int, default=5, help='of the images of --shots')
    parser.add_argument('--seed', type=int, default=0, help='of the first draw')


def run(args: argparse.Namespace) -> str:
    """Measure; return what to print, nothing on other ranks."""
    evaluation = Evaluation(args)
    train, val = evaluation.labelled(evaluation.view)
    model = evaluation.model(args.features or [knn_kind(evaluation.backbone)])
    loading = (args.batch_size, args.num_workers, evaluation.cache)
    bank, labels = extract_features(model, train, 'train', *loading)
    query, target = extract_features(model, val, 'val', *loading)
    if get_rank() != 0:
        return ''
    rows, results = [], []
    for kind in model.kinds:
        for record in classify(args, query[kind], target, bank[kind], labels):
            results.append(dict(features=kind, **record))
            rows.append(table_row(kind, record))
    text = (
        f'k-NN of {args.checkpoint}: {len(target)} images against {len(labels)}, '
        f'temperature {args.temperature:g}, accuracy in %; {evaluation.matched}\n\n'
        f'{pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)}\n'
    )
    return evaluation.report('knn', text, dict(results=results))


def classify(
    args: argparse.Namespace,
    query: Tensor,
    target: Tensor,
    bank: Tensor,
    labels: Tensor,
) -> list[dict[str, Any]]:
    """Return one record per number of shots (None: all images) and k."""
    query, target = query.to(args.device), target.to(args.device)
    similarity, rows = nearest_neighbours(query, bank, max(args.k))
    neighbours = labels.to(args.device)[rows]
    votes = (args.k, args.temperature)
    full = knn_accuracy(similarity, neighbours, target, *votes)
    few = few_shot_accuracy(
        query, target, bank, labels, args.shots, args.draws, *votes, args.seed
    )
    records = [dict(shots=None, k=k, **asdict(result)) for k, result in full.items()]
    for shots, by_k in few.items():
        records += [few_shot_record(shots, k, draws) for k, draws in by_k.items()]
    return records


def few_shot_record(shots: int, k: int, draws: list[KNNResult]) -> dict[str, Any]:
    """Return means, sample standard deviations (None of one draw) and all draws."""
    record: dict[str, Any] = dict(shots=shots, k=k)
    for measure in ('top1', 'top5'):
        values = [getattr(draw, measure) for draw in draws]
        record[measure] = statistics.fmean(values)
        std = statistics.stdev(values) if len(values) > 1 else None
        record[f'{measure}_std'] = std
    record['draws'] = [asdict(draw) for draw in draws]
    return record


def table_row(kind: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return the cells of one record."""
    images = 'all'
    if record['shots'] is not None:
        images = f'{record["shots"]} per class, {len(record["draws"])} draws'
    row = {'features': kind, 'training images': images, 'k': record['k']}
    for measure, name in dict(top1='top-1', top5='top-5').items():
        std = record.get(f'{measure}_std')
        spread = '' if std is None else f' ± {std:.2f}'
        row[name] = f'{record[measure]:.2f}{spread}'
    return row
