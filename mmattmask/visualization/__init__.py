"""Pictures of attention, partitions and reconstructions, as uint8 RGB arrays."""

from mmattmask.visualization.panels import (
    Membership,
    draw_attention,
    draw_partition,
    draw_reconstruction,
    membership,
    unnormalize_patches,
    unpatchify,
)
from mmattmask.visualization.sheets import draw_row, draw_sheet
from mmattmask.visualization.strips import Strip, draw_strip

__all__ = [
    'Membership',
    'Strip',
    'draw_attention',
    'draw_partition',
    'draw_reconstruction',
    'draw_row',
    'draw_sheet',
    'draw_strip',
    'membership',
    'unnormalize_patches',
    'unpatchify',
]
