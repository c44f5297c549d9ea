"""From queries and keys to how much each patch is attended."""

from typing import Literal

import torch
from torch import Tensor

HeadReduction = Literal['mean_minmax', 'minmax_mean', 'mean']
HEAD_REDUCTIONS: tuple[HeadReduction, ...] = ('mean_minmax', 'minmax_mean', 'mean')


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in its own float type, or in float32 if that is narrower."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def cls_attention(
    query: Tensor,
    key: Tensor,
    num_prefix_tokens: int = 1,
    scale: float | None = None,
) -> Tensor:
    """Compute the CLS token's attention to the patches of one layer.

    Only the CLS row is computed, so the cost is O(N) and the attention matrix
    never exists; fused attention in the model itself stays untouched.

    Args:
        query: Queries of all tokens or of the CLS token alone, (B, H, N or 1, D);
            the CLS token comes first.
        key: Keys of all tokens, (B, H, N, D), prefix tokens first.
        num_prefix_tokens: CLS and other tokens that are not patches. Their columns
            take part in the softmax and are then dropped, so a row sums to less
            than 1.
        scale: Factor on the logits. Defaults to ``D ** -0.5``.

    Returns:
        Attention after softmax, (B, H, N - num_prefix_tokens), in [0, 1], float32
        (float64 for float64 input).

    Raises:
        ValueError: If the shapes do not fit or no patch is left.

    Source: AMT, Eq. 4, https://arxiv.org/abs/2211.15362; layer and row as in
    AttMask, https://arxiv.org/abs/2203.12719.
    """
    if query.ndim != 4 or key.ndim != 4 or query.shape[:2] != key.shape[:2]:
        raise ValueError(
            'query and key must be (B, H, N, D) with equal B and H, got '
            f'{tuple(query.shape)} and {tuple(key.shape)}'
        )
    if not 1 <= num_prefix_tokens < key.shape[2]:
        raise ValueError(
            f'num_prefix_tokens ({num_prefix_tokens}) must be at least 1 (the CLS '
            f'token) and less than the number of tokens ({key.shape[2]})'
        )
    if scale is None:
        scale = float(key.shape[-1]) ** -0.5
    query_cls = at_least_float32(query[:, :, :1]) * scale
    logits = query_cls @ at_least_float32(key).transpose(-2, -1)
    return logits.softmax(dim=-1)[:, :, 0, num_prefix_tokens:]


def min_max(x: Tensor) -> Tensor:
    """Scale the last dimension to [0, 1]; a constant row becomes zeros."""
    low = x.amin(dim=-1, keepdim=True)
    span = x.amax(dim=-1, keepdim=True) - low
    return (x - low) / span.clamp_min(torch.finfo(x.dtype).tiny)


def reduce_heads(attention: Tensor, mode: HeadReduction = 'mean_minmax') -> Tensor:
    """Reduce per-head attention to one score per patch.

    Args:
        attention: Attention after softmax, (B, H, L).
        mode: ``'mean_minmax'`` averages the heads, then scales each image to [0, 1]
            (the paper's order); ``'minmax_mean'`` scales each head to [0, 1], then
            averages (the released code's order); ``'mean'`` only averages.

    Returns:
        Score, (B, L); large = attended; in [0, 1].

    Raises:
        ValueError: If ``mode`` is unknown or ``attention`` is not (B, H, L).

    Source: AMT, Eq. 5 and the text below it; guijiejie/AMT mae-AMT/util/misc.py.
    """
    if attention.ndim != 3:
        raise ValueError(f'attention must be (B, H, L), got {tuple(attention.shape)}')
    attention = at_least_float32(attention)
    if mode == 'mean_minmax':
        return min_max(attention.mean(dim=1))
    if mode == 'minmax_mean':
        # Differs from AMT: a head that attends everywhere equally counts as zero
        # instead of turning the map into NaN.
        return min_max(attention).mean(dim=1)
    if mode == 'mean':
        return attention.mean(dim=1)
    raise ValueError(f'mode must be one of {HEAD_REDUCTIONS}, got {mode!r}')
