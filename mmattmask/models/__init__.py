"""Hosts: stock masked image modeling that takes its partition from outside."""

from mmattmask.models.guided import GuidedHost, PartitionedBackbone
from mmattmask.models.mae import (
    GuidedMAE,
    GuidedMAEDecoder,
    GuidedMAEHead,
    GuidedMAEViT,
)

__all__ = [
    'GuidedHost',
    'GuidedMAE',
    'GuidedMAEDecoder',
    'GuidedMAEHead',
    'GuidedMAEViT',
    'PartitionedBackbone',
]
