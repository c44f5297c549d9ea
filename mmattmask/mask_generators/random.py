"""Random masking, with random throwing as an option."""

from typing import get_args

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import PatchBudget, rank_random
from mmattmask.masking.options import check_options, check_ratios
from mmattmask.masking.partition import Rounding
from mmattmask.registry import TASK_UTILS


@TASK_UTILS.register_module()
class RandomMaskGenerator(BaseMaskGenerator):
    """Choose all three sets at random, whatever the score says.

    Without throwing this is MAE: from the same random state, the same patches in the
    same token order as ``MAEViT.random_masking``.

    Args:
        mask_ratio: Share of masked patches.
        throw_ratio: Share of thrown patches ("random throwing", AMT Table 4).
        rounding: ``'down'`` as AMT on MAE; ``'up'`` as SimMIM and AMT on SimMIM.
            Defaults to None: as MAE without throwing, as AMT on MAE with it.

    Raises:
        ValueError: If the ratios are outside [0, 1] or sum to more than 1, or the
            rounding is unknown.
    """

    def __init__(
        self,
        mask_ratio: float = 0.75,
        throw_ratio: float = 0.0,
        rounding: Rounding | None = None,
    ) -> None:
        check_ratios(mask_ratio, throw_ratio)
        check_options(rounding=(rounding, (None, *get_args(Rounding))))
        self.mask_ratio = mask_ratio
        self.throw_ratio = throw_ratio
        self.rounding = rounding

    def budget(self, num_patches: int) -> PatchBudget:
        """Round as asked, or as MAE without throwing and as AMT with it."""
        if self.rounding is None and self.throw_ratio == 0:
            return PatchBudget.from_mask_ratio(num_patches, self.mask_ratio)
        return PatchBudget.from_ratios(
            num_patches, self.mask_ratio, self.throw_ratio, self.rounding or 'down'
        )

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
        grid: tuple[int, int] | None,
    ) -> Tensor:
        """Order the patches at random."""
        return rank_random(score, rng)
