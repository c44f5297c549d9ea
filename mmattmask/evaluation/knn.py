"""Weighted k-nearest-neighbour classification of frozen features.

Every query is given the classes of its nearest neighbours in a bank of labelled
features; a neighbour with cosine similarity s votes exp(s / temperature).

Source: bytedance/ibot and gkakogeorgiou/attmask, evaluation/eval_knn.py (from DINO).
"""

import dataclasses
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_QUERIES = 1024
CHUNK_BANK = 16384
TOP = 5


@dataclasses.dataclass(frozen=True)
class KNNResult:
    """Percent of queries whose class got the largest vote, or one of the five largest.

    A class without a vote never is among the five.
    """

    top1: float
    top5: float


def nearest_neighbours(query: Tensor, bank: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the most similar rows of a bank, in chunks that bound the memory.

    Args:
        query: Features, (Q, C), any float type, any scale.
        bank: Features, (N, C). It may stay on the CPU: chunks of it are moved to the
            device of ``query``.
        k: Neighbours per query. More than N means N.

    Returns:
        Cosine similarity, (Q, min(k, N)) float32, largest first, and the rows of the
        bank, (Q, min(k, N)) int64, on the device of ``query``.

    Raises:
        ValueError: If ``k`` is not positive, the bank is empty or the widths differ.
    """
    if k < 1 or len(bank) == 0:
        raise ValueError(f'k ({k}) and the bank ({len(bank)} rows) must be at least 1')
    if query.ndim != 2 or bank.ndim != 2 or query.shape[1] != bank.shape[1]:
        raise ValueError(
            'query and bank must be (Q, C) and (N, C), got '
            f'{tuple(query.shape)} and {tuple(bank.shape)}'
        )
    k = min(k, len(bank))
    query = F.normalize(query.float(), dim=1)
    best = query.new_full((len(query), k), -torch.inf)
    best_rows = torch.zeros_like(best, dtype=torch.int64)
    first = 0
    for part in bank.split(CHUNK_BANK):
        part = F.normalize(part.to(query.device, torch.float32), dim=1)
        for start in range(0, len(query), CHUNK_QUERIES):
            chunk = slice(start, start + CHUNK_QUERIES)
            similarity, rows = (query[chunk] @ part.T).topk(min(k, len(part)), dim=1)
            similarity = torch.cat([best[chunk], similarity], dim=1)
            rows = torch.cat([best_rows[chunk], rows + first], dim=1)
            best[chunk], places = similarity.topk(k, dim=1)
            best_rows[chunk] = rows.gather(1, places)
        first += len(part)
    return best, best_rows


def vote(
    similarity: Tensor, labels: Tensor, num_classes: int, temperature: float = 0.07
) -> Tensor:
    """Return each class's share of the neighbours' votes, (Q, num_classes).

    Args:
        similarity: Cosine similarity of the neighbours, (Q, k).
        labels: Their class indices, (Q, k) int64.
        num_classes: C.
        temperature: The smaller, the more the nearest count.

    Raises:
        ValueError: If ``temperature`` is not positive.
    """
    if temperature <= 0:
        raise ValueError(f'temperature must be positive, got {temperature}')
    # The shares of exp(s / temperature), without its overflow at low temperatures.
    votes = (similarity / temperature).softmax(dim=1)
    shares = votes.new_zeros(len(votes), num_classes)
    return shares.scatter_add_(1, labels, votes)


def knn_accuracy(
    similarity: Tensor,
    labels: Tensor,
    target: Tensor,
    ks: Sequence[int] = (10, 20),
    temperature: float = 0.07,
) -> dict[int, KNNResult]:
    """Classify queries by their neighbours and compare with their classes.

    Args:
        similarity: Cosine similarity of the neighbours, nearest first, (Q, max k).
        labels: Their class indices, (Q, max k) int64.
        target: The classes of the queries, (Q,) int64.
        ks: How many neighbours vote; more than there are means all.
        temperature: See :func:`vote`.

    Raises:
        ValueError: If there is no query, a label is negative or a k is not positive.
    """
    if len(target) == 0 or min(ks) < 1:
        raise ValueError(
            f'{len(target)} queries and k in {tuple(ks)}: both must be at least 1'
        )
    lowest = min(int(labels.min()), int(target.min()))
    if lowest < 0:
        raise ValueError(f'class indices must not be negative, got {lowest}')
    num_classes = max(int(labels.max()), int(target.max())) + 1
    results = {}
    for k in ks:
        hits = torch.zeros(2, dtype=torch.int64, device=similarity.device)
        for start in range(0, len(target), CHUNK_QUERIES):
            part = slice(start, start + CHUNK_QUERIES)
            shares = vote(
                similarity[part, :k], labels[part, :k], num_classes, temperature
            )
            own = shares.gather(1, target[part, None])
            better = (shares > own).sum(dim=1)
            voted = own[:, 0] > 0
            first = shares.argmax(dim=1) == target[part]
            hits += torch.stack([first.sum(), (voted & (better < TOP)).sum()])
        top1, top5 = (100 * hits / len(target)).tolist()
        results[k] = KNNResult(top1, top5)
    return results


def draw_shots(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Draw images of every class without replacement: their places, ascending.

    The images of fewer shots are among those of more with the same random state.
    ValueError if a class has fewer.
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
        draws: How often to draw; ValueError below 1.
        ks: How many neighbours vote; at most all that are drawn.
        temperature: See :func:`vote`.
        seed: Draw ``i`` uses ``seed + i``, for every number of shots.

    Returns:
        The result of every draw, by shots and then by how many vote.
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
