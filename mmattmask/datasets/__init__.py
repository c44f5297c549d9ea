"""Transforms that record a view's geometry, and datasets keyed by sample."""

from mmattmask.datasets.concat import ConcatDataset
from mmattmask.datasets.multi_view import MultiView
from mmattmask.datasets.transforms import (
    CenterCrop,
    LoadImageFromFile,
    PackInputs,
    RandomCrop,
    RandomResizedCrop,
    RandomResizedCropAndInterpolationWithTwoPic,
)

__all__ = [
    'CenterCrop',
    'ConcatDataset',
    'LoadImageFromFile',
    'MultiView',
    'PackInputs',
    'RandomCrop',
    'RandomResizedCrop',
    'RandomResizedCropAndInterpolationWithTwoPic',
]
