"""From queries and keys to how much each patch is attended."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal, get_args

import torch
from torch import Tensor

from mmattmask.masking.options import check_options

HeadReduction = Literal['mean_minmax', 'minmax_mean', 'mean']
HEAD_REDUCTIONS: tuple[HeadReduction, ...] = get_args(HeadReduction)


def at_least_float32(x: Tensor) -> Tensor:
    """Return ``x`` in its own float type, or in float32 if that is narrower."""
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def full_precision(x: Tensor) -> AbstractContextManager[object]:
    """Return a context without autocast on the device of ``x``; 'meta' knows none."""
    if x.is_meta:
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


def low_precision(x: Tensor) -> AbstractContextManager[object]:
    """Return a context for scores, of which the order counts: bfloat16 on new GPUs."""
    # Differs from the papers' codes, which measure in the precision of the run.
    is_new = (
        x.is_cuda
        and torch.cuda.is_available()
        and torch.cuda.get_device_capability(x.device) >= (8, 0)
    )
    if not is_new or torch.is_autocast_enabled('cuda'):
        return nullcontext()
    return torch.autocast('cuda', torch.bfloat16)


def cls_attention(
    query: Tensor,
    key: Tensor,
    num_prefix_tokens: int = 1,
    scale: float | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Compute the CLS token's attention to the patches of one layer, in O(N).

    Args:
        query: (B, H, N or 1, D), the CLS token first.
        key: (B, H, N, D), prefix tokens first.
        num_prefix_tokens: CLS and others whose columns the softmax counts and drops.
        scale: Factor on the logits. Defaults to ``D ** -0.5``.
        bias: Added to the CLS token's logits (relative positions), (H, N).

    Returns:
        (B, H, N - num_prefix_tokens) in [0, 1], at least float32.

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
    if bias is not None:
        logits = logits + at_least_float32(bias).unsqueeze(1)
    return logits.softmax(dim=-1)[:, :, 0, num_prefix_tokens:]


def received_attention(
    query: Tensor,
    key: Tensor,
    num_prefix_tokens: int = 1,
    scale: float | None = None,
    direction: Literal['received', 'given'] = 'received',
    stage: Literal['logits', 'probs'] = 'logits',
    include_prefix: bool = True,
    include_self: bool = True,
) -> Tensor:
    """Sum up, for every patch, the attention it receives from all tokens.

    For logits the sum over queries comes first, ``(sum_i q_i) . k_m``, which is O(N).

    Args:
        query: (B, H, N, D), prefix tokens first, as ``key``.
        key: (B, H, N, D).
        num_prefix_tokens: CLS and other tokens that are not patches; may be 0.
        scale: Factor on the logits. Defaults to ``D ** -0.5``.
        direction: ``'given'`` sums over keys instead, the literal order of indices.
        stage: ``'logits'``, may be negative; ``'probs'`` needs the N x N matrix.
        include_prefix: Count the prefix tokens among the others, as released.
        include_self: Count the patch itself, as released.

    Returns:
        (B, H, N - num_prefix_tokens), at least float32.

    Raises:
        ValueError: If the shapes do not fit or an option is unknown.

    Source: GPA, Eq. 4-5; Lrbomchz/MM2024_GPA models_vit_teacher.py.
    """
    if query.ndim != 4 or query.shape != key.shape:
        raise ValueError(
            'query and key must both be (B, H, N, D), got '
            f'{tuple(query.shape)} and {tuple(key.shape)}'
        )
    if not 0 <= num_prefix_tokens < key.shape[2]:
        raise ValueError(
            f'num_prefix_tokens ({num_prefix_tokens}) must be at least 0 and less than '
            f'the number of tokens ({key.shape[2]})'
        )
    check_options(
        direction=(direction, ('received', 'given')),
        stage=(stage, ('logits', 'probs')),
    )
    if scale is None:
        scale = float(key.shape[-1]) ** -0.5
    query, key = at_least_float32(query) * scale, at_least_float32(key)
    first_other = 0 if include_prefix else num_prefix_tokens
    if stage == 'logits':
        one, others = (key, query) if direction == 'received' else (query, key)
        patches = one[:, :, num_prefix_tokens:]
        total = others[:, :, first_other:].sum(dim=2, keepdim=True)
        if not include_self:
            total = total - others[:, :, num_prefix_tokens:]
        return (patches * total).sum(dim=-1)
    attention = (query @ key.transpose(-2, -1)).softmax(dim=-1)
    if direction == 'received':
        attention = attention.transpose(-2, -1)
    patches = attention[:, :, num_prefix_tokens:]
    total = patches[..., first_other:].sum(dim=-1)
    if not include_self:
        total = total - patches[..., num_prefix_tokens:].diagonal(dim1=-2, dim2=-1)
    return total


def min_max(x: Tensor) -> Tensor:
    """Scale the last dimension to [0, 1]; a constant row becomes zeros."""
    low = x.amin(dim=-1, keepdim=True)
    span = x.amax(dim=-1, keepdim=True) - low
    return (x - low) / span.clamp_min(torch.finfo(x.dtype).tiny)


def reduce_heads(attention: Tensor, mode: HeadReduction = 'mean_minmax') -> Tensor:
    """Reduce attention (B, H, L) to one score per patch, (B, L) in [0, 1].

    Args:
        attention: After softmax.
        mode: ``'mean_minmax'`` averages the heads, then scales each image to [0, 1]
            (the paper); ``'minmax_mean'`` scales each head, then averages (the released
            code); ``'mean'`` only averages.

    Raises:
        ValueError: If ``mode`` is unknown or ``attention`` is not (B, H, L).

    Source: AMT, Eq. 5 and the text below it; guijiejie/AMT mae-AMT/util/misc.py.
    """
    if attention.ndim != 3:
        raise ValueError(f'attention must be (B, H, L), got {tuple(attention.shape)}')
    check_options(mode=(mode, HEAD_REDUCTIONS))
    attention = at_least_float32(attention)
    if mode == 'mean_minmax':
        return min_max(attention.mean(dim=1))
    if mode == 'minmax_mean':
        # Differs from AMT: a head that attends everywhere equally counts as zero
        # instead of turning the map into NaN.
        return min_max(attention).mean(dim=1)
    return attention.mean(dim=1)
