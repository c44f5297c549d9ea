"""Decoder and head of MAE: thrown patches are left out, grids may have any shape."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.model import BaseModule
from mmpretrain.models import MAEPretrainDecoder, MAEPretrainHead
from mmpretrain.models.utils import build_2d_sincos_position_embedding
from torch import Tensor, nn

from mmattmask.masking import PatchPartition, gather_tokens
from mmattmask.models.guided_parts import guides
from mmattmask.scorers.self_attention import grid_of


def sincos_positions(grid: Sequence[int], like: Tensor) -> Tensor:
    """Sin-cos position embedding of CLS and a grid (h, w), (1, 1 + h * w, C)."""
    # The stock function runs through the grid column by column. With (w, h) it returns
    # what it returns for (h, w) on square grids and raster order on all others.
    height, width = grid
    return build_2d_sincos_position_embedding(
        (width, height), like.shape[-1], cls_token=True
    )


class Decoded(NamedTuple):
    """What a decoder makes of a batch.

    Predictions in raster order, (B, L, K), zeros for thrown patches; its input, see
    ``GuidedMAEDecoder.embed``; the same after its blocks and norm.
    """

    pred: Tensor
    tokens: Tensor
    features: Tensor


@guides(MAEPretrainDecoder)
class GuidedMAEDecoder(MAEPretrainDecoder):
    """Stock MAE decoder that never computes thrown patches.

    Args:
        *args: As for MAEPretrainDecoder.
        grid: Patches of an image, (h, w). The host fills it in. Defaults to a square of
            ``num_patches``.
        with_cls_token: Whether the encoder's tokens begin with a CLS token. The host
            fills it in.
        **kwargs: As for MAEPretrainDecoder.

    Raises:
        ValueError: If ``grid`` does not have ``num_patches`` cells.
    """

    decoder_pos_embed: nn.Parameter

    def __init__(
        self,
        *args: Any,
        grid: tuple[int, int] | None = None,
        with_cls_token: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if grid is None:
            grid = (round(self.num_patches**0.5),) * 2
        if grid[0] * grid[1] != self.num_patches:
            raise ValueError(
                f'a grid of {grid[0]} x {grid[1]} has {grid[0] * grid[1]} patches, '
                f'num_patches is {self.num_patches}'
            )
        self.grid = tuple(grid)
        self.num_extra_tokens = int(with_cls_token)
        if not with_cls_token:
            # Differs from MMPretrain, which takes the first visible patch of an encoder
            # without a CLS token (HiViT) for one and shifts all others.
            self.decoder_pos_embed = nn.Parameter(
                self.decoder_pos_embed[:, 1:].clone(), requires_grad=False
            )

    def init_weights(self) -> None:
        """Initialise as stock, with a position embedding for any grid."""
        # As MAEPretrainDecoder.init_weights of mmpretrain 1.2.0 (square grids only).
        BaseModule.init_weights(self)
        with torch.no_grad():
            positions = sincos_positions(self.grid, self.decoder_pos_embed)
            self.decoder_pos_embed.copy_(positions[:, 1 - self.num_extra_tokens :])
        nn.init.normal_(self.mask_token, std=0.02)

    def embed(
        self, x: Tensor, ids_restore: Tensor, partition: PatchPartition | None = None
    ) -> Tensor:
        """Turn encoded tokens, (B, 1 + V, C), into decoder tokens with their positions.

        They are (B, 1 + L, D) in raster order, or (B, 1 + V + M, D) as [CLS | visible |
        masked] where the partition throws patches. Without a CLS token there is no
        first.
        """
        x = self.decoder_embed(x)
        first = self.num_extra_tokens
        batch_size, num_tokens, dims = x.shape
        num_patches = ids_restore.shape[1]
        num_thrown = 0 if partition is None else partition.ids_throw.shape[1]
        mask_tokens = self.mask_token.expand(
            batch_size, num_patches + first - num_tokens - num_thrown, dims
        )
        patches = torch.cat([x[:, first:], mask_tokens], dim=1)
        if partition is None or not num_thrown:  # raster order, as stock
            patches = gather_tokens(patches, ids_restore)
            tokens = torch.cat([x[:, :first], patches], dim=1)
            return tokens + self.decoder_pos_embed
        extra, positions = self.decoder_pos_embed.split([first, num_patches], dim=1)
        patches = patches + positions[0][partition.ids_seen]
        return torch.cat([x[:, :first] + extra, patches], dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Run blocks and norm on decoder tokens, (B, 1 + N, D)."""
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_norm(tokens)

    def forward(
        self,
        x: Tensor,
        ids_restore: Tensor,
        partition: PatchPartition | None = None,
        with_tokens: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Predict pixels, (B, L, pixels) in raster order, zeros for thrown patches.

        ``with_tokens`` returns what a :class:`Decoded` holds.
        """
        tokens = self.embed(x, ids_restore, partition)
        features = self.decode(tokens)
        pred = self.decoder_pred(features)[:, self.num_extra_tokens :]
        if partition is not None:
            pred = partition.to_raster(pred)
        return (pred, tokens, features) if with_tokens else pred


@guides(MAEPretrainHead)
class GuidedMAEHead(MAEPretrainHead):
    """Stock MAE head for images of any shape."""

    def patchify(self, imgs: Tensor) -> Tensor:
        """Cut images (B, C, H, W) into patches (B, L, pixels), or raise ValueError."""
        patch_size = self.patch_size
        grid_of(imgs.shape[-2:], patch_size, 'patch_size')
        patches = imgs.unflatten(3, (-1, patch_size)).unflatten(2, (-1, patch_size))
        patches = patches.permute(0, 2, 4, 3, 5, 1)  # B, h, w, p, p, C
        return patches.flatten(3).flatten(1, 2)

    def unpatchify(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Join patches, of a square or of a grid (h, w), to images (B, C, H, W)."""
        if grid is None:
            grid = (round(x.shape[1] ** 0.5),) * 2
        patch_size = self.patch_size
        patches = x.reshape(x.shape[0], *grid, patch_size, patch_size, self.in_channels)
        images = patches.permute(0, 5, 1, 3, 2, 4)
        return images.flatten(4, 5).flatten(2, 3)
