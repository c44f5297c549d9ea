"""From soft to hard masks by a teacher's score (GPA); with no soft part, HPM's."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import PatchBudget, shuffle_soft_to_hard
from mmattmask.masking.options import check_ratios
from mmattmask.registry import TASK_UTILS


@TASK_UTILS.register_module()
class SoftToHardMaskGenerator(BaseMaskGenerator):
    """Mask a growing share for its score, a shrinking share drawn by it, rest random.

    Both shares are of the masked patches and change linearly from the start to the end
    of training.

    Args:
        mask_ratio: Share of masked patches.
        soft: Share drawn by the score at the start and at the end. The default is the
            paper's; (0, 0) with ``hard=(0, 0.5)`` and ``include_current=True`` is
            HPM's.
        hard: Share of the highest scores at the start and at the end.
        exclusive: Draw the soft ones among patches that are not hard (the paper's
            Eq. 6). Else, as released, a patch can be both, and a random one is masked
            instead.
        by_epoch: Change the shares with epochs, as released, or with iterations.
        include_current: Count the epoch (iteration) in work as done, as HPM does.

    Raises:
        ValueError: If a ratio or share is outside [0, 1].

    Source: GPA, Eq. 6-7; Lrbomchz/MM2024_GPA models_GPA.py.
    """

    def __init__(
        self,
        mask_ratio: float = 0.75,
        soft: Sequence[float] = (0.5, 0.0),
        hard: Sequence[float] = (0.0, 0.5),
        exclusive: bool = False,
        by_epoch: bool = True,
        include_current: bool = False,
    ) -> None:
        check_ratios(mask_ratio)
        for name, share in (('soft', soft), ('hard', hard)):
            if len(share) != 2 or not all(0 <= value <= 1 for value in share):
                raise ValueError(
                    f'{name} must be two shares in [0, 1], at the start and at the '
                    f'end, got {tuple(share)}'
                )
        self.uses_progress = soft[0] != soft[1] or hard[0] != hard[1]
        self.mask_ratio = mask_ratio
        self.soft = soft
        self.hard = hard
        self.exclusive = exclusive
        self.by_epoch = by_epoch
        self.include_current = include_current

    def budget(self, num_patches: int) -> PatchBudget:
        """Round the ratio as MAE does."""
        return PatchBudget.from_mask_ratio(num_patches, self.mask_ratio)

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
        grid: tuple[int, int] | None,
    ) -> Tensor:
        """Mask hard, soft and random patches according to the progress."""
        num_hard, num_soft = (
            int(budget.num_masked * (start + progress * (end - start)))
            for start, end in (self.hard, self.soft)
        )
        return shuffle_soft_to_hard(
            score,
            budget.num_masked,
            num_soft,
            num_hard,
            exclusive=self.exclusive,
            generator=rng,
        )
