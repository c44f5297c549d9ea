"""Random masking, with random throwing as an option."""

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import PatchBudget, rank_random
from mmattmask.masking.partition import check_ratios
from mmattmask.registry import TASK_UTILS


@TASK_UTILS.register_module()
class RandomMaskGenerator(BaseMaskGenerator):
    """Choose all three sets at random, whatever the score says.

    Without throwing this is MAE: the same counts and, from the same random state, the
    same patches in the same token order as ``MAEViT.random_masking``.

    Args:
        mask_ratio: Share of masked patches. Defaults to 0.75.
        throw_ratio: Share of thrown patches ("random throwing", AMT Table 4).
            Defaults to 0.

    Raises:
        ValueError: If the ratios are outside [0, 1] or sum to more than 1.
    """

    def __init__(self, mask_ratio: float = 0.75, throw_ratio: float = 0.0) -> None:
        check_ratios(mask_ratio, throw_ratio)
        self.mask_ratio = mask_ratio
        self.throw_ratio = throw_ratio

    def budget(self, num_patches: int) -> PatchBudget:
        """Round like MAE without throwing and like AMT with it."""
        if self.throw_ratio == 0:
            return PatchBudget.from_mask_ratio(num_patches, self.mask_ratio)
        return PatchBudget.from_ratios(num_patches, self.mask_ratio, self.throw_ratio)

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
    ) -> Tensor:
        """Order the patches at random."""
        return rank_random(score, rng)
