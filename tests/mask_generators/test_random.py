"""RandomMaskGenerator is MAE's own masking, with throwing as an option."""

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from mmpretrain.models import MAEViT

from mmattmask.mask_generators import RandomMaskGenerator
from mmattmask.masking import PatchBudget


@pytest.mark.parametrize('num_patches', [16, 36, 49, 50, 196])
@pytest.mark.parametrize('mask_ratio', [0.75, 0.6, 0.4])
def test_equals_the_stock_random_masking(num_patches, mask_ratio):
    tokens = torch.arange(3.0 * num_patches).view(3, num_patches, 1)
    torch.manual_seed(3)
    visible, mask, ids_restore = MAEViT.random_masking(None, tokens, mask_ratio)
    torch.manual_seed(3)
    partition = RandomMaskGenerator(mask_ratio)(torch.zeros(3, num_patches))
    assert torch.equal(tokens.gather(1, partition.ids_keep[..., None]), visible)
    assert torch.equal(partition.mask, mask)
    assert torch.equal(partition.ids_restore, ids_restore)
    assert partition.budget.num_thrown == 0


@given(st.integers(4, 300), st.floats(0, 1), st.floats(0.01, 1), st.integers(0, 2**31))
def test_counts_with_throwing_are_amts(num_patches, mask_ratio, throw_ratio, seed):
    hidden = int(num_patches * (mask_ratio + throw_ratio))
    masked = int(num_patches * mask_ratio)
    assume(mask_ratio + throw_ratio <= 1 and masked >= 1 and hidden < num_patches)
    partition = RandomMaskGenerator(mask_ratio, throw_ratio)(
        torch.zeros(2, num_patches), torch.Generator().manual_seed(seed)
    )
    assert partition.budget == PatchBudget(
        num_patches - hidden, masked, hidden - masked
    )
    assert (partition.mask.sum(1) == masked).all()


@pytest.mark.parametrize(
    ('num_patches', 'ratios', 'rounding', 'budget'),
    [
        (49, (0.6,), 'up', PatchBudget(19, 30)),  # SimMIM: ceil(29.4)
        (50, (0.75,), 'up', PatchBudget(12, 38)),
        (50, (0.75,), 'down', PatchBudget(13, 37)),
        (50, (0.75,), None, PatchBudget(12, 38)),  # MAE: visible down
        (49, (0.44, 0.26), 'up', PatchBudget(14, 22, 13)),
        (49, (0.44, 0.26), 'down', PatchBudget(15, 21, 13)),
    ],
)
def test_rounding(num_patches, ratios, rounding, budget):
    generator = RandomMaskGenerator(*ratios, rounding=rounding)
    assert generator.budget(num_patches) == budget
    assert generator(torch.zeros(2, num_patches)).budget == budget


def test_every_patch_meets_every_fate_equally_often_whatever_the_score():
    draws, patches = 6000, 20
    score = torch.linspace(0, 1, patches).expand(draws, -1)
    partition = RandomMaskGenerator(0.45, 0.40)(score)
    for member, rate in ((partition.mask, 0.45), (partition.thrown.float(), 0.40)):
        bound = 5 * (rate * (1 - rate) / draws) ** 0.5
        assert (member.mean(0) - rate).abs().max() < bound


@pytest.mark.parametrize('ratio', [0.0, 1.0])
def test_ratios_zero_and_one_leave_nothing_to_do(ratio):
    generator = RandomMaskGenerator(ratio)
    with pytest.raises(ValueError, match='of 196 patches'):
        generator.budget(196)
    with pytest.raises(ValueError, match='of 36 patches'):
        generator(torch.zeros(1, 36))
