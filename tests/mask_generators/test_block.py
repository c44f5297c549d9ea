"""Blocks with BEiT's fixed number of patches, and with iBOT's drawn one."""

import pytest
import torch
from mmengine.registry import TASK_UTILS
from mmpretrain.datasets.transforms import BEiTMaskGenerator

from mmattmask.mask_generators import (
    BlockMaskGenerator,
    ColorNoiseMaskGenerator,
    IBOTMaskGenerator,
)
from mmattmask.masking import PatchBudget
from tests.masking.test_blocks import masked_neighbours


def test_law_is_stock_beits():
    stock = BEiTMaskGenerator((14, 14), num_masking_patches=75, min_num_patches=16)
    expected = torch.stack(
        [torch.from_numpy(stock.transform({})['mask']) for _ in range(300)]
    ).bool()
    generator = BlockMaskGenerator(num_masked=75)
    mask = generator.mask(torch.zeros(2000, 196), grid=(14, 14)).view(-1, 14, 14)
    assert (expected.flatten(1).sum(1) == 75).all()
    assert (mask.flatten(1).sum(1) == 75).all()
    # standard error of the 300: 0.012; random masks have 1.5 masked neighbours
    density = masked_neighbours(mask.bool())
    assert density == pytest.approx(masked_neighbours(expected), abs=0.07)
    # rows are longer runs: how often left and right neighbours agree
    for axis in (1, 2):
        runs = mask.diff(dim=axis).abs().mean()
        assert runs == pytest.approx(
            float(expected.float().diff(dim=axis).abs().mean()), rel=0.1
        )


def test_numbers_are_ratios_or_counts():
    assert BlockMaskGenerator().budget(196) == PatchBudget(118, 78)
    generator = TASK_UTILS.build(
        dict(type='mmattmask.BlockMaskGenerator', num_masked=75, aspect=[0.5, 2])
    )
    assert isinstance(generator, BlockMaskGenerator)
    assert generator.budget(196) == PatchBudget(121, 75)


@pytest.mark.parametrize(
    'make', [BlockMaskGenerator, IBOTMaskGenerator, ColorNoiseMaskGenerator]
)
def test_policies_with_a_place_need_the_grid_of_the_patches(make):
    with pytest.raises(ValueError, match=r'\(h, w\) of the 196 patches, got None'):
        make().mask(torch.zeros(2, 196))
    with pytest.raises(ValueError, match=r'of the 196 patches, got \(14, 13\)'):
        make().mask(torch.zeros(2, 196), grid=(14, 13))


def test_counts_that_do_not_fit_the_patches_are_refused():
    with pytest.raises(ValueError, match=r'-4 visible, 40 masked .* of 36 patches'):
        BlockMaskGenerator(num_masked=40)(torch.zeros(1, 36), grid=(6, 6))


@pytest.mark.parametrize('shape', ['block', 'random'])
def test_released_ibot_masks_half_of_the_images(shape):
    draws = 4000
    mask = IBOTMaskGenerator(shape=shape).mask(torch.zeros(draws, 196), grid=(14, 14))
    assert mask.dtype == torch.float32
    ratios = mask.mean(1)
    unmasked = (ratios == 0).double().mean()
    assert abs(unmasked - 0.5) < 5 * (0.25 / draws) ** 0.5
    ratios = ratios[ratios > 0]
    # blocks do not always reach the ratio: the released code masks 0.293 on average
    mean = 0.293 if shape == 'block' else 0.3 - 0.5 / 196
    assert abs(ratios.mean() - mean) < 5 * 0.116 / len(ratios) ** 0.5
    assert ratios.max() <= 98 / 196
    assert IBOTMaskGenerator(shape=shape).max_masked(196) == 98


def test_ratios_differ_between_images():
    generator = IBOTMaskGenerator([(0.1, 0.5)], shape='random')
    counts = generator.mask(torch.zeros(300, 196)).sum(1)
    assert len(counts.unique()) > 40


def test_random_patches_are_exactly_counted_and_uniform():
    draws = 6000
    mask = IBOTMaskGenerator([(0.3, 0.3)], 'random').mask(torch.zeros(draws, 18))
    assert (mask.sum(1) == int(18 * 0.3)).all()
    p = 5 / 18
    assert (mask.mean(0) - p).abs().max() < 5 * (p * (1 - p) / draws) ** 0.5


def test_ibots_counts_are_refused_where_one_number_is_needed():
    generator = IBOTMaskGenerator()
    assert generator.variable_counts
    with pytest.raises(ValueError, match=r'\(0\.1, 0\.5\).*196 patches'):
        generator.budget(196)
    with pytest.raises(ValueError, match='BlockMaskGenerator or RandomMaskGenerator'):
        generator(torch.zeros(2, 196), grid=(14, 14))
