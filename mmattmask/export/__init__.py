"""Encoders of other projects in, and ours out."""

from mmattmask.checkpoints import load_matched
from mmattmask.export.convert import Report, convert_checkpoint
from mmattmask.export.fit_vit import load_vit
from mmattmask.export.sources import Source, read_source
from mmattmask.export.vit_keys import read_state_dict, to_mmpretrain_vit

__all__ = [
    'Report',
    'Source',
    'convert_checkpoint',
    'load_matched',
    'load_vit',
    'read_source',
    'read_state_dict',
    'to_mmpretrain_vit',
]
