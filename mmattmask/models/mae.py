"""MAE as a host: thrown tokens are never computed, grids may have any shape."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models import MAE, MAEPretrainHead, MAEViT
from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator
from mmattmask.mask_generators.progress import training_progress
from mmattmask.masking import PatchPartition, gather_tokens, relative_score
from mmattmask.masking.attention import at_least_float32
from mmattmask.models.guidance import Guidance, Part
from mmattmask.models.guided_parts import (
    build_guided,
    build_preprocessor,
    check_takes_partition,
    guides,
)
from mmattmask.models.mae_decoder import Decoded, GuidedMAEDecoder, sincos_positions
from mmattmask.registry import MODELS
from mmattmask.scorers import Scorer
from mmattmask.scorers.self_attention import grid_of, patch_size_of


@guides(MAEViT)
class GuidedMAEViT(MAEViT):
    """Stock MAEViT that encodes the visible patches of a partition.

    Args:
        *args: As for MAEViT. ``img_size`` may be (h, w); ``mask_ratio`` is the ratio of
            random masking while the scorer knows no score; without a scorer it is the
            policy's.
        secondary_ratio: Share of the visible patches that the encoder gets as a learned
            token, in their places (secondary masking, UM-MAE).
        **kwargs: As for MAEViT.

    Attributes:
        rng: Source of randomness of the secondary masks; None means torch's own.

    Raises:
        ValueError: If the patch size does not divide the image size, or
            ``secondary_ratio`` is not in [0, 1).
    """

    takes_partition = True
    rng: torch.Generator | None = None

    def __init__(self, *args: Any, secondary_ratio: float = 0.0, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        grid_of(self.img_size, patch_size_of(self))
        if not 0 <= secondary_ratio < 1:
            raise ValueError(
                f'secondary_ratio must be at least 0 and below 1, got {secondary_ratio}'
            )
        self.secondary_ratio = secondary_ratio
        if secondary_ratio:
            self.visible_mask_token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))

    def init_weights(self) -> None:
        """Initialise as stock, with a position embedding for any grid."""
        # As MAEViT.init_weights of mmpretrain 1.2.0, which takes the grid for square.
        super(MAEViT, self).init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        self.pos_embed.data.copy_(
            sincos_positions(self.patch_resolution, self.pos_embed)
        )
        projection = self.patch_embed.projection.weight.data
        nn.init.xavier_uniform_(projection.view(projection.shape[0], -1))
        nn.init.normal_(self.cls_token, std=0.02)
        if self.secondary_ratio:
            nn.init.normal_(self.visible_mask_token, std=0.02)

    def embed_visible(self, x: Tensor, partition: PatchPartition) -> Tensor:
        """Turn images into CLS and visible tokens with positions, (B, 1 + V, C)."""
        x = self.patch_embed(x)[0] + self.pos_embed[:, 1:]
        cls_token = self.cls_token + self.pos_embed[:, :1]
        visible = gather_tokens(x, partition.ids_keep)
        if self.secondary_ratio:
            visible = self._hide_some(visible, partition.ids_keep)
        return torch.cat([cls_token.expand(len(x), -1, -1), visible], dim=1)

    def _hide_some(self, visible: Tensor, ids_keep: Tensor) -> Tensor:
        """Replace a share of the visible tokens, (B, V, C), drawn at random."""
        num_shown = int(ids_keep.shape[1] * (1 - self.secondary_ratio))
        noise = torch.rand(ids_keep.shape, generator=self.rng, device=visible.device)
        hidden = noise.argsort(dim=1).unsqueeze(2) >= num_shown
        token = self.visible_mask_token + self.pos_embed[0, 1:][ids_keep]
        return torch.where(hidden, token.type_as(visible), visible)

    def forward(
        self, x: Tensor, mask: PatchPartition | bool | None = True
    ) -> tuple[Tensor, ...]:
        """Encode visible patches of images (B, C, H, W), or whole images.

        ``mask`` is a partition; True draws patches at random at the stock ratio; None
        or False encodes all. Returns visible tokens after the final norm, CLS first,
        (B, 1 + V, C), mask (B, L) with 1 = masked and ids_restore (B, L); without a
        mask as VisionTransformer.
        """
        if not isinstance(mask, PatchPartition):
            return super().forward(x, mask or None)  # stock masks at False
        # As MAEViT.forward of mmpretrain 1.2.0, which draws the visible patches.
        x = self.embed_visible(x, mask)
        for layer in self.layers:
            x = layer(x)
        return self.norm1(x), mask.mask, mask.ids_restore


@MODELS.register_module()
class GuidedMAE(MAE):
    """MAE whose masks come from a mask generator and, if given, a scorer.

    Stock parts in the config are exchanged for ours that take a partition (``MAEViT``,
    ``MAEPretrainDecoder``, …). The decoder's grid, number of patches, patch size, input
    width and whether there is a CLS token, and the head's patch size, are inferred.

    Args:
        backbone: Config of a backbone that takes a partition, or of the stock one.
        neck: Config of a ``GuidedMAEDecoder``, or of the stock one.
        head: Config of a head.
        mask_generator: Config of a mask generator.
        scorer: Config of a scorer. While it knows no score, masks are random at the
            stock ratio.
        cell_size: Side in px of the squares of patches that share their fate. Defaults
            to the patch size.
        score_weight: How far the error of a masked patch counts by its score, see
            :func:`relative_score`: from 0, all alike, to 1, in proportion.
        **kwargs: As for the stock algorithm.

    Raises:
        ValueError: If the parts do not fit each other, or ``score_weight`` is not in
            [0, 1] or has no scorer.
    """

    def __init__(
        self,
        backbone: Part,
        neck: Part,
        head: Part,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | Scorer | None = None,
        cell_size: int | None = None,
        score_weight: float = 0.0,
        **kwargs: Any,
    ) -> None:
        encoder = build_guided(backbone)
        check_takes_partition(encoder, type(self).__name__)
        patch_size = patch_size_of(encoder)
        neck = build_guided(
            neck,
            num_patches=encoder.num_patches,
            grid=tuple(encoder.patch_resolution),
            patch_size=patch_size,
            embed_dim=encoder.embed_dims,
            with_cls_token=getattr(encoder, 'cls_token', None) is not None,
        )
        head = build_guided(head, patch_size=patch_size)
        preprocessor = build_preprocessor(kwargs.pop('data_preprocessor', None))
        super().__init__(encoder, neck, head, data_preprocessor=preprocessor, **kwargs)
        if self.target_generator is not None:  # it teaches: DDP waits for no gradient
            self.target_generator.requires_grad_(False)
        self._check_parts(tuple(encoder.patch_resolution), patch_size)
        self.guidance = Guidance(
            mask_generator,
            scorer,
            RandomMaskGenerator(encoder.mask_ratio),
            cell_size or patch_size,
            patch_size,
        )
        self.guidance.check_counts(type(self).__name__)
        self.guidance.bind(self, encoder.img_size)
        if not 0 <= score_weight <= 1 or (score_weight and scorer is None):
            raise ValueError(
                f'score_weight must be in [0, 1], and above 0 it needs a scorer, got '
                f'{score_weight} with scorer={scorer}'
            )
        self.score_weight = score_weight

    def _check_parts(self, grid: tuple[int, int], patch_size: int) -> None:
        backbone, neck, head = self.backbone, self.neck, self.head
        if not isinstance(neck, GuidedMAEDecoder):
            raise ValueError(
                f"{type(self).__name__} needs neck type='mmattmask.GuidedMAEDecoder', "
                f'got {type(neck).__name__}'
            )
        checks = {
            'grid': (neck.grid, grid),
            'embed_dim': (neck.decoder_embed.in_features, backbone.embed_dims),
        }
        if isinstance(head, MAEPretrainHead):
            pixels = patch_size**2 * head.in_channels
            checks['head.patch_size'] = (head.patch_size, patch_size)
            checks['output'] = (neck.decoder_pred.out_features, pixels)
        for name, (value, expected) in checks.items():
            if value != expected:
                raise ValueError(
                    f'neck or head do not fit the backbone: {name} is {value}, the '
                    f'backbone needs {expected}'
                )
        # our head overrides what takes images for square
        is_stock = getattr(type(head), 'patchify', None) is MAEPretrainHead.patchify
        if grid[0] != grid[1] and is_stock:
            raise ValueError(
                f'{type(head).__name__} takes square images only, the grid is '
                f"{grid[0]} x {grid[1]}: use head type='mmattmask.GuidedMAEHead'"
            )

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return features of whole images."""
        return self.backbone(inputs, None)

    def target(self, inputs: Tensor) -> Tensor:
        """Return what the head compares predictions with."""
        return inputs

    def loss(
        self, inputs: Tensor, data_samples: Sequence[Any] | None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Return ``loss``, and what scorer and other heads add to it.

        ``data_samples`` may be None without a scorer. ValueError if the views have not
        the size the model was built for.
        """
        return self.reconstruct(inputs, data_samples)[0]

    def reconstruct(
        self, inputs: Tensor, data_samples: Sequence[Any] | None
    ) -> tuple[dict[str, Tensor], Tensor, PatchPartition]:
        """Return the losses of a batch, its encoded tokens and its partition."""
        self.guidance.check_size(inputs, self.backbone.img_size)
        target = self.target(inputs)
        score, partition = self.guidance.guide(inputs, data_samples)
        # By place: MMEngine's activation checkpointing takes no keywords.
        latent, mask, ids_restore = self.backbone(inputs, partition)[:3]
        decoded = Decoded(*self.neck(latent, ids_restore, partition, True))
        if self.score_weight and score is not None:
            mask = mask * self._weights(score)
        losses = dict(loss=self.head.loss(decoded.pred, target, mask))
        losses |= self.other_losses(target, score, partition, decoded)
        return losses, latent, partition

    def _weights(self, score: Tensor) -> Tensor:
        """Return how much the error of each patch counts, (B, L), 1 on average.

        In place of the mask it makes the loss ``sum(w * error) / sum(w)``.
        """
        weights = 1 + self.score_weight * (relative_score(score.detach()) - 1)
        return self.guidance.spread_values(weights, self.backbone.img_size).flatten(1)

    def other_losses(
        self,
        target: Tensor,
        score: Tensor | None,
        partition: PatchPartition,
        decoded: Decoded,
    ) -> dict[str, Tensor]:
        """Return the losses beside that of the pixels: what the scorer learns."""
        scorer = self.guidance.scorer
        if scorer is None or not scorer.learns or score is None:
            return {}
        with torch.no_grad():
            difference = at_least_float32(decoded.pred) - self.patch_targets(target)
            error = difference.square().mean(dim=-1)
        progress = training_progress()
        return scorer.loss(score, partition, error, progress, decoded.tokens)

    def patch_targets(self, target: Tensor) -> Tensor:
        """Return what each patch is to become, (B, L, K), from :meth:`target`."""
        return self.head.construct_target(target)
