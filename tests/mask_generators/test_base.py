"""The base class: a policy has an order or a mask of its own."""

import pytest
import torch

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.masking import PatchBudget


def test_a_policy_without_order_and_mask_is_refused():
    with pytest.raises(
        TypeError, match=r'Empty must implement shuffle\(\) or mask\(\)'
    ):

        class Empty(BaseMaskGenerator):
            def budget(self, num_patches):
                return PatchBudget(1, num_patches - 1)


def test_a_mask_becomes_a_partition():
    class Upper(BaseMaskGenerator):
        def budget(self, num_patches):
            return PatchBudget(num_patches // 2, num_patches - num_patches // 2)

        def mask(self, score, rng=None, progress=0.0, grid=None):
            return (torch.arange(score.shape[1]) < score.shape[1] // 2).expand_as(score)

    partition = Upper()(torch.zeros(2, 6))
    assert partition.ids_keep.tolist() == [[3, 4, 5]] * 2
    assert partition.ids_mask.tolist() == [[0, 1, 2]] * 2
