"""Masking mathematics on plain tensors: nothing here knows OpenMMLab."""

from mmattmask.masking.attention import (
    cls_attention,
    min_max,
    received_attention,
    reduce_heads,
)
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
    shuffle_soft_to_hard,
)
from mmattmask.masking.score_losses import (
    relative_order_loss,
    z_score,
    z_score_loss,
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
    'received_attention',
    'reduce_heads',
    'relative_order_loss',
    'shuffle_soft_to_hard',
    'view_score',
    'z_score',
    'z_score_loss',
]
