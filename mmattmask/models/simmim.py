"""SimMIM as a host: masks are decided on cells, thrown tokens are never computed."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models import SimMIM
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmattmask.device import to_device
from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator
from mmattmask.masking import PatchPartition
from mmattmask.models.guidance import Guidance
from mmattmask.models.guided_parts import build_preprocessor
from mmattmask.models.simmim_vit import SimMIMViT
from mmattmask.registry import MODELS
from mmattmask.scorers import Scorer
from mmattmask.scorers.self_attention import patch_size_of


@MODELS.register_module()
class GuidedSimMIM(SimMIM):
    """SimMIM with a ViT whose masks come from a mask generator and, if given, a scorer.

    The policy decides on square cells; all patches of a cell share its fate. Masked
    patches become mask tokens, thrown ones enter neither the encoder nor the loss.
    While a scorer knows no score, the masks of the training pipeline stay, or cells are
    masked at random where the pipeline makes none. ``in_channels`` and
    ``encoder_stride`` of the neck, and ``patch_size`` of the head, are inferred.

    Args:
        backbone: Config of a ``SimMIMViT``, or a module.
        neck: Config of a stock ``SimMIMLinearDecoder``, or a module.
        head: Config of a stock ``SimMIMHead``, or a module.
        mask_generator: Config of a mask generator. SimMIM rounds counts up
            (``rounding='up'``).
        scorer: Config of a scorer. Without one the mask generator rules from the start.
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
        scorer: dict[str, Any] | Scorer | None = None,
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
        preprocessor = build_preprocessor(kwargs.pop('data_preprocessor', None))
        super().__init__(backbone, neck, head, data_preprocessor=preprocessor, **kwargs)
        head_size = getattr(self.head, 'patch_size', patch_size)
        if head_size != patch_size:
            raise ValueError(
                f'head.patch_size ({head_size}) must be the patch size ({patch_size})'
            )
        warmup = RandomMaskGenerator(warmup_mask_ratio)
        self.guidance = Guidance(mask_generator, scorer, warmup, cell_size, patch_size)
        grid = self.guidance.policy_grid(backbone.img_size)
        self.guidance.check_masks_something(grid)
        self.guidance.check_learns_nothing(type(self).__name__)
        self.guidance.bind(self, backbone.img_size)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return features of whole images."""
        return self.backbone(inputs, None)

    def loss(
        self,
        inputs: Tensor,
        data_samples: Sequence[DataSample] | None,
        **kwargs: Any,
    ) -> dict[str, Tensor]:
        """Run the stock loss on the masks of this batch, over masked patches only.

        ``data_samples`` may be None without a scorer. ValueError if views or masks of
        the pipeline have not the backbone's size.
        """
        if data_samples is None:
            data_samples = [DataSample() for _ in inputs]
        guidance = self.guidance
        guidance.check_size(inputs, self.backbone.img_size)
        score = guidance.score(inputs, data_samples)
        if self._keeps_masks(score, data_samples):
            masks = torch.stack([sample.mask for sample in data_samples])
            masks = to_device(masks, inputs.device)
            return self._loss(inputs, masks, masks)
        policy = guidance.policy(score)
        assert policy is not None  # there is always a warm-up
        if policy.variable_counts:
            mask = guidance.decide_mask(score, inputs, guidance.rng)
            masks = guidance.spread_values(mask, inputs.shape[-2:])
            return self._loss(inputs, masks, masks)
        cells = guidance.decide(score, inputs, guidance.rng)
        partition = guidance.spread(cells, inputs)
        masks = partition.mask.unflatten(1, tuple(self.backbone.patch_resolution))
        return self._loss(inputs, partition, masks)

    def _loss(
        self, inputs: Tensor, given: PatchPartition | Tensor, masks: Tensor
    ) -> dict[str, Tensor]:
        """Return the stock loss on masks (B, h, w), of which the backbone is given."""
        latent = self.backbone(inputs, given)
        return dict(loss=self.head.loss(self.neck(latent[0]), inputs, masks))

    def _keeps_masks(
        self, score: Tensor | None, data_samples: Sequence[DataSample]
    ) -> bool:
        """Whether the masks that the pipeline made count."""
        if score is not None or self.guidance.scorer is None:
            return False
        grid = tuple(self.backbone.patch_resolution)
        masks = [getattr(sample, 'mask', None) for sample in data_samples]
        if any(mask is None for mask in masks):
            return False
        shapes = {tuple(mask.shape) for mask in masks if mask is not None}
        if shapes != {grid}:
            raise ValueError(
                f'the training pipeline makes masks of {shapes}, the backbone has '
                f'{grid} patches: set input_size and model_patch_size of '
                'SimMIMMaskGenerator, or remove it'
            )
        return True
