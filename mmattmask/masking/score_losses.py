"""Losses by a score, and of predicting it: its value, or only its order."""

import torch.nn.functional as F
from torch import Tensor

from mmattmask.masking.attention import at_least_float32


def z_score(score: Tensor, eps: float = 1e-6) -> Tensor:
    """Shift and scale the scores of each image, (B, N), to mean 0 and variance 1.

    A constant score becomes 0. At least float32.

    Raises:
        ValueError: If an image has fewer than two scores: they have no variance.

    Source: Lrbomchz/MM2024_GPA model_GPA_learn_atten.py; HPM, absolute loss.
    """
    if score.shape[-1] < 2:
        raise ValueError(
            f'a z-score needs at least 2 patches per image, got {score.shape[-1]}'
        )
    score = at_least_float32(score)
    variance = score.var(dim=-1, keepdim=True)
    return (score - score.mean(dim=-1, keepdim=True)) * (variance + eps).rsqrt()


def relative_score(score: Tensor, eps: float = 1e-6) -> Tensor:
    """Divide the scores (B, L), not negative, by their mean: 1 on average."""
    score = at_least_float32(score) + eps
    return score / score.mean(dim=-1, keepdim=True)


def z_score_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of predictions (B, N) and z-scored targets.

    No gradient flows into the targets.
    """
    return F.mse_loss(at_least_float32(pred), z_score(target.detach()))


def relative_order_loss(pred: Tensor, target: Tensor) -> Tensor:
    """Ask for every pair of an image's patches which of the two scores higher.

    Binary cross-entropy on the difference of two predictions (B, N), averaged over the
    pairs whose targets (B, N) differ; 0 if none do. Needs B * N * N values.

    Source: HPM, Eq. 6; Haochen-Wang409/HPM models_mae_learn_loss.py.
    """
    # Differs from HPM: no 1e-6 inside the logarithm, so that it is safe in float16.
    # The two orders of a pair give the same value, so one of them is enough.
    pred = at_least_float32(pred)
    higher = (target.unsqueeze(2) > target.unsqueeze(1)).to(pred.dtype)
    losses = F.softplus(pred.unsqueeze(1) - pred.unsqueeze(2))
    return (losses * higher).sum() / higher.sum().clamp_min(1)
