"""Masks of the most or least attended patches, with hints (AttMask)."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import (
    PatchBudget,
    as_range,
    draw_ratios,
    mask_first,
    mask_some_images,
    rank_by_score,
    reveal_hints,
)
from mmattmask.masking.options import check_options
from mmattmask.registry import TASK_UTILS

Mode = Literal['high', 'hint', 'low']


@TASK_UTILS.register_module()
class AttMaskGenerator(BaseMaskGenerator):
    """Mask the most attended patches (High, Hint) or the least attended (Low).

    Hint is High with some of the very most attended patches left visible. With one
    ``mask_ratio``, and both probabilities 1, all images have the same counts: this
    works in every host. What is drawn for ratios, images or patches needs a host with
    mask tokens. As released in iBOT: ``mask_ratio=(0.1, 0.5), mask_prob=0.5``; there
    all processes are seeded alike, here they draw ratios of their own.

    Args:
        mode: ``'high'``, ``'hint'`` or ``'low'``.
        mask_ratio: Share of masked patches (with the hints, for Hint), or the range
            from which it is drawn for each batch.
        mask_prob: Probability that an image is masked at all.
        show_max: For Hint: hints are drawn among this share of the patches, the most
            attended ones.
        show_ratio: Share of those that become hints, at least one; or a range. Defaults
            to ``mask_ratio``, drawn a second time if that is a range.
        ratio_per_image: Draw ratios for each image rather than for each batch.
        patch_prob: Probability that a patch is masked which would be, each for itself:
            with ``mode='low'`` the masks of MST, which never hides attended patches.

    Raises:
        ValueError: If the mode is unknown or a ratio is outside [0, 1].

    Example:
        One image of six patches, the score of patch 1 is highest, of patch 0 lowest:

        >>> score = torch.tensor([[0.1, 0.9, 0.4, 0.8, 0.3, 0.2]])
        >>> AttMaskGenerator('high', 0.5).mask(score)
        tensor([[0., 1., 1., 1., 0., 0.]])
        >>> AttMaskGenerator('low', 0.5).mask(score)
        tensor([[1., 0., 0., 0., 1., 1.]])

        Hint shows one of the two most attended, 1 or 3, whichever is drawn:

        >>> hint = AttMaskGenerator('hint', 0.5, show_max=0.34, show_ratio=0.5)
        >>> hint.mask(score, torch.Generator().manual_seed(0))
        tensor([[0., 0., 1., 1., 0., 0.]])

    Source: AttMask, https://arxiv.org/abs/2203.12719; gkakogeorgiou/attmask attmask.py.
    """

    def __init__(
        self,
        mode: Mode = 'high',
        mask_ratio: float | Sequence[float] = 0.75,
        mask_prob: float = 1.0,
        show_max: float = 0.1,
        show_ratio: float | Sequence[float] | None = None,
        ratio_per_image: bool = False,
        patch_prob: float = 1.0,
    ) -> None:
        check_options(mode=(mode, get_args(Mode)))
        shares = (mask_prob, patch_prob, show_max)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(
                f'mask_prob, patch_prob and show_max must be in [0, 1], got {shares}'
            )
        self.mode = mode
        self.mask_ratio = as_range(mask_ratio, 'mask_ratio')
        self.mask_prob = mask_prob
        self.patch_prob = patch_prob
        self.show_max = show_max
        self.show_ratio = self.mask_ratio
        if show_ratio is not None:
            self.show_ratio = as_range(show_ratio, 'show_ratio')
        self.ratio_per_image = ratio_per_image
        drawn = [self.mask_ratio] + [self.show_ratio] * (mode == 'hint')
        by_chance = mask_prob < 1 or patch_prob < 1
        self.variable_counts = by_chance or any(low < high for low, high in drawn)
        self.least_ratio = 0.0 if by_chance else self.mask_ratio[0]

    def budget(self, num_patches: int) -> PatchBudget:
        """Round the ratio down; hints are not masked. ValueError if images differ."""
        if self.variable_counts:
            raise ValueError(
                f'AttMaskGenerator with mask_ratio={self.mask_ratio}, '
                f'show_ratio={self.show_ratio}, mask_prob={self.mask_prob} and '
                f'patch_prob={self.patch_prob} masks another number of patches each '
                'time: this needs a host with mask tokens; set single ratios and '
                'probabilities of 1 for others'
            )
        ratios = torch.tensor(
            [self.mask_ratio[0], self.show_ratio[0]], dtype=torch.float64, device='cpu'
        )
        num_masked, _, num_hints = self._counts(num_patches, *ratios)
        masked = int(num_masked) - int(num_hints) * (self.mode == 'hint')
        return PatchBudget(num_patches - masked, masked)

    def max_masked(self, num_patches: int) -> int:
        """Return the largest number of patches that may be masked in one image."""
        return int(num_patches * self.mask_ratio[1])

    def mask(
        self,
        score: Tensor,
        rng: torch.Generator | None = None,
        progress: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Return who is masked, (B, L) float32; arguments as for a call."""
        batch_size, num_patches = score.shape
        shape = (batch_size if self.ratio_per_image else 1, 1)
        ratio, share = (
            draw_ratios([drawn], shape, score.device, rng)
            for drawn in (self.mask_ratio, self.show_ratio)
        )
        num_masked, num_pool, num_hints = self._counts(num_patches, ratio, share)
        ranking = rank_by_score(score, rng, lowest_first=self.mode == 'low')
        mask = mask_first(ranking, num_masked)
        if self.mode == 'hint':
            mask = reveal_hints(mask, ranking, num_pool, num_hints, rng)
        if self.patch_prob < 1:
            noise = torch.rand(mask.shape, generator=rng, device=mask.device)
            mask = mask & (noise < self.patch_prob)
        if self.mask_prob < 1:
            mask = mask_some_images(mask, self.mask_prob, rng)
        return mask.float()

    def _counts(
        self, num_patches: int, mask_ratio: Tensor, show_ratio: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return how many are ranked first, may be hints and are hints."""
        num_masked = (num_patches * mask_ratio).long()
        most = max(int(num_patches * self.show_max), 1)
        # Differs from AttMask: on small grids one patch is shown; the released code
        # stops with an error when its share is less than a patch.
        num_hints = (num_patches * (self.show_max * show_ratio)).long().clamp(1, most)
        # Hints are masked patches, and at least one patch stays masked.
        num_hints = torch.minimum(num_hints, (num_masked - 1).clamp(min=0))
        return num_masked, num_masked.clamp(max=most), num_hints
