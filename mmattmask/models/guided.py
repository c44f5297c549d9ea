"""What turns a stock algorithm into a host of guided masking."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator
from mmattmask.mask_generators.progress import training_progress
from mmattmask.masking import PatchPartition
from mmattmask.registry import MODELS, TASK_UTILS
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


class GuidedHost:
    """Mixin for algorithms whose backbone is a :class:`PartitionedBackbone`.

    Before the stock ``loss`` runs, the scorer says how much each patch is attended and
    the mask generator who is visible, masked or thrown; backbone and neck find the
    partition in their ``partition`` attribute. Without a score (no scorer, or none yet)
    a generator that needs one gives way to random masking at the stock ratio.

    Attributes:
        mask_generator: The policy.
        warmup_mask_generator: The policy while there is no score.
        scorer: The source of scores, or None.
        rng: Source of randomness of the masks; None means torch's own.
    """

    backbone: nn.Module
    neck: nn.Module
    rng: torch.Generator | None = None

    def init_guidance(
        self,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | nn.Module | None,
    ) -> None:
        """Build and check the policy and the scorer; call after ``super().__init__``.

        Raises:
            ValueError: If the backbone takes no partition, the ratios do not fit its
                number of patches, or its attention cannot be read.
        """
        if not isinstance(self.backbone, PartitionedBackbone):
            raise ValueError(
                f'{type(self).__name__} needs a backbone that takes a partition, such '
                "as type='mmattmask.GuidedMAEViT', got "
                f'{type(self.backbone).__name__}'
            )
        if isinstance(mask_generator, dict):
            mask_generator = TASK_UTILS.build(mask_generator)
        if isinstance(scorer, dict):
            scorer = MODELS.build(scorer)
        self.mask_generator = mask_generator
        self.scorer = scorer
        self.warmup_mask_generator: BaseMaskGenerator = mask_generator
        if scorer is not None:
            scorer.check(self.backbone)
            self.warmup_mask_generator = RandomMaskGenerator(self.backbone.mask_ratio)
        height, width = self.backbone.patch_resolution
        for generator in (self.mask_generator, self.warmup_mask_generator):
            generator.budget(height * width)

    def attention_grid(self, image_size: Sequence[int]) -> tuple[int, int]:
        """Return the patch grid (h, w) of images of ``image_size`` (H, W) px.

        Raises:
            ValueError: If the patch size does not divide the image.
        """
        height, width = image_size
        patch_size = patch_size_of(self.backbone)
        if height % patch_size or width % patch_size:
            raise ValueError(
                f'the patch size ({patch_size}) does not divide the image size '
                f'({height} x {width})'
            )
        return height // patch_size, width // patch_size

    @torch.no_grad()
    def score(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> Tensor | None:
        """Return the score of the views' patches, (B, L), or None if none is known.

        Raises:
            ValueError: If the views have not the size the model was built for.
        """
        grid = self.attention_grid(inputs.shape[-2:])
        if grid != tuple(self.backbone.patch_resolution):
            raise ValueError(
                f'images of {inputs.shape[-2]} x {inputs.shape[-1]} px have a grid of '
                f'{grid} patches, the backbone was built for '
                f'{tuple(self.backbone.patch_resolution)}: set backbone.img_size'
            )
        if self.scorer is None:
            return None
        patch_size = patch_size_of(self.backbone)
        return self.scorer(inputs, data_samples, grid, patch_size)

    @torch.no_grad()
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

    @torch.no_grad()
    def decide(
        self, score: Tensor | None, inputs: Tensor, rng: torch.Generator | None = None
    ) -> PatchPartition:
        """Partition the patches of a batch by its score, or at random without one.

        Args:
            score: Score, (B, L), or None if none is known.
            inputs: The views, (B, 3, H, W); only their number and device count.
            rng: Source of randomness. Defaults to torch's own.
        """
        generator = self.mask_generator
        if score is None:
            generator = self.warmup_mask_generator
            height, width = self.backbone.patch_resolution
            score = inputs.new_zeros(inputs.shape[0], height * width)
        progress = training_progress(generator.by_epoch, generator.include_current)
        return generator(score, rng, progress)

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

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """Add ``mode='attention'`` to the stock modes.

        Going through ``forward`` keeps wrappers (DDP, FSDP) in charge.

        Args:
            inputs: Normalised images, (B, 3, H, W); in ``'attention'`` mode whole
                images of any size that the patch size divides.
            data_samples: One DataSample per image; needed for ``'loss'``.
            mode: ``'tensor'``, ``'loss'`` or ``'attention'``.

        Returns:
            For ``'attention'``: attention maps, (B, h, w) float32. Else as stock.

        Raises:
            ValueError: For ``'attention'`` without a scorer.
        """
        if mode != 'attention':
            return super().forward(inputs, data_samples, mode)  # type: ignore[misc]
        if self.scorer is None:
            raise ValueError("mode='attention' needs a scorer, the model has none")
        grid = self.attention_grid(inputs.shape[-2:])
        return self.scorer.measure(self.backbone, inputs).unflatten(1, grid)
