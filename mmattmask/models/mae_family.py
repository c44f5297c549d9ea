"""Relatives of MAE as hosts: MFF, EVA in MAE style, MAE with HiViT, MILAN."""

from typing import Any

from mmpretrain.models import EVA, MFF, MILAN, MAEHiViT, MAEViT, MFFViT, MILANViT
from torch import Tensor, nn

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.models.guided import GuidedHost, PartitionedBackbone
from mmattmask.models.mae_host import MAEHost
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import cut


@MODELS.register_module()
class GuidedMFFViT(PartitionedBackbone, MFFViT):
    """Stock MFFViT that encodes the visible patches its host chose."""

    def forward(self, x: Tensor, mask: bool | None = True) -> tuple[Tensor, ...]:
        """Encode visible patches as MFFViT, or whole images.

        Args:
            x: Normalised images, (B, 3, H, W).
            mask: None or False: features of whole images.
        """
        if mask:
            return super().forward(x, mask)
        # Differs from MMPretrain, where this ends in MAEViT's default: masked features.
        return MAEViT.forward(self, x, mask=None)


@MODELS.register_module()
class GuidedMFF(MAEHost, MFF):
    """MFF whose masks come from a mask generator and, if given, a scorer."""


@MODELS.register_module()
class GuidedEVA(MAEHost, EVA):
    """EVA in MAE style whose masks come from a mask generator and, if given, a scorer.

    It takes a ``GuidedMAEViT`` and a ``GuidedMAEDecoder`` with CLIP's width.
    """


@MODELS.register_module()
class GuidedMAEHiViT(PartitionedBackbone, MAEHiViT):
    """Stock MAEHiViT that encodes the visible patches its host chose; for GuidedMAE.

    Raises:
        ValueError: If the patch size does not divide the image, or the image is not
            square.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.img_size = tuple(self.patch_embed.img_size)
        height, width = self.patch_resolution = cut(self.img_size, self.patch_size)
        if height != width:
            raise ValueError(
                'HiViT interpolates its position embedding for square images only, got '
                f'{self.img_size[0]} x {self.img_size[1]} px'
            )

    def masking_id(
        self, batch_size: int, mask_ratio: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the partition's visible patches, in place of random ones.

        Args:
            batch_size: Number of images.
            mask_ratio: The stock ratio; it counts only without a partition.

        Returns:
            ids_keep (B, V), ids_restore (B, L), mask (B, L) with 1 = masked.
        """
        if self.partition is None:
            return super().masking_id(batch_size, mask_ratio)
        partition = self.partition
        return partition.ids_keep, partition.ids_restore, partition.mask


@MODELS.register_module()
class GuidedMILANViT(PartitionedBackbone, MILANViT):
    """Stock MILANViT that encodes the visible patches its host chose."""

    def attention_masking(
        self, x: Tensor, mask_ratio: float, importance: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Gather the partition's visible patches, in place of CLIP's choice.

        Args:
            x: Patch tokens with position embedding, (B, L, C).
            mask_ratio: The stock ratio; it counts only without a partition.
            importance: CLIP's attention, (B, L); likewise.

        Returns:
            Visible tokens (B, V, C), ids_restore (B, L), ids_keep (B, V) and the ids of
            the masked patches (B, M).
        """
        if self.partition is None:
            return super().attention_masking(x, mask_ratio, importance)
        visible, _, ids_restore = self.random_masking(x, mask_ratio)
        return visible, ids_restore, self.partition.ids_keep, self.partition.ids_mask


@MODELS.register_module()
class GuidedMILAN(GuidedHost, MILAN):
    """MILAN whose masks come from a mask generator and, if given, a scorer.

    The targets stay CLIP's features; only the choice of the patches changes. MILAN
    compares visible patches too, so none can be thrown.

    Args:
        *args: As for MILAN, with a ``GuidedMILANViT``.
        mask_generator: Config of a mask generator.
        scorer: Config of a scorer. Defaults to None: no score.
        **kwargs: As for MILAN.
    """

    can_throw = False

    def __init__(
        self,
        *args: Any,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.init_guidance(mask_generator, scorer)
