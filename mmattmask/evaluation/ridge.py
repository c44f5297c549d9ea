"""Ridge classification of frozen features: a linear probe in closed form."""

import torch
import torch.nn.functional as F
from torch import Tensor

HELD_OUT = 10  # one training image in so many chooses penalty or learning rate
PENALTIES = tuple(10.0**power for power in range(-5, 2))


def ridge_accuracy(
    features: Tensor, labels: Tensor, query: Tensor, target: Tensor
) -> float:
    """Return the top-1 in percent of ridge regression onto one-hot classes.

    The penalty is chosen on every tenth training image; the classifier then learns from
    all of them. The test images, (M, D) and (M,), choose nothing. ValueError for fewer
    than two training images or no test image.
    """
    if len(labels) < 2 or len(target) == 0:
        raise ValueError(
            f'ridge needs 2 training images and 1 test image, got {len(labels)} and '
            f'{len(target)}'
        )
    held = held_out(labels)
    tried = _hits(
        (features[~held], labels[~held]), (features[held], labels[held]), PENALTIES
    )
    best = PENALTIES[int(tried.argmax())]
    (hits,) = _hits((features, labels), (query, target), (best,))
    return 100 * float(hits) / len(target)


def held_out(labels: Tensor) -> Tensor:
    """Choose every tenth image, (N,) bool.

    Of each class, where classes come round: else one may be all that is chosen.
    """
    held = torch.zeros(len(labels), dtype=torch.bool)
    held[::HELD_OUT] = True
    counts = torch.bincount(labels)
    chosen = torch.bincount(labels[held], minlength=len(counts))
    if ((chosen == 0) & (counts >= HELD_OUT)).any():
        held[:] = False
        held[labels.argsort(stable=True)[::HELD_OUT]] = True
    return held


def _hits(
    train: tuple[Tensor, Tensor], test: tuple[Tensor, Tensor], penalties: tuple
) -> Tensor:
    """Return the number of right answers of each penalty, (penalties,).

    A penalty of 1 is as large as the variance of one standardised feature.
    """
    features, labels = train[0].double(), train[1]
    mean, std = features.mean(dim=0), features.std(dim=0).clamp_min(1e-6)
    features, query = (features - mean) / std, (test[0].double() - mean) / std
    onehot = F.one_hot(labels, int(labels.max()) + 1).double()
    share = onehot.mean(dim=0)
    # One eigendecomposition serves all penalties.
    values, vectors = torch.linalg.eigh(features.T @ features / len(labels))
    values = values.clamp_min(0)
    projected = vectors.T @ (features.T @ (onehot - share) / len(labels))
    query = query @ vectors
    return torch.stack(
        [
            ((query / (values + penalty)) @ projected + share).argmax(1).eq(test[1])
            for penalty in penalties
        ]
    ).sum(dim=1)
