"""What turns a stock algorithm into a host that gathers visible patches."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator
from mmattmask.masking import PatchPartition
from mmattmask.models.guidance import Guidance
from mmattmask.scorers.self_attention import patch_size_of


class PartitionedBackbone:
    """Mixin for backbones that take the partition their host decided on.

    Attributes:
        partition: The partition of the batch in work, or None: then the stock random
            masking is used.
    """

    partition: PatchPartition | None = None

    def random_masking(
        self, x: Tensor, mask_ratio: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Gather the visible tokens, in place of the stock random masking.

        Args:
            x: Patch tokens with position embedding, (B, L, C).
            mask_ratio: The stock ratio; it counts only without a partition.

        Returns:
            Visible tokens (B, V, C), mask (B, L) with 1 = masked, ids_restore (B, L).
        """
        if self.partition is None:
            return super().random_masking(x, mask_ratio)  # type: ignore[misc]
        index = self.partition.ids_keep.unsqueeze(-1).expand(-1, -1, x.shape[-1])
        visible = x.gather(1, index)
        return visible, self.partition.mask, self.partition.ids_restore


class GuidedHost(Guidance):
    """Mixin for algorithms whose backbone is a :class:`PartitionedBackbone`.

    Before the stock ``loss`` runs, the scorer says how much each patch is attended and
    the mask generator who is visible, masked or thrown; backbone and neck find the
    partition in their ``partition`` attribute. While the scorer knows no score, masks
    are random at the stock ratio.

    Attributes:
        can_throw: Whether the host knows what to do without thrown patches.
    """

    backbone: nn.Module
    neck: nn.Module
    can_throw: bool = True

    def init_guidance(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | nn.Module | None,
        cell_size: int | None = None,
    ) -> None:
        """Build and check the policy and the scorer; call after ``super().__init__``.

        Args:
            mask_generator: The policy or its config.
            scorer: The scorer or its config, or None.
            cell_size: Side in px of the cells the policy decides on. Defaults to the
                patch size.

        Raises:
            ValueError: If the backbone takes no partition, the policy cannot give it
                one, or its attention cannot be read.
        """
        host = type(self).__name__
        if not isinstance(self.backbone, PartitionedBackbone):
            raise ValueError(
                f'{host} needs a backbone that takes a partition, such as '
                "type='mmattmask.GuidedMAEViT', got "
                f'{type(self.backbone).__name__}'
            )
        self.cell_size = cell_size or patch_size_of(self.backbone)
        self.build_guidance(
            mask_generator, scorer, RandomMaskGenerator(self.backbone.mask_ratio)
        )
        if self.scorer is not None:
            self.scorer.check(self.backbone)
        height, width = self.policy_grid(self.backbone.img_size)
        if not self.can_throw:
            self.check_throws_nothing(height * width)
        for generator in self.policies():
            if generator.variable_counts:
                raise ValueError(
                    f'{host} gathers the visible patches, so every image must have '
                    f'as many; with these options {type(generator).__name__} masks '
                    'another number in each image'
                )
            generator.budget(height * width)

    def score(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> Tensor | None:
        """Return the score of the views' cells, (B, L), or None if none is known.

        Raises:
            ValueError: If the views have not the size the model was built for.
        """
        size, expected = tuple(inputs.shape[-2:]), tuple(self.backbone.img_size)
        if self.policy_grid(size) != self.policy_grid(expected):
            raise ValueError(
                f'images of {size[0]} x {size[1]} px have a grid of '
                f'{self.policy_grid(size)} patches, the backbone was built for '
                f'{self.policy_grid(expected)}: set backbone.img_size'
            )
        return super().score(inputs, data_samples)

    def guide(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> tuple[Tensor | None, PatchPartition]:
        """Score a batch and decide who is visible, masked or thrown.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: One DataSample per view; None is enough without a scorer.

        Returns:
            The score of the patches, (B, L), or None if none is known, and the
            partition.
        """
        score = self.score(inputs, data_samples)
        return score, self.decide(score, inputs, self.rng)

    def partition(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> PatchPartition:
        """Return the partition that :meth:`guide` decides on."""
        return self.guide(inputs, data_samples)[1]

    @contextmanager
    def use_partition(self, partition: PatchPartition) -> Iterator[None]:
        """Let backbone and neck work on ``partition`` inside the block."""
        self.backbone.partition = self.neck.partition = partition
        try:
            yield
        finally:
            self.backbone.partition = self.neck.partition = None

    def loss(
        self, inputs: Tensor, data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Run the stock loss on the partition of this batch."""
        with self.use_partition(self.partition(inputs, data_samples)):
            return super().loss(inputs, data_samples, **kwargs)  # type: ignore[misc]
