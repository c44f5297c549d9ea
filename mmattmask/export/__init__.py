"""Checkpoints of other projects, in and out."""

from mmattmask.checkpoints import load_matched
from mmattmask.export.convert import Report, convert_checkpoint
from mmattmask.export.fit_vit import load_vit
from mmattmask.export.ibot_keys import (
    from_official_ibot,
    load_official_ibot,
    to_official_ibot,
)
from mmattmask.export.sources import Source, read_source
from mmattmask.export.vit_keys import read_state_dict, to_mmpretrain_vit

__all__ = [
    'Report',
    'Source',
    'convert_checkpoint',
    'from_official_ibot',
    'load_matched',
    'load_official_ibot',
    'load_vit',
    'read_source',
    'read_state_dict',
    'to_mmpretrain_vit',
    'to_official_ibot',
]
