"""Hooks around training: attention refresh and what one wants to watch."""

from mmattmask.engine.attention_refresh_hook import AttentionRefreshHook
from mmattmask.engine.ema_teacher_hook import EMATeacherHook
from mmattmask.engine.epoch_seed_hook import EpochSeedHook
from mmattmask.engine.knn_hook import KNNHook
from mmattmask.engine.linear_ema_teacher_hook import LinearEMATeacherHook
from mmattmask.engine.mask_strip_hook import MaskStripHook

__all__ = [
    'AttentionRefreshHook',
    'EMATeacherHook',
    'EpochSeedHook',
    'KNNHook',
    'LinearEMATeacherHook',
    'MaskStripHook',
]
