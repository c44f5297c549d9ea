"""Attention-driven masking and throwing (AMT)."""

from typing import Literal, get_args

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import PatchBudget, rank_by_score, rank_sampled
from mmattmask.masking.options import check_options, check_ratios
from mmattmask.masking.partition import Rounding
from mmattmask.registry import TASK_UTILS

Throw = Literal['middle', 'low']
Ranking = Literal['sampled', 'top', 'bottom']
First = Literal['masked', 'visible']


@TASK_UTILS.register_module()
class AMTMaskGenerator(BaseMaskGenerator):
    """Mask the patches drawn first by attention and throw others away.

    Patches are drawn without replacement, attended ones more likely first. The first
    are masked; ``throw`` says which of the rest disappear.

    Args:
        mask_ratio: Share of masked patches.
        throw_ratio: Share of thrown patches; 0 is attention-driven masking alone
            ("AM").
        throw: ``'middle'`` throws the patches drawn after the masked ones and keeps
            the last visible; ``'low'`` throws the last and keeps the middle visible.
        ranking: ``'sampled'`` as in the paper; ``'top'`` or ``'bottom'`` rank by the
            score itself, without sampling.
        rounding: ``'down'`` as AMT on MAE; ``'up'`` as SimMIM and AMT on SimMIM.
        first: What becomes of the patches drawn first. ``'visible'`` is the mirror:
            visible and masked change places; with ``throw_ratio=0`` it is MILAN's and
            AdaMAE's policy.

    Raises:
        ValueError: If the ratios are outside [0, 1] or sum to more than 1, or an
            option is unknown.

    Source: AMT, Algorithm 1 and Table 4, https://arxiv.org/abs/2211.15362.
    """

    def __init__(
        self,
        mask_ratio: float = 0.45,
        throw_ratio: float = 0.40,
        throw: Throw = 'middle',
        ranking: Ranking = 'sampled',
        rounding: Rounding = 'down',
        first: First = 'masked',
    ) -> None:
        check_ratios(mask_ratio, throw_ratio)
        check_options(
            throw=(throw, get_args(Throw)),
            ranking=(ranking, get_args(Ranking)),
            rounding=(rounding, get_args(Rounding)),
            first=(first, get_args(First)),
        )
        self.mask_ratio = mask_ratio
        self.throw_ratio = throw_ratio
        self.throw = throw
        self.ranking = ranking
        self.rounding: Rounding = rounding
        self.first = first

    def budget(self, num_patches: int) -> PatchBudget:
        """Round the ratios as the released code does."""
        return PatchBudget.from_ratios(
            num_patches, self.mask_ratio, self.throw_ratio, self.rounding
        )

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
        grid: tuple[int, int] | None,
    ) -> Tensor:
        """Rank by attention, then place visible patches first."""
        if self.ranking == 'sampled':
            ranking = rank_sampled(score, rng)
        else:
            ranking = rank_by_score(score, rng, self.ranking == 'bottom')
        counts = [budget.num_masked, budget.num_visible]
        if self.first == 'visible':
            counts.reverse()
        if self.throw == 'middle':
            counts.insert(1, budget.num_thrown)
            masked, thrown, visible = ranking.split(counts, dim=1)
        else:
            counts.append(budget.num_thrown)
            masked, visible, thrown = ranking.split(counts, dim=1)
        if self.first == 'visible':
            masked, visible = visible, masked
        return torch.cat([visible, masked, thrown], dim=1)
