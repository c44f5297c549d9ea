"""Who is visible, masked or thrown: the counts and the index tensors."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mmattmask.masking.options import check_ratios

Rounding = Literal['down', 'up']


@dataclass(frozen=True)
class PatchBudget:
    """How many patches of an image are visible, masked and thrown.

    The encoder sees visible patches, the decoder visible and masked ones.

    Raises:
        ValueError: If a count is negative, or no patch is visible or none masked.
    """

    num_visible: int
    num_masked: int
    num_thrown: int = 0

    def __post_init__(self) -> None:
        counts = self.num_visible, self.num_masked, self.num_thrown
        if any(count % 1 for count in counts):
            raise ValueError(f'counts of patches must be whole numbers, got {counts}')
        if self.num_visible < 1 or self.num_masked < 1 or self.num_thrown < 0:
            raise ValueError(
                'at least one patch must be visible and one masked, got '
                f'{self.num_visible} visible, {self.num_masked} masked and '
                f'{self.num_thrown} thrown of {self.num_patches} patches'
            )

    @property
    def num_patches(self) -> int:
        """All patches of the image."""
        return self.num_visible + self.num_masked + self.num_thrown

    @classmethod
    def from_ratios(
        cls,
        num_patches: int,
        mask_ratio: float,
        throw_ratio: float = 0.0,
        rounding: Rounding = 'down',
    ) -> 'PatchBudget':
        """Round ratios as AMT does; 196 patches at 0.45 and 0.40: 30, 88 and 78.

        ``'down'`` rounds masked and masked + thrown down, as AMT on MAE; ``'up'``
        rounds masked and thrown up, as SimMIM and AMT on SimMIM.

        Raises:
            ValueError: If the ratios do not leave a visible and a masked patch.

        Source: guijiejie/AMT mae-AMT/models_mae.py, SimMIM-AMT/data/amtdatasets.py.
        """
        check_ratios(mask_ratio, throw_ratio)
        if rounding == 'up':
            num_masked = math.ceil(num_patches * mask_ratio)
            num_thrown = math.ceil(num_patches * throw_ratio)
            return cls(num_patches - num_masked - num_thrown, num_masked, num_thrown)
        num_masked = int(num_patches * mask_ratio)
        num_hidden = int(num_patches * (mask_ratio + throw_ratio))
        return cls(num_patches - num_hidden, num_masked, num_hidden - num_masked)

    @classmethod
    def from_mask_ratio(cls, num_patches: int, mask_ratio: float) -> 'PatchBudget':
        """Round a ratio in [0, 1] as MAE does: visible down.

        Raises:
            ValueError: If the ratio does not leave a visible and a masked patch.

        Source: facebookresearch/mae models_mae.py; MAEViT.random_masking.
        """
        check_ratios(mask_ratio)
        num_visible = int(num_patches * (1 - mask_ratio))
        return cls(num_visible, num_patches - num_visible)


@dataclass(frozen=True)
class PatchPartition:
    """The three patch sets of every image of a batch, V + M + T = L.

    Attributes:
        ids_keep: Visible patches, (B, V) int64, in the encoder's token order.
        ids_mask: Masked patches, (B, M) int64.
        ids_throw: Thrown patches, (B, T) int64.
        ids_restore: Place of each patch in [visible | masked | thrown], (B, L) int64.
        mask: 1 for masked, 0 for visible and thrown patches, (B, L) float32.
    """

    ids_keep: Tensor
    ids_mask: Tensor
    ids_throw: Tensor
    ids_restore: Tensor
    mask: Tensor

    @property
    def budget(self) -> PatchBudget:
        """The counts V, M and T."""
        sets = (self.ids_keep, self.ids_mask, self.ids_throw)
        return PatchBudget(*(ids.shape[1] for ids in sets))

    @property
    def ids_seen(self) -> Tensor:
        """Patches that are not thrown, visible first, (B, V + M)."""
        return torch.cat([self.ids_keep, self.ids_mask], dim=1)

    @property
    def thrown(self) -> Tensor:
        """True for thrown patches, (B, L) bool."""
        budget = self.budget
        return self.ids_restore >= budget.num_visible + budget.num_masked

    def to_raster(self, values: Tensor) -> Tensor:
        """Put what a decoder gives for each patch into raster order, (B, L, …).

        ``values`` are (B, L, …) in raster order if no patch is thrown, else (B, V + M,
        …) as [visible | masked]; thrown patches become zeros, which the mask keeps out
        of losses.
        """
        if self.ids_throw.shape[1] == 0:
            return values
        ids = self.ids_seen.view(*values.shape[:2], *[1] * (values.ndim - 2))
        shape = (len(values), self.mask.shape[1], *values.shape[2:])
        return values.new_zeros(shape).scatter(1, ids.expand_as(values), values)


def gather_tokens(tokens: Tensor, ids: Tensor) -> Tensor:
    """Take tokens (B, N, C) at the places ``ids`` (B, n): (B, n, C)."""
    return tokens.gather(1, ids.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))


def partition_patches(ids_shuffle: Tensor, budget: PatchBudget) -> PatchPartition:
    """Cut an order of all patches into visible, masked and thrown.

    ``ids_shuffle`` is a permutation of the patch ids per image, (B, L) int64, in the
    order [visible | masked | thrown].

    Raises:
        ValueError: If the counts do not sum to L.
    """
    batch_size, num_patches = ids_shuffle.shape
    if budget.num_patches != num_patches:
        raise ValueError(
            f'{budget} is for {budget.num_patches} patches, the order has {num_patches}'
        )
    counts = [budget.num_visible, budget.num_masked, budget.num_thrown]
    ids_keep, ids_mask, ids_throw = ids_shuffle.split(counts, dim=1)
    places = torch.arange(num_patches, device=ids_shuffle.device)
    places = places.expand(batch_size, -1)
    # zeros: an order that is no permutation leaves places unwritten
    ids_restore = torch.zeros_like(ids_shuffle).scatter_(1, ids_shuffle, places)
    mask = torch.zeros(ids_shuffle.shape, device=ids_shuffle.device)
    mask.scatter_(1, ids_mask, 1.0)
    return PatchPartition(ids_keep, ids_mask, ids_throw, ids_restore, mask)
