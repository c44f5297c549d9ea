"""Masking mathematics on plain tensors: nothing here knows OpenMMLab."""

from mmattmask.masking.attention import cls_attention, min_max, reduce_heads
from mmattmask.masking.partition import (
    PatchBudget,
    PatchPartition,
    partition_patches,
)
from mmattmask.masking.ranking import (
    rank_bottom,
    rank_random,
    rank_sampled,
    rank_top,
)
from mmattmask.masking.view import view_score

__all__ = [
    'PatchBudget',
    'PatchPartition',
    'cls_attention',
    'min_max',
    'partition_patches',
    'rank_bottom',
    'rank_random',
    'rank_sampled',
    'rank_top',
    'reduce_heads',
    'view_score',
]
