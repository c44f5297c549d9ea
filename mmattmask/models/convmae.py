"""ConvMAE (MCMAE): a hierarchical encoder whose masks are decided before stage 1."""

import math
from typing import Any

from torch import Tensor, nn

from mmattmask.mask_generators import RandomMaskGenerator
from mmattmask.masking import PatchPartition
from mmattmask.models.convmae_blocks import VisibleCells, convolve
from mmattmask.models.convvit import ConvViT
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import grid_of


@MODELS.register_module()
class ConvMAEViT(ConvViT):
    """ConvViT that encodes visible patches: ConvMAE's encoder, for ``GuidedMAE``.

    Masks come before stage 1; pixels of hidden patches are never read.

    Args:
        *args: As for ConvViT.
        mask_ratio: Ratio of random masking while there is no partition.
        out_type: As for ConvViT, without masks.
        **kwargs: As for ConvViT.

    Raises:
        ValueError: As for ConvViT, or if the ratio leaves no visible or masked patch.

    Source: Alpha-VL/ConvMAE models_convmae.py.
    """

    takes_partition = True

    def __init__(
        self,
        *args: Any,
        mask_ratio: float = 0.75,
        out_type: str = 'raw',
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **dict(kwargs, out_type=out_type))
        self.pos_embed.requires_grad = False
        self.mask_ratio = mask_ratio
        RandomMaskGenerator(mask_ratio).budget(self.num_patches)
        side = self.patch_size
        self.fusions = nn.ModuleList()
        for stage in self.conv_stages:
            side //= stage.embed.conv.stride[0]
            dims = stage.embed.conv.out_channels
            self.fusions.append(nn.Conv2d(dims, self.embed_dims, side, stride=side))

    def forward(
        self, x: Tensor, mask: PatchPartition | bool | None = True
    ) -> tuple[Tensor, ...]:
        """Encode visible patches, (B, V, C), or whole images; see GuidedMAEViT."""
        if not mask:
            return super().forward(x)
        grid = grid_of(x.shape[-2:], self.patch_size)
        if not isinstance(mask, PatchPartition):
            unknown = x.new_zeros(len(x), math.prod(grid))
            mask = RandomMaskGenerator(self.mask_ratio)(unknown)
        ids_keep = mask.ids_keep
        # Differs from Alpha-VL/ConvMAE, which computes the convolutional stages for all
        # patches and multiplies by the mask: same results, a quarter of the work.
        pixels = VisibleCells(ids_keep, grid, self.patch_size)
        x = pixels.collect(x.permute(0, 2, 3, 1))
        fused: Tensor | int = 0
        for stage, fusion in zip(self.conv_stages, self.fusions, strict=True):
            x = stage(x, ids_keep, grid)
            fused = fused + convolve(fusion, x).flatten(1, -2)  # one cell per patch
        x = self.projection(self.patch_embed(x).flatten(1, -2))
        x = x + self._positions(grid)[0][ids_keep]
        for layer in self.layers:
            x = layer(x)
        return self.ln1(x + fused), mask.mask, mask.ids_restore
