"""k-NN against a few labelled images of each class (low-shot)."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmattmask.evaluation.knn import KNNResult, knn_accuracy, nearest_neighbours


def draw_shots(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Draw images of every class without replacement: their places, ascending.

    The images of fewer shots are among those of more with the same random state.
    """
    classes, counts = labels.unique(return_counts=True)
    if shots < 1 or shots > int(counts.min()):
        rare = int(classes[counts.argmin()])
        raise ValueError(
            f'cannot draw {shots} images per class: class {rare} has '
            f'{int(counts.min())}'
        )
    shuffled = torch.randperm(len(labels), generator=generator)
    ends = counts.cumsum(0)
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    first = (ends - counts)[:, None] + torch.arange(shots)
    return by_class[first].flatten().sort().values


def few_shot_accuracy(
    query: Tensor,
    target: Tensor,
    bank: Tensor,
    labels: Tensor,
    shots: Sequence[int],
    draws: int,
    ks: Sequence[int],
    temperature: float,
    seed: int = 0,
) -> dict[int, dict[int, list[KNNResult]]]:
    """Classify queries by a few labelled images of each class.

    Args:
        query: Features, (Q, C), on the device to work on.
        target: Their class indices, (Q,) int64.
        bank: Features to draw from, (N, C).
        labels: Their class indices, (N,) int64 on the CPU.
        shots: How many images of each class.
        draws: How often to draw.
        ks: How many neighbours vote; at most all that are drawn.
        temperature: See :func:`vote`.
        seed: Draw ``i`` uses ``seed + i``, for every number of shots.

    Returns:
        The result of every draw, by shots and then by how many vote.

    Raises:
        ValueError: If there is no draw, or a class has too few images.
    """
    if draws < 1:
        raise ValueError(f'draws must be at least 1, got {draws}')
    target = target.to(query.device)
    results: dict[int, dict[int, list[KNNResult]]] = {}
    for count in shots:
        votes = sorted({min(k, count * len(labels.unique())) for k in ks})
        results[count] = {k: [] for k in votes}
        for draw in range(draws):
            generator = torch.Generator().manual_seed(seed + draw)
            ids = draw_shots(labels, count, generator)
            similarity, rows = nearest_neighbours(query, bank[ids], max(votes))
            neighbours = labels[ids].to(query.device)[rows]
            found = knn_accuracy(similarity, neighbours, target, votes, temperature)
            for k, result in found.items():
                results[count][k].append(result)
    return results
