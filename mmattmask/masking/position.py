"""Take from scores what they have in common at each place."""

import torch
from torch import Tensor

from mmattmask.masking.attention import at_least_float32

# Added to scores of mean 1: a patch of no attention stays finite in logarithms.
FLOOR = 1e-3


def log_mean_map(score: Tensor) -> Tensor:
    """Return the mean over images of the log score, each image's mean made 1."""
    return _log_relative(score).mean(dim=0)


def without_position(score: Tensor, log_mean: Tensor | None = None) -> Tensor:
    """Divide scores (B, ...), not negative, by the geometric mean of their place.

    The mean is over this batch, or what :func:`log_mean_map` returned for many images.
    1 = as much as usual at this place. On photographs with annotated foregrounds this
    kept more of what a map knows than the arithmetic mean (docs/guides/scores.md).
    """
    relative = _log_relative(score)
    mean = relative.mean(dim=0) if log_mean is None else log_mean.to(relative)
    return torch.exp(relative - mean)


def _log_relative(score: Tensor) -> Tensor:
    score = at_least_float32(score).clamp_min(0)
    flat = score.flatten(1)
    mean = flat.mean(dim=1, keepdim=True)
    relative = torch.where(mean > 0, flat / mean.clamp_min(1e-30), 1.0)
    return torch.log(relative + FLOOR).view_as(score)
