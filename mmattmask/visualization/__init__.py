"""Pictures of attention, partitions and reconstructions, as uint8 RGB arrays."""

from mmattmask.visualization.animation import strip_frames, write_gif
from mmattmask.visualization.attention_panels import (
    draw_blocks,
    draw_heads,
    draw_ranking,
    rank_map,
)
from mmattmask.visualization.gallery import draw_gallery, draw_table
from mmattmask.visualization.panels import (
    Membership,
    draw_attention,
    draw_partition,
    draw_reconstruction,
    membership,
    unnormalize_patches,
    unpatchify,
)
from mmattmask.visualization.policy_panels import (
    Policy,
    apply_policy,
    draw_policies,
    example_policies,
)
from mmattmask.visualization.sheets import draw_row, draw_sheet
from mmattmask.visualization.strips import Strip, draw_strip

__all__ = [
    'Membership',
    'Policy',
    'Strip',
    'apply_policy',
    'draw_attention',
    'draw_blocks',
    'draw_gallery',
    'draw_heads',
    'draw_partition',
    'draw_policies',
    'draw_ranking',
    'draw_reconstruction',
    'draw_row',
    'draw_sheet',
    'draw_strip',
    'draw_table',
    'example_policies',
    'membership',
    'rank_map',
    'strip_frames',
    'unnormalize_patches',
    'unpatchify',
    'write_gif',
]
