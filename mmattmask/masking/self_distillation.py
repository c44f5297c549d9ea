"""Losses of a student that predicts its teacher: between views and of masked patches.

``K`` is the number of prototypes, the outputs of the projection head.

Source: iBOT, https://arxiv.org/abs/2111.07832; bytedance/ibot main_ibot.py.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from mmattmask.masking.attention import at_least_float32


@torch.no_grad()
def teacher_probs(logits: Tensor, center: Tensor, temperature: float) -> Tensor:
    """Centre the teacher's logits (..., K) by their mean (K,) and sharpen them."""
    return ((at_least_float32(logits) - center) / temperature).softmax(dim=-1)


def view_pair_loss(
    student_logits: Tensor, teacher: Tensor, student_temp: float
) -> Tensor:
    """Cross-entropy of each teacher view and every other student view, a scalar.

    The student's are logits of V views, (V, B, K), of which the first Q are the
    teacher's; the teacher's are probabilities, (Q, B, K).

    Raises:
        ValueError: If there is no pair of different views.
    """
    num_student, num_teacher = len(student_logits), len(teacher)
    if not 1 <= num_teacher <= num_student or num_student < 2:
        raise ValueError(
            f'{num_teacher} teacher views and {num_student} student views make no '
            'pairs of different views'
        )
    log_probs = F.log_softmax(at_least_float32(student_logits) / student_temp, dim=-1)
    # the sum over all pairs factors: no loop over pairs, and none of their products
    all_pairs = teacher.sum(dim=0) * log_probs.sum(dim=0)
    same_view = (teacher * log_probs[:num_teacher]).sum(dim=0)
    total = (all_pairs - same_view).sum(dim=-1).mean()
    return -total / (num_teacher * (num_student - 1))


def masked_patch_loss(
    student_logits: Tensor, teacher: Tensor, weights: Tensor, student_temp: float
) -> Tensor:
    """Weighted cross-entropy of R patches with what the teacher says of them, unmasked.

    Student logits and teacher probabilities are (R, K), weights (R,) as of
    :func:`masked_rows`. 0 if nothing is masked.
    """
    log_probs = F.log_softmax(at_least_float32(student_logits) / student_temp, dim=-1)
    return -((teacher * log_probs).sum(dim=-1) * weights).sum()


def masked_rows(mask: Tensor, capacity: int) -> tuple[Tensor, Tensor]:
    """Say where the masked patches of a batch (N, L) are, without asking how many.

    The result has a fixed length, so a GPU need not be waited for: places in the
    flattened batch, (capacity,) int64, masked ones first, and their weights, 1 / (N *
    number masked in the image), 0 for visible patches that fill up. ``capacity`` is no
    less than the number of masked patches, or some go missing, and at most N * L.
    """
    mask = at_least_float32(mask)
    counts = mask.sum(dim=1, keepdim=True).clamp_min(1)
    weights = (mask / (counts * len(mask))).flatten()
    ids = mask.flatten().argsort(descending=True, stable=True)[:capacity]
    return ids, weights[ids]


def patches_at(tokens: Tensor, ids: Tensor) -> Tensor:
    """Take patches at ``ids`` (R,), among the N * L, out of tokens (N, 1 + L, C)."""
    num_patches = tokens.shape[1] - 1
    skipped = ids.div(num_patches, rounding_mode='floor') + 1  # a CLS per image
    return tokens.flatten(0, 1).index_select(0, ids + skipped)
