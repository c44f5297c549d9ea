"""Hooks around training: attention refresh and what one wants to watch."""

from mmattmask.engine.attention_refresh_hook import AttentionRefreshHook
from mmattmask.engine.check_maps_hook import CheckMapsHook
from mmattmask.engine.clock_hook import ClockHook
from mmattmask.engine.decay_groups import DecayGroupsOptimWrapperConstructor
from mmattmask.engine.ema_teacher_hook import EMATeacherHook, LinearEMATeacherHook
from mmattmask.engine.epoch_seed_hook import EpochSeedHook
from mmattmask.engine.fast_loader_hook import FastLoaderHook
from mmattmask.engine.finite_loss_hook import FiniteLossHook
from mmattmask.engine.freeze_last_layer_hook import FreezeLastLayerHook
from mmattmask.engine.guidance_scalars_hook import GuidanceScalarsHook
from mmattmask.engine.knn_hook import KNNHook
from mmattmask.engine.mask_strip_hook import MaskStripHook
from mmattmask.engine.per_tensor_clip import (
    PerTensorClipAmpOptimWrapper,
    PerTensorClipOptimWrapper,
)
from mmattmask.engine.teacher_temperature_hook import TeacherTemperatureHook

__all__ = [
    'AttentionRefreshHook',
    'CheckMapsHook',
    'ClockHook',
    'DecayGroupsOptimWrapperConstructor',
    'EMATeacherHook',
    'EpochSeedHook',
    'FastLoaderHook',
    'FiniteLossHook',
    'FreezeLastLayerHook',
    'GuidanceScalarsHook',
    'KNNHook',
    'LinearEMATeacherHook',
    'MaskStripHook',
    'PerTensorClipAmpOptimWrapper',
    'PerTensorClipOptimWrapper',
    'TeacherTemperatureHook',
]
