"""Pictures of attention, partitions and reconstructions, as uint8 RGB arrays."""

from mmattmask.visualization.pages import (
    draw_policies,
    draw_strip,
)
from mmattmask.visualization.panels import (
    Panel,
    draw_attention,
    draw_panel,
    draw_panels,
    draw_partition,
    draw_ranking,
    rank_map,
)
from mmattmask.visualization.policies import (
    Membership,
    Policy,
    apply_policy,
    example_policies,
    membership,
)
from mmattmask.visualization.records import ImageRecord
from mmattmask.visualization.strips import write_gif

__all__ = [
    'ImageRecord',
    'Membership',
    'Panel',
    'Policy',
    'apply_policy',
    'draw_attention',
    'draw_panel',
    'draw_panels',
    'draw_partition',
    'draw_policies',
    'draw_ranking',
    'draw_strip',
    'example_policies',
    'membership',
    'rank_map',
    'write_gif',
]
