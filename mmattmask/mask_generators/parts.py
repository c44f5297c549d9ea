"""From a share of every part to whole parts (SemMAE)."""

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import PatchBudget, shuffle_by_parts
from mmattmask.masking.options import check_ratios
from mmattmask.registry import TASK_UTILS


@TASK_UTILS.register_module()
class PartMaskGenerator(BaseMaskGenerator):
    """Mask some patches of every part first, whole parts at the end of training.

    The score is a label map: ``scorer=dict(type='mmattmask.LabelMaps', …)``.

    Args:
        mask_ratio: Share of masked patches.
        gamma: Whole parts count for ``progress ** gamma`` of the quotas.
        by_epoch: Change the quotas with epochs, as released, or with iterations.

    Raises:
        ValueError: If the ratio is outside [0, 1] or ``gamma`` not positive.

    Source: SemMAE, https://arxiv.org/abs/2206.10207; ucasligang/SemMAE
    models_mae_setting3.py.
    """

    uses_progress = True
    include_current = True
    takes_labels = True

    def __init__(
        self, mask_ratio: float = 0.75, gamma: float = 2.0, by_epoch: bool = True
    ) -> None:
        check_ratios(mask_ratio)
        if not gamma > 0:
            raise ValueError(f'gamma must be above 0, got {gamma}')
        self.mask_ratio = mask_ratio
        self.gamma = gamma
        self.by_epoch = by_epoch

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
        """Order the patches by the quotas of their parts; ValueError without labels."""
        if score.is_floating_point():
            raise ValueError(
                'PartMaskGenerator needs labels of parts, whole numbers, got '
                f"{score.dtype}: set scorer=dict(type='mmattmask.LabelMaps', path=…)"
            )
        # Differs from SemMAE, which counts 800 epochs whatever the run's length: with
        # 200 it never masks whole parts.
        mix = 1 - progress**self.gamma
        return shuffle_by_parts(score, self.mask_ratio, mix, rng)
