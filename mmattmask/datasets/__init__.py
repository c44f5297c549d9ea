"""Transforms that record a view's geometry, and datasets keyed by sample."""

from mmattmask.datasets.concat import ConcatDataset
from mmattmask.datasets.generate_mask import GenerateMask
from mmattmask.datasets.multi_view import MultiCrop, MultiView
from mmattmask.datasets.packed_images import PackedImages
from mmattmask.datasets.resident_images import ResidentImages
from mmattmask.datasets.stl10 import STL10
from mmattmask.datasets.subset import first_per_class
from mmattmask.datasets.tiny_imagenet import TinyImageNet
from mmattmask.datasets.transforms import (
    CenterCrop,
    LoadImageFromFile,
    PackInputs,
    RandomCrop,
    RandomResizedCrop,
    RandomResizedCropAndInterpolationWithTwoPic,
)

__all__ = [
    'STL10',
    'CenterCrop',
    'ConcatDataset',
    'GenerateMask',
    'LoadImageFromFile',
    'MultiCrop',
    'MultiView',
    'PackInputs',
    'PackedImages',
    'RandomCrop',
    'RandomResizedCrop',
    'RandomResizedCropAndInterpolationWithTwoPic',
    'ResidentImages',
    'TinyImageNet',
    'first_per_class',
]
