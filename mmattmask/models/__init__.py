"""Hosts: stock masked image modeling that takes its partition from outside."""

from mmattmask.models.attention_head import AttentionHead
from mmattmask.models.ema_teacher import EMATeacherHost
from mmattmask.models.guided import GuidedHost, PartitionedBackbone
from mmattmask.models.loss_predicting_mae import (
    LossPredictingMAE,
    LossPredictionHead,
)
from mmattmask.models.lut import LUT
from mmattmask.models.mae import (
    GuidedMAE,
    GuidedMAEDecoder,
    GuidedMAEHead,
    GuidedMAEViT,
)
from mmattmask.models.score_decoder import ScoreDecoder
from mmattmask.models.score_predicting_mae import ScorePredictingMAE

__all__ = [
    'LUT',
    'AttentionHead',
    'EMATeacherHost',
    'GuidedHost',
    'GuidedMAE',
    'GuidedMAEDecoder',
    'GuidedMAEHead',
    'GuidedMAEViT',
    'LossPredictingMAE',
    'LossPredictionHead',
    'PartitionedBackbone',
    'ScoreDecoder',
    'ScorePredictingMAE',
]
