"""How attention and masks of a batch relate, in a few numbers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmattmask.geometry import view_geometry
from mmattmask.masking import view_score
from mmattmask.masking.attention import at_least_float32

COVERAGE = 0.5  # a patch is foreground if at least this share of it is


def attention_shares(score: Tensor) -> Tensor:
    """Turn scores (B, L) into shares that sum to 1; equal ones if all are zero.

    Negative values count as zero.
    """
    score = at_least_float32(score).clamp_min(0)
    total = score.sum(dim=1, keepdim=True)
    equal = torch.full_like(score, 1 / score.shape[1])
    return torch.where(
        total > 0, score / total.clamp_min(torch.finfo(score.dtype).tiny), equal
    )


def attention_entropy(score: Tensor) -> Tensor:
    """Return how evenly scores (B, L) are spread: 1 = evenly, 0 = on one patch.

    The entropy of each image's shares over its largest value, log L, mean over images.
    """
    shares = attention_shares(score)
    entropy = torch.special.entr(shares).sum(dim=1)
    return entropy.mean() / float(np.log(max(score.shape[1], 2)))


def attention_masked(score: Tensor, mask: Tensor) -> Tensor:
    """Return the share of the attention that is masked, a scalar in [0, 1].

    A policy that ignores the score comes to its mask ratio.
    """
    return (attention_shares(score) * mask).sum(dim=1).mean()


def mask_agreement(mask: Tensor, other: Tensor) -> Tensor:
    """Return how much two draws of masks of the same images overlap, against chance.

    The patches masked in both, over what random masks with the same counts would have
    in common: 1 = as random masks; 1 / mask ratio = the same patches every time. Not a
    number if nothing is masked.
    """
    common = (mask * other).sum()
    expected = (mask.sum(dim=1) * other.sum(dim=1) / mask.shape[1]).sum()
    return common / expected


def foreground_masked(mask: Tensor, foreground: Tensor) -> Tensor:
    """Return the share of foreground patches that are masked, mean over images.

    Images without foreground do not count; if none has any, it is not a number.
    """
    wanted = foreground.to(mask.dtype)
    number = wanted.sum(dim=1)
    hits = (mask * wanted).sum(dim=1) / number.clamp_min(1)
    return hits.sum() / (number > 0).sum()


def foreground_of_views(
    annotated: Sequence[Any], views: Sequence[Any], grid: tuple[int, int]
) -> Tensor:
    """Return which patches of the views are foreground, cropped like the images.

    Args:
        annotated: One DataSample per view, with ``foreground``: (H, W), not 0 =
            foreground, of the whole image at any size; or ``gt_bboxes``: (n, 4) left,
            top, right, bottom in px of the whole image.
        views: The same views with their geometry.
        grid: Patches of a view, (h, w).

    Returns:
        (B, h * w) bool on the CPU, all False for views without an annotation.
    """
    maps = [_foreground(sample) for sample in annotated]
    crop_box, image_size, flip = view_geometry(views)
    result = torch.zeros(len(maps), grid[0] * grid[1], dtype=torch.bool)
    for row, one in enumerate(maps):
        if one is None:
            continue
        place = slice(row, row + 1)
        share = view_score(
            one[None], crop_box[place], image_size[place], flip[place], grid
        )
        result[row] = share[0] >= COVERAGE
    return result


def is_annotated(sample: Any) -> bool:
    """Say whether a sample carries its foreground as a mask or as boxes."""
    names = ('foreground', 'gt_bboxes')
    return any(getattr(sample, name, None) is not None for name in names)


def _foreground(sample: Any) -> Tensor | None:
    """Return a sample's foreground, (H, W) float32 in {0, 1}, or None."""
    mask = getattr(sample, 'foreground', None)
    if mask is not None:
        return (torch.as_tensor(np.asarray(mask)) != 0).float()
    boxes = getattr(sample, 'gt_bboxes', None)
    if boxes is None:
        return None
    height, width = sample.ori_shape[:2]
    result = torch.zeros(height, width)
    for box in np.asarray(boxes).reshape(-1, 4):
        left, top, right, bottom = (max(round(float(side)), 0) for side in box)
        result[top:bottom, left:right] = 1
    return result
