"""What every mask generator does."""

from abc import ABCMeta, abstractmethod
from typing import Any

import torch
from torch import Tensor

from mmattmask.masking import PatchBudget, PatchPartition, partition_patches
from mmattmask.registry import TASK_UTILS


class BaseMaskGenerator(metaclass=ABCMeta):
    """Turns a score into a partition of the patches.

    A subclass says how many patches each set gets (:meth:`budget`) and either in which
    order they are taken (:meth:`shuffle`) or who is masked (:meth:`mask`).

    Attributes:
        variable_counts: Whether images may differ in their number of masked patches.
            Such a generator offers :meth:`mask` only, for hosts with mask tokens.
        least_ratio: Smallest share of the patches that an image may have masked, if
            that varies: where it is less than one patch, losses that average over the
            masked patches of a batch may be undefined.
        takes_labels: Whether the score is a label map, whole numbers without an order.
        uses_progress: Whether ``progress`` changes what is masked.
        by_epoch: Whether ``progress`` is to change with epochs or with iterations.
        include_current: Whether ``progress`` is to count the one in work as done.
        in_raster_order: Whether the order inside of each set is that of places only.
    """

    variable_counts: bool = False
    least_ratio: float = 1.0
    takes_labels: bool = False
    uses_progress: bool = False
    by_epoch: bool = True
    include_current: bool = False
    in_raster_order: bool = False

    @abstractmethod
    def budget(self, num_patches: int) -> PatchBudget:
        """Return the counts for images of ``num_patches`` patches.

        Raises:
            ValueError: If the ratios leave no visible or no masked patch.
        """

    def max_masked(self, num_patches: int) -> int:
        """Return the largest number of patches that may be masked in one image.

        Too small a number lets hosts drop masked patches; the default is safe.
        """
        return (
            num_patches if self.variable_counts else self.budget(num_patches).num_masked
        )

    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
        grid: tuple[int, int] | None,
    ) -> Tensor:
        """Order the patches as [visible | masked | thrown], (B, L) int64.

        Policies that make masks inherit this: visible first, in raster order.
        """
        return self.mask(score, rng, progress, grid).argsort(dim=1, stable=True)

    def __init_subclass__(cls, **kwargs: object) -> None:
        """Raise TypeError unless the policy has an order or a mask of its own."""
        super().__init_subclass__(**kwargs)
        cls.in_raster_order = cls.shuffle is BaseMaskGenerator.shuffle
        if cls.in_raster_order and cls.mask is BaseMaskGenerator.mask:
            raise TypeError(f'{cls.__name__} must implement shuffle() or mask()')

    def __call__(
        self,
        score: Tensor,
        rng: torch.Generator | None = None,
        progress: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> PatchPartition:
        """Partition the patches of every image, with the same counts.

        Args:
            score: (B, L); large = attended. A constant one says "nothing is known".
            rng: Source of randomness on the score's device. Defaults to torch's own.
            progress: Share of the training that is done, in [0, 1].
            grid: Patches of an image, (h, w), for policies with a sense of place.

        Raises:
            ValueError: If the ratios do not fit L.
        """
        budget = self.budget(score.shape[1])
        ids_shuffle = self.shuffle(score, budget, rng, progress, grid)
        return partition_patches(ids_shuffle, budget)

    def mask(
        self,
        score: Tensor,
        rng: torch.Generator | None = None,
        progress: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Return only who is masked, (B, L) float32 with 1 = masked; as for a call."""
        return self(score, rng, progress, grid).mask


def build_policy(policy: dict[str, Any] | BaseMaskGenerator) -> BaseMaskGenerator:
    """Return a policy; its config is enough."""
    built: BaseMaskGenerator = (
        TASK_UTILS.build(policy) if isinstance(policy, dict) else policy
    )
    return built


def check_grid(grid: tuple[int, int] | None, score: Tensor) -> tuple[int, int]:
    """Return the grid, or raise ValueError if it is not that of the score."""
    if grid is None or grid[0] * grid[1] != score.shape[1]:
        raise ValueError(
            'policies with a sense of place need the grid (h, w) of the '
            f'{score.shape[1]} patches, got {grid}'
        )
    return grid
