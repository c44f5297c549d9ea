"""Masks cut from a ranking, with hints: attended patches that are left visible.

Counts are whole numbers, or tensors (B, 1) or (1, 1) on the ranking's device, so that
drawn counts need not leave it.

Source: AttMask, https://arxiv.org/abs/2203.12719; gkakogeorgiou/attmask attmask.py.
"""

import torch
from torch import Tensor


def mask_first(ranking: Tensor, num_masked: int | Tensor) -> Tensor:
    """Mask the first ``num_masked`` of a ranking (B, L): (B, L) bool, True = masked.

    Example:
        Two of six patches, AttMask-High and AttMask-Low:

        >>> score = torch.tensor([[0.1, 0.9, 0.4, 0.8, 0.3, 0.2]])
        >>> mask_first(rank_by_score(score), 2).int()
        tensor([[0, 1, 0, 1, 0, 0]], dtype=torch.int32)
        >>> mask_first(rank_by_score(score, lowest_first=True), 2).int()
        tensor([[1, 0, 0, 0, 0, 1]], dtype=torch.int32)
    """
    first = torch.arange(ranking.shape[1], device=ranking.device) < num_masked
    mask = torch.empty_like(ranking, dtype=torch.bool)
    return mask.scatter_(1, ranking, first.expand_as(ranking))


def reveal_hints(
    mask: Tensor,
    ranking: Tensor,
    num_pool: int | Tensor,
    num_hints: int | Tensor,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Leave ``num_hints`` of the ``num_pool`` patches visible that are ranked first.

    Hints are drawn uniformly and without replacement: the smallest of the uniform
    ``noise`` (B, L), which is ``generator``'s. A ranking (B, L) has the most attended
    patch first.

    Example:
        Four of six patches would be masked; one of the three most attended becomes a
        hint, here patch 3:

        >>> score = torch.tensor([[0.1, 0.9, 0.4, 0.8, 0.3, 0.2]])
        >>> ranking = rank_by_score(score)
        >>> mask = mask_first(ranking, 4)
        >>> mask.int()
        tensor([[0, 1, 1, 1, 1, 0]], dtype=torch.int32)
        >>> noise = torch.tensor([[0.0, 0.9, 0.5, 0.2, 0.1, 0.3]])
        >>> reveal_hints(mask, ranking, 3, 1, noise=noise).int()
        tensor([[0, 1, 1, 0, 1, 0]], dtype=torch.int32)
    """
    if noise is None:
        noise = torch.rand(mask.shape, generator=generator, device=mask.device)
    pool = mask_first(ranking, num_pool)
    drawn = noise.masked_fill(~pool, 2.0).argsort(dim=1)
    return mask & ~(pool & mask_first(drawn, num_hints))


def mask_some_images(
    mask: Tensor,
    mask_prob: float,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Keep the masks (B, L) of images with probability ``mask_prob``, drop the others'.

    ``noise`` (B,) is uniform, instead of ``generator``; large ones lose the mask.
    """
    if noise is None:
        noise = torch.rand(len(mask), generator=generator, device=mask.device)
    return mask & (noise <= mask_prob).unsqueeze(1)
