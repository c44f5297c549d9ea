"""From a score to a ranking: patch ids in the order in which they are drawn."""

import torch
from torch import Tensor

from mmattmask.masking.attention import at_least_float32


def rank_random(score: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Rank at random, (B, L) int64; only shape and device of ``score`` count."""
    noise = torch.rand(score.shape, generator=generator, device=score.device)
    return noise.argsort(dim=1)


def rank_by_score(
    score: Tensor,
    generator: torch.Generator | None = None,
    lowest_first: bool = False,
    noise: Tensor | None = None,
) -> Tensor:
    """Rank by score, (B, L) to (B, L) int64, with ties in random order.

    Ties in raster order would always begin in the top left corner: a constant score,
    "nothing is known", gives a uniform random ranking. ``noise`` are uniform draws
    (B, L), instead of ``generator``.
    """
    if score.dtype == torch.bool:  # which GPUs do not sort
        score = score.to(torch.uint8)
    shuffled = rank_random(score, generator) if noise is None else noise.argsort(dim=1)
    order = score.gather(1, shuffled).argsort(
        dim=1, descending=not lowest_first, stable=True
    )
    return shuffled.gather(1, order)


def rank_sampled(
    score: Tensor,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Draw all patches without replacement, with probabilities given by the score.

    Gumbel top-k on the log-score (B, L), not negative: the k-th drawn patch follows the
    law of ``torch.multinomial(score, L)``, in one batched sort that waits for no
    device. Zeros are drawn after all others; a constant map gives a uniform ranking.
    ``noise`` are Exponential(1) draws, (B, L), instead of ``generator``.

    Raises:
        ValueError: If ``noise`` and ``score`` differ in shape.

    Source: AMT, Eq. 6; Kool et al. 2019, https://arxiv.org/abs/1903.06059.
    """
    score = at_least_float32(score)
    tiny = torch.finfo(score.dtype).tiny
    if noise is None:
        noise = torch.empty_like(score).exponential_(generator=generator)
    elif noise.shape != score.shape:
        raise ValueError(
            f'noise {tuple(noise.shape)} and score {tuple(score.shape)} differ in shape'
        )
    # what is below the smallest normal number counts as zero, so faint maps are lifted
    faint = score.amax(dim=1, keepdim=True) < tiny * 2.0**24
    score = score * (faint * 2.0**100).clamp_min(1)
    # Differs from AMT: torch.multinomial raises on a map that is zero everywhere.
    log_score = score.clamp_min(tiny).log()
    return (log_score - noise.clamp_min(tiny).log()).argsort(dim=1, descending=True)


def shuffle_soft_to_hard(
    score: Tensor,
    num_masked: int,
    num_soft: int,
    num_hard: int,
    exclusive: bool = False,
    generator: torch.Generator | None = None,
    noise: Tensor | None = None,
    soft_ranking: Tensor | None = None,
) -> Tensor:
    """Order patches as [visible | masked]: some for their score, some drawn by it.

    Of ``num_masked`` patches, ``num_hard`` are those of the highest score (B, L), not
    negative; ``num_soft``, cut to what is left, are drawn with probabilities given by
    it; the rest is random. ``exclusive`` draws the soft ones among patches that are not
    hard. Else, as released, a patch can be both and a random one is masked instead.
    ``noise``, uniform, and ``soft_ranking`` are (B, L) instead of ``generator``.

    Raises:
        ValueError: If ``num_hard`` is larger than ``num_masked`` or a count negative.

    Source: GPA, Eq. 6-7; Lrbomchz/MM2024_GPA models_GPA.py.
    """
    if not 0 <= num_hard <= num_masked or num_soft < 0:
        raise ValueError(
            f'num_hard ({num_hard}) must be in 0..num_masked ({num_masked}) and '
            f'num_soft ({num_soft}) at least 0'
        )
    num_soft = min(num_soft, num_masked - num_hard)
    if noise is None:
        noise = torch.rand(score.shape, generator=generator, device=score.device)
    hard = rank_by_score(score, noise=noise)[:, :num_hard]
    priority = noise.clone()
    if num_soft:
        if soft_ranking is None:
            drawable = at_least_float32(score)  # -1 is True, or no byte
            drawable = drawable.scatter(1, hard, -1.0) if exclusive else score
            soft_ranking = rank_sampled(drawable, generator)
        priority.scatter_(1, soft_ranking[:, :num_soft], 2.0)
    priority.scatter_(1, hard, 3.0)
    return priority.argsort(dim=1)
