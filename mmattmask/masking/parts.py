"""Masks from labels of parts: some of every part, or whole parts (SemMAE)."""

import torch
from torch import Tensor


def shuffle_by_parts(
    labels: Tensor,
    share: float,
    mix: float,
    generator: torch.Generator | None = None,
    patch_noise: Tensor | None = None,
    part_noise: Tensor | None = None,
) -> Tensor:
    """Order patches as [visible | masked], masked ones by quotas of their parts.

    Two quotas are mixed for each part of the labels (B, L), whole numbers of any kind:
    ``share`` of its patches (``mix`` 1, within parts), or all of them, part after part
    in random order, until the share of all patches is reached (``mix`` 0, whole parts).
    Quotas are rounded: the random order says who fills up or drops out.

    ``patch_noise`` and ``part_noise`` are uniform draws, (B, L), instead of
    ``generator``; of parts from the smallest label of an image to its largest.

    Source: SemMAE, https://arxiv.org/abs/2206.10207; ucasligang/SemMAE
    models_mae_setting3.py.
    """
    shape, device = labels.shape, labels.device
    if patch_noise is None:
        patch_noise = torch.rand(shape, generator=generator, device=device)
    if part_noise is None:
        part_noise = torch.rand(shape, generator=generator, device=device)
    parts = _number_parts(labels)
    counts = torch.zeros(shape, device=device)
    counts.scatter_add_(1, parts, torch.ones_like(counts))
    quotas = mix * (counts * share).round()
    quotas = (quotas + (1 - mix) * _whole_parts(counts, share, part_noise)).round()

    order = patch_noise.argsort(dim=1)
    drawn = parts.gather(1, order)
    flagged = _place_in_part(drawn, counts) < quotas.gather(1, drawn)
    return order.gather(1, flagged.int().argsort(dim=1, stable=True))


def _number_parts(labels: Tensor) -> Tensor:
    """Number the labels of an image from 0, by size, (B, L) int64."""
    ordered, places = labels.sort(dim=1)
    first = torch.zeros_like(places)
    first[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    return torch.empty_like(places).scatter_(1, places, first.cumsum(dim=1))


def _whole_parts(counts: Tensor, share: float, noise: Tensor) -> Tensor:
    """Patches to mask of each part if parts are masked one after the other, (B, L)."""
    order = noise.argsort(dim=1)
    ordered = counts.gather(1, order)
    before = ordered.cumsum(dim=1) - ordered
    left = (counts.shape[1] * share - before).trunc().clamp_min(0)
    return torch.empty_like(counts).scatter_(1, order, torch.minimum(left, ordered))


def _place_in_part(drawn: Tensor, counts: Tensor) -> Tensor:
    """Count how many patches of the same part come before each, (B, L) int64."""
    by_part = drawn.argsort(dim=1, stable=True)
    begin = (counts.cumsum(dim=1) - counts).long()
    places = torch.arange(drawn.shape[1], device=drawn.device)
    inside = places - begin.gather(1, drawn.gather(1, by_part))
    return torch.empty_like(drawn).scatter_(1, by_part, inside)
