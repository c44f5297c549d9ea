"""What every mask generator does."""

from abc import ABCMeta, abstractmethod

import torch
from torch import Tensor

from mmattmask.masking import PatchBudget, PatchPartition, partition_patches


class BaseMaskGenerator(metaclass=ABCMeta):
    """Turns a score into a partition of the patches.

    A subclass says how many patches each set gets (:meth:`budget`) and in which order
    they are taken (:meth:`shuffle`). It never sees images, epochs or models.

    Attributes:
        by_epoch: Whether ``progress`` is to change with epochs or with iterations.
        include_current: Whether ``progress`` is to count the one in work as done.
    """

    by_epoch: bool = True
    include_current: bool = False

    @abstractmethod
    def budget(self, num_patches: int) -> PatchBudget:
        """Return the counts for images of ``num_patches`` patches.

        Raises:
            ValueError: If the ratios leave no visible or no masked patch.
        """

    @abstractmethod
    def shuffle(
        self,
        score: Tensor,
        budget: PatchBudget,
        rng: torch.Generator | None,
        progress: float,
    ) -> Tensor:
        """Order the patches as [visible | masked | thrown], (B, L) int64."""

    def __call__(
        self,
        score: Tensor,
        rng: torch.Generator | None = None,
        progress: float = 0.0,
    ) -> PatchPartition:
        """Partition the patches of every image.

        Args:
            score: Score, (B, L); large = attended. A constant score says "nothing is
                known".
            rng: Source of randomness on the score's device. Defaults to torch's own.
            progress: Share of the training that is done, in [0, 1].

        Returns:
            The partition, with the same counts for every image.

        Raises:
            ValueError: If the ratios do not fit L.
        """
        budget = self.budget(score.shape[1])
        return partition_patches(self.shuffle(score, budget, rng, progress), budget)
