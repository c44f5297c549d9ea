"""Hosts: stock masked image modeling that takes its partition from outside."""

from mmattmask.models.attention_head import AttentionHead
from mmattmask.models.convmae import ConvMAEViT
from mmattmask.models.convvit import ConvViT
from mmattmask.models.data_preprocessor import (
    AsyncDataPreprocessor,
    GuidedDataPreprocessor,
    GuidedTwoNormDataPreprocessor,
)
from mmattmask.models.guidance import Guidance, attention_maps, guidance_of
from mmattmask.models.ibot import IBOT
from mmattmask.models.ibot_head import IBOTHead
from mmattmask.models.ibot_loss import IBOTLoss
from mmattmask.models.ibot_vit import IBOTViT
from mmattmask.models.lut import LUT
from mmattmask.models.mae import GuidedMAE, GuidedMAEViT
from mmattmask.models.mae_decoder import GuidedMAEDecoder, GuidedMAEHead
from mmattmask.models.mae_family import (
    GuidedEVA,
    GuidedMAEHiViT,
    GuidedMFF,
    GuidedMFFViT,
    GuidedMILAN,
    GuidedMILANViT,
)
from mmattmask.models.normed_vit import JoinTokens, NormedViT
from mmattmask.models.score_predicting_mae import ScorePredictingMAE
from mmattmask.models.simmim import GuidedSimMIM
from mmattmask.models.simmim_vit import SimMIMViT
from mmattmask.runtime import return_from_train

return_from_train()

__all__ = [
    'IBOT',
    'LUT',
    'AsyncDataPreprocessor',
    'AttentionHead',
    'ConvMAEViT',
    'ConvViT',
    'Guidance',
    'GuidedDataPreprocessor',
    'GuidedEVA',
    'GuidedMAE',
    'GuidedMAEDecoder',
    'GuidedMAEHead',
    'GuidedMAEHiViT',
    'GuidedMAEViT',
    'GuidedMFF',
    'GuidedMFFViT',
    'GuidedMILAN',
    'GuidedMILANViT',
    'GuidedSimMIM',
    'GuidedTwoNormDataPreprocessor',
    'IBOTHead',
    'IBOTLoss',
    'IBOTViT',
    'JoinTokens',
    'NormedViT',
    'ScorePredictingMAE',
    'SimMIMViT',
    'attention_maps',
    'guidance_of',
]
