"""k-NN against a few labelled images of each class (low-shot)."""

import dataclasses
import statistics
from collections.abc import Sequence

import torch
from torch import Tensor

from mmattmask.evaluation.knn import KNNResult, knn_accuracy, nearest_neighbours


@dataclasses.dataclass(frozen=True)
class FewShotResult:
    """Accuracy over several draws of the labelled images.

    Attributes:
        draws: One result per draw.
    """

    draws: tuple[KNNResult, ...]

    def mean(self, measure: str = 'top1') -> float:
        """Return the mean over the draws, in percent."""
        return statistics.fmean(getattr(draw, measure) for draw in self.draws)

    def std(self, measure: str = 'top1') -> float | None:
        """Return the sample standard deviation, or None of a single draw."""
        if len(self.draws) < 2:
            return None
        return statistics.stdev(getattr(draw, measure) for draw in self.draws)


def draw_shots(labels: Tensor, shots: int, generator: torch.Generator) -> Tensor:
    """Draw images of every class without replacement.

    The images of fewer shots are among those of more with the same random state.

    Args:
        labels: Class indices, (N,) int64.
        shots: Images of every class.
        generator: Source of randomness; the same amount is used whatever ``shots`` is.

    Returns:
        Places of the images, ascending, (classes * shots,) int64.

    Raises:
        ValueError: If a class has fewer images, or ``shots`` is not positive.
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
    shots: Sequence[int] = (1, 5, 10, 20),
    draws: int = 5,
    ks: Sequence[int] = (10, 20),
    temperature: float = 0.07,
    seed: int = 0,
) -> dict[int, dict[int, FewShotResult]]:
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
        Results by shots, then by how many vote.

    Raises:
        ValueError: If there is no draw, or a class has too few images.
    """
    if draws < 1:
        raise ValueError(f'draws must be at least 1, got {draws}')
    target = target.to(query.device)
    results = {}
    for count in shots:
        accuracy = []
        votes = sorted({min(k, count * len(labels.unique())) for k in ks})
        for draw in range(draws):
            generator = torch.Generator().manual_seed(seed + draw)
            ids = draw_shots(labels, count, generator)
            similarity, rows = nearest_neighbours(query, bank[ids], max(votes))
            neighbours = labels[ids].to(query.device)[rows]
            accuracy.append(
                knn_accuracy(similarity, neighbours, target, votes, temperature)
            )
        results[count] = {
            k: FewShotResult(tuple(draw[k] for draw in accuracy)) for k in votes
        }
    return results
