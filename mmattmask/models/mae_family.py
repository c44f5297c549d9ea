"""Relatives of MAE as hosts: MFF, EVA in MAE style, MAE with HiViT, MILAN."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import initialize
from mmpretrain.models import EVA, MFF, MILAN, MAEHiViT, MAEViT, MFFViT, MILANViT
from torch import Tensor

from mmattmask.mask_generators import BaseMaskGenerator, RandomMaskGenerator
from mmattmask.masking import PatchPartition, gather_tokens
from mmattmask.models.guidance import Guidance, Part
from mmattmask.models.guided_parts import (
    build_guided,
    build_preprocessor,
    check_takes_partition,
    guides,
)
from mmattmask.models.mae import GuidedMAE, GuidedMAEViT
from mmattmask.registry import MODELS
from mmattmask.scorers import Scorer
from mmattmask.scorers.self_attention import grid_of, patch_size_of


@guides(MFFViT)
class GuidedMFFViT(GuidedMAEViT, MFFViT):
    """Stock MFFViT that encodes the visible patches of a partition."""

    def forward(
        self, x: Tensor, mask: PatchPartition | bool | None = True
    ) -> tuple[Tensor, ...]:
        """Encode visible patches as MFFViT, or whole images; see GuidedMAEViT.

        Also returned are the weights of the blocks.
        """
        if not mask:
            # Differs from MMPretrain, where this ends in MAEViT's default: masked.
            return MAEViT.forward(self, x, mask=None)
        if not isinstance(mask, PatchPartition):
            return MFFViT.forward(self, x, mask)
        # As MFFViT.forward of mmpretrain 1.2.0, which draws the visible patches.
        x = self.embed_visible(x, mask)
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.out_indices:
                last = i == self.out_indices[-1]
                place = self.out_indices.index(i)
                outs.append(x if last else self.proj_layers[place](x))
        weights = self.proj_weights.softmax(dim=0)
        x = (torch.stack(outs) * weights).sum(dim=0)
        return self.norm1(x), mask.mask, mask.ids_restore, weights.view(-1)


@MODELS.register_module()
class GuidedMFF(GuidedMAE, MFF):
    """MFF whose masks come from a mask generator and, if given, a scorer."""

    def loss(
        self, inputs: Tensor, data_samples: Sequence[Any] | None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Return ``loss``, see GuidedMAE, and the weights of the blocks for the log."""
        losses = super().loss(inputs, data_samples, **kwargs)
        weights = self.backbone.proj_weights.softmax(dim=0).view(-1)
        return losses | {f'weight_{i}': weight for i, weight in enumerate(weights)}


@MODELS.register_module()
class GuidedEVA(GuidedMAE, EVA):
    """EVA in MAE style whose masks come from a mask generator and, if given, a scorer.

    Its backbone and decoder are ``GuidedMAE``'s, the latter with CLIP's width.
    """

    def target(self, inputs: Tensor) -> Tensor:
        """Return CLIP's features of the patches, (B, L, K)."""
        features, _ = self.target_generator(inputs)
        return features[:, 1:]

    def patch_targets(self, target: Tensor) -> Tensor:
        """Return what each patch is to become: CLIP's features."""
        return target


@guides(MAEHiViT)
class GuidedMAEHiViT(MAEHiViT):
    """Stock MAEHiViT that encodes the visible patches of a partition; for GuidedMAE.

    ValueError if the patch size does not divide the image, or it is not square.
    """

    takes_partition = True
    cls_token = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.img_size = tuple(self.patch_embed.img_size)
        height, width = self.patch_resolution = grid_of(self.img_size, self.patch_size)
        if height != width:
            raise ValueError(
                'HiViT interpolates its position embedding for square images only, got '
                f'{self.img_size[0]} x {self.img_size[1]} px'
            )

    def init_weights(self) -> None:
        """Initialise as stock, which passes over ``init_cfg``; then by that."""
        super().init_weights()
        if self.init_cfg:
            initialize(self, self.init_cfg)

    def forward(
        self, x: Tensor, mask: PatchPartition | bool | None = True
    ) -> tuple[Tensor, ...]:
        """Encode visible patches, (B, V, C), or whole images; see GuidedMAEViT."""
        if not isinstance(mask, PatchPartition):
            return super().forward(x, mask or None)
        # As MAEHiViT.forward of mmpretrain 1.2.0, which draws the visible patches.
        size = x.shape[-2:]
        x = self.patch_embed(x)
        inside = x.shape[2:]  # of each patch
        x = gather_tokens(x.flatten(2), mask.ids_keep).unflatten(2, inside)
        for block in self.blocks[: -self.num_main_blocks]:
            x = block(x)
        x = x[..., 0, 0, :]
        if self.ape:
            positions = self.interpolate_pos_encoding(x, *size)
            positions = positions.expand(len(x), -1, -1)
            x = x + gather_tokens(positions, mask.ids_keep)
        x = self.pos_drop(x)
        for block in self.blocks[-self.num_main_blocks :]:
            x = block(x)
        return x, mask.mask, mask.ids_restore


@guides(MILANViT)
class GuidedMILANViT(GuidedMAEViT, MILANViT):
    """Stock MILANViT that encodes the visible patches of a partition."""

    def forward(  # type: ignore[override]  # the stock name and type
        self, x: Tensor, importance: PatchPartition | Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Encode visible patches, or whole images.

        ``importance`` is a partition; or CLIP's attention, (B, L), by which stock MILAN
        draws it; None encodes whole images. Returns visible tokens, CLS first, (B, 1 +
        V, C), ids_restore (B, L), ids_keep (B, V) and the ids of the masked patches (B,
        M).
        """
        if not isinstance(importance, PatchPartition):
            return MILANViT.forward(self, x, importance)
        tokens, _, ids_restore = GuidedMAEViT.forward(self, x, importance)
        return tokens, ids_restore, importance.ids_keep, importance.ids_mask


@MODELS.register_module()
class GuidedMILAN(MILAN):
    """MILAN whose masks come from a mask generator and, if given, a scorer.

    MILAN compares visible patches with CLIP's features too, so none can be thrown.

    Args:
        backbone: Config of a ``GuidedMILANViT``, or of the stock one.
        *args: As for MILAN.
        mask_generator: See ``GuidedMAE``.
        scorer: See ``GuidedMAE``.
        cell_size: See ``GuidedMAE``.
        **kwargs: As for MILAN.

    Raises:
        ValueError: If the parts do not fit each other.
    """

    def __init__(
        self,
        backbone: Part,
        *args: Any,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | Scorer | None = None,
        cell_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        encoder, host = build_guided(backbone), type(self).__name__
        check_takes_partition(encoder, host)
        preprocessor = build_preprocessor(kwargs.pop('data_preprocessor', None))
        super().__init__(encoder, *args, data_preprocessor=preprocessor, **kwargs)
        if self.target_generator is not None:  # DDP waits for no gradient of CLIP
            self.target_generator.requires_grad_(False)
        patch_size = patch_size_of(encoder)
        warmup = RandomMaskGenerator(encoder.mask_ratio)
        self.guidance = Guidance(
            mask_generator, scorer, warmup, cell_size or patch_size, patch_size
        )
        self.guidance.check_counts(host)
        grid = self.guidance.policy_grid(encoder.img_size)
        self.guidance.check_throws_nothing(host, grid)
        self.guidance.check_learns_nothing(host)
        self.guidance.bind(self, encoder.img_size)

    def extract_feat(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return features of whole images."""
        return self.backbone(inputs, None)

    def loss(
        self, inputs: Tensor, data_samples: Sequence[Any] | None, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Run the stock loss on the partition of this batch."""
        features, _ = self.target_generator(inputs)
        self.guidance.check_size(inputs, self.backbone.img_size)
        _, partition = self.guidance.guide(inputs, data_samples)
        encoded = self.backbone(inputs, partition)
        pred = self.neck(*encoded)
        return dict(loss=self.head.loss(pred, features))
