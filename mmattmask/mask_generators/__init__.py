"""Policies: given a score, who is visible, masked or thrown."""

from mmattmask.mask_generators.amt import AMTMaskGenerator
from mmattmask.mask_generators.attmask import AttMaskGenerator
from mmattmask.mask_generators.base import BaseMaskGenerator, build_policy
from mmattmask.mask_generators.block import BlockMaskGenerator, IBOTMaskGenerator
from mmattmask.mask_generators.color_noise import ColorNoiseMaskGenerator
from mmattmask.mask_generators.parts import PartMaskGenerator
from mmattmask.mask_generators.random import RandomMaskGenerator
from mmattmask.mask_generators.soft_to_hard import SoftToHardMaskGenerator
from mmattmask.mask_generators.trial import check_policy
from mmattmask.mask_generators.uniform import UniformMaskGenerator

__all__ = [
    'AMTMaskGenerator',
    'AttMaskGenerator',
    'BaseMaskGenerator',
    'BlockMaskGenerator',
    'ColorNoiseMaskGenerator',
    'IBOTMaskGenerator',
    'PartMaskGenerator',
    'RandomMaskGenerator',
    'SoftToHardMaskGenerator',
    'UniformMaskGenerator',
    'build_policy',
    'check_policy',
]
