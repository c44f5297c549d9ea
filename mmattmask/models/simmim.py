"""SimMIM as a host: masks are decided on cells, thrown tokens are never computed."""

from collections.abc import Sequence
from typing import Any

from mmpretrain.models import SimMIM
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator
from mmattmask.masking import expand_mask, expand_partition
from mmattmask.models.guided import GuidedHost
from mmattmask.models.simmim_vit import SimMIMViT
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import patch_size_of


@MODELS.register_module()
class GuidedSimMIM(GuidedHost, SimMIM):
    """SimMIM with a ViT whose masks come from a mask generator and, if given, a scorer.

    The policy decides on square cells; all patches of a cell share its fate. Masked
    patches become mask tokens, thrown ones enter neither the encoder nor the loss.

    Without a scorer the mask generator rules from the start. With one, while it knows
    no score, the masks of the training pipeline stay
    (``SimMIMMaskGenerator(mask_ratio=...)``, 0.6 in SimMIM, 0.44 in AMT's release), or
    cells are masked at random where the pipeline makes none.

    What can be inferred need not be in the config: ``in_channels`` and
    ``encoder_stride`` of the neck, and ``patch_size`` of the head.

    Args:
        backbone: Config of a ``SimMIMViT``, or a module.
        neck: Config of a stock ``SimMIMLinearDecoder``, or a module.
        head: Config of a stock ``SimMIMHead``, or a module.
        mask_generator: Config of a mask generator. SimMIM rounds counts up
            (``rounding='up'``).
        scorer: Config of a scorer. Defaults to None: no score.
        cell_size: Side of a cell in px, a multiple of the patch size.
        warmup_mask_ratio: Share of the cells that are masked while there is no score
            and the pipeline makes no masks.
        **kwargs: As for SimMIM.

    Raises:
        ValueError: If the parts or sizes do not fit each other.

    Source: AMT, https://arxiv.org/abs/2211.15362; guijiejie/AMT
    SimMIM-AMT/models/simmim.py.
    """

    backbone: SimMIMViT

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        neck: dict[str, Any] | nn.Module,
        head: dict[str, Any] | nn.Module,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | nn.Module | None = None,
        cell_size: int = 32,
        warmup_mask_ratio: float = 0.6,
        **kwargs: Any,
    ) -> None:
        if isinstance(backbone, dict):
            backbone = MMPRETRAIN_MODELS.build(backbone)
        if not isinstance(backbone, SimMIMViT):
            raise ValueError(
                "GuidedSimMIM needs backbone type='mmattmask.SimMIMViT', got "
                f'{type(backbone).__name__}; it can mask by attention, without '
                'throwing, in a stock SimMIM with data_preprocessor type='
                "'mmattmask.GuidedDataPreprocessor'"
            )
        patch_size = patch_size_of(backbone)
        if isinstance(neck, dict):
            width = backbone.embed_dims
            neck = dict(in_channels=width, encoder_stride=patch_size) | neck
        if isinstance(head, dict):
            head = dict(patch_size=patch_size) | head
        super().__init__(backbone, neck, head, **kwargs)
        self.cell_size = cell_size
        warmup = RandomMaskGenerator(warmup_mask_ratio)
        self.build_guidance(mask_generator, scorer, warmup)
        self.check_masks_something()
        self._check_parts()

    def _check_parts(self) -> None:
        patch_size = patch_size_of(self.backbone)
        if self.cell_size < 1 or self.cell_size % patch_size:
            raise ValueError(
                f'cell_size ({self.cell_size}) must be a multiple of the patch size '
                f'({patch_size})'
            )
        head_size = getattr(self.head, 'patch_size', patch_size)
        if head_size != patch_size:
            raise ValueError(
                f'head.patch_size ({head_size}) must be the patch size ({patch_size})'
            )
        height, width = self.policy_grid(self.backbone.img_size)
        for generator in (self.mask_generator, self.warmup_mask_generator):
            if not generator.variable_counts:
                generator.budget(height * width)
        if self.scorer is not None:
            self.scorer.check(self.backbone)

    def loss(
        self,
        inputs: Tensor,
        data_samples: Sequence[DataSample] | None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Run the stock loss on the masks of this batch.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: One DataSample per view; None is enough without a scorer.
                ``mask`` is set in each: (h, w), 1 = masked, 0 = visible or thrown.
            **kwargs: As for SimMIM.

        Returns:
            ``loss``, over masked patches only.

        Raises:
            ValueError: If views or masks of the pipeline have not the backbone's size.
        """
        if data_samples is None:
            data_samples = [DataSample() for _ in inputs]
        score = self.score(inputs, data_samples)
        if self._keeps_masks(score, data_samples):
            return SimMIM.loss(self, inputs, data_samples, **kwargs)
        grid = self.policy_grid(inputs.shape[-2:])
        factor = self.cell_size // patch_size_of(self.backbone)
        if self.policy(score).variable_counts:
            tokens = None
            mask = expand_mask(self.decide_mask(score, inputs, self.rng), grid, factor)
        else:
            cells = self.decide(score, inputs, self.rng)
            tokens = expand_partition(cells, grid, factor)
            mask = tokens.mask.unflatten(1, (grid[0] * factor, grid[1] * factor))
        for sample, own in zip(data_samples, mask, strict=True):
            sample.set_mask(own)
        with self.use_partition(tokens):
            # not super().loss: GuidedHost would decide a second time
            return SimMIM.loss(self, inputs, data_samples, **kwargs)

    def _keeps_masks(
        self, score: Tensor | None, data_samples: Sequence[DataSample]
    ) -> bool:
        """Whether the masks that the pipeline made count."""
        if score is not None or self.scorer is None:
            return False
        grid = tuple(self.backbone.patch_resolution)
        masks = [getattr(sample, 'mask', None) for sample in data_samples]
        if any(mask is None for mask in masks):
            return False
        shapes = {tuple(mask.shape) for mask in masks}
        if shapes != {grid}:
            raise ValueError(
                f'the training pipeline makes masks of {shapes}, the backbone has '
                f'{grid} patches: set input_size and model_patch_size of '
                'SimMIMMaskGenerator, or remove it'
            )
        return True
