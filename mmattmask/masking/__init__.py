"""Masking mathematics on plain tensors: nothing here knows OpenMMLab."""

from mmattmask.masking.attention import (
    cls_attention,
    min_max,
    received_attention,
    reduce_heads,
)
from mmattmask.masking.blocks import block_masks, rank_around
from mmattmask.masking.cells import expand_mask, expand_partition, mask_all_but
from mmattmask.masking.hint import mask_first, mask_some_images, reveal_hints
from mmattmask.masking.noise import color_noise
from mmattmask.masking.partition import (
    PatchBudget,
    PatchPartition,
    gather_tokens,
    partition_patches,
)
from mmattmask.masking.parts import shuffle_by_parts
from mmattmask.masking.ranking import (
    rank_by_score,
    rank_random,
    rank_sampled,
    shuffle_soft_to_hard,
)
from mmattmask.masking.ratios import as_range, draw_ratios
from mmattmask.masking.score_losses import (
    relative_order_loss,
    relative_score,
    z_score,
    z_score_loss,
)
from mmattmask.masking.view import view_labels, view_score

__all__ = [
    'PatchBudget',
    'PatchPartition',
    'as_range',
    'block_masks',
    'cls_attention',
    'color_noise',
    'draw_ratios',
    'expand_mask',
    'expand_partition',
    'gather_tokens',
    'mask_all_but',
    'mask_first',
    'mask_some_images',
    'min_max',
    'partition_patches',
    'rank_around',
    'rank_by_score',
    'rank_random',
    'rank_sampled',
    'received_attention',
    'reduce_heads',
    'relative_order_loss',
    'relative_score',
    'reveal_hints',
    'shuffle_by_parts',
    'shuffle_soft_to_hard',
    'view_labels',
    'view_score',
    'z_score',
    'z_score_loss',
]
