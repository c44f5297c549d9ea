"""Checkpoints of other projects, in and out."""

from mmattmask.export.vit_keys import load_matched, read_state_dict, to_mmpretrain_vit

__all__ = ['load_matched', 'read_state_dict', 'to_mmpretrain_vit']
