"""Ratios that are drawn anew: from a range, or from one of several ranges."""

from collections.abc import Sequence

import torch
from torch import Tensor

Range = tuple[float, float]


def as_range(ratio: float | Sequence[float], name: str) -> Range:
    """Return (lowest, highest) of a ratio in [0, 1] or of a range of them.

    Raises:
        ValueError: If it is neither; ``name`` is what it is called then.
    """
    ends = tuple(ratio) if isinstance(ratio, Sequence) else (ratio, ratio)
    if len(ends) != 2 or not 0 <= ends[0] <= ends[1] <= 1:
        raise ValueError(
            f'{name} must be a ratio in [0, 1] or a range (low, high), got {ratio}'
        )
    return float(ends[0]), float(ends[1])


def draw_ratios(
    ranges: Sequence[Range],
    shape: tuple[int, ...],
    device: torch.device,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw ratios: one of the ranges, all equally likely, then uniformly in it.

    They are float64, so that counts are rounded as Python rounds them, and drawn on the
    device, which nothing waits for.
    """
    choice, draw = torch.rand(
        (2, *shape), dtype=torch.float64, device=device, generator=generator
    )
    drawn = [(low + (high - low) * draw).clamp_max(high) for low, high in ranges]
    ratios: Tensor = drawn[0]
    for index, other in enumerate(drawn[1:], 1):
        ratios = torch.where(choice * len(ranges) < index, ratios, other)
    return ratios
