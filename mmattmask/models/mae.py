"""MAE as a host: thrown tokens are never computed, grids may have any shape."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.models import MAE, MAEPretrainDecoder, MAEPretrainHead, MAEViT
from mmpretrain.models.utils import build_2d_sincos_position_embedding
from torch import Tensor, nn

from mmattmask.masking import PatchPartition
from mmattmask.models.guided import PartitionedBackbone
from mmattmask.models.mae_host import MAEHost
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import cut, patch_size_of


def _positions(grid: Sequence[int], like: Tensor) -> Tensor:
    """Sin-cos position embedding of CLS and a grid (h, w), (1, 1 + h * w, C)."""
    # The stock function runs through the grid column by column. With (w, h) it returns
    # what it returns for (h, w) on square grids and raster order on all others.
    height, width = grid
    return build_2d_sincos_position_embedding(
        (width, height), like.shape[-1], cls_token=True
    )


@MODELS.register_module()
class GuidedMAEViT(PartitionedBackbone, MAEViT):
    """Stock MAEViT that encodes the visible patches its host chose.

    Args:
        *args: As for MAEViT. ``img_size`` may be (h, w); ``mask_ratio`` is the ratio of
            random masking while there is no score.
        **kwargs: As for MAEViT.

    Raises:
        ValueError: If the patch size does not divide the image size.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        cut(self.img_size, patch_size_of(self))

    def init_weights(self) -> None:
        """Initialise as stock, with a position embedding for any grid."""
        # As MAEViT.init_weights of mmpretrain 1.2.0, which takes the grid for square.
        super(MAEViT, self).init_weights()
        self.pos_embed.data.copy_(_positions(self.patch_resolution, self.pos_embed))
        projection = self.patch_embed.projection.weight.data
        nn.init.xavier_uniform_(projection.view(projection.shape[0], -1))
        nn.init.normal_(self.cls_token, std=0.02)


@MODELS.register_module()
class GuidedMAEDecoder(MAEPretrainDecoder):
    """Stock MAE decoder that never computes thrown patches.

    Args:
        *args: As for MAEPretrainDecoder.
        grid: Patches of an image, (h, w). The host fills it in. Defaults to a square of
            ``num_patches``.
        with_cls_token: Whether the encoder's tokens begin with a CLS token. The host
            fills it in. Defaults to True.
        **kwargs: As for MAEPretrainDecoder.

    Attributes:
        partition: The partition of the batch in work, set by the host, or None.
        num_extra_tokens: Tokens before the patches: 1 with a CLS token, else 0.

    Raises:
        ValueError: If ``grid`` does not have ``num_patches`` cells.
    """

    partition: PatchPartition | None = None

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
            positions = _positions(self.grid, self.decoder_pos_embed)
            self.decoder_pos_embed.copy_(positions[:, 1 - self.num_extra_tokens :])
        nn.init.normal_(self.mask_token, std=0.02)

    def embed(self, x: Tensor, ids_restore: Tensor) -> Tensor:
        """Turn encoded tokens into decoder tokens with their positions.

        Args:
            x: Encoded tokens, CLS first if there is one, (B, 1 + V, C).
            ids_restore: Place of each patch in [visible | masked | thrown], (B, L).

        Returns:
            Decoder tokens, CLS first if there is one: (B, 1 + L, D) in raster order, or
            (B, 1 + V + M, D) as [CLS | visible | masked] where patches are thrown.
        """
        x = self.decoder_embed(x)
        first = self.num_extra_tokens
        batch_size, num_tokens, dims = x.shape
        num_patches = ids_restore.shape[1]
        num_thrown = 0 if self.partition is None else self.partition.ids_throw.shape[1]
        mask_tokens = self.mask_token.expand(
            batch_size, num_patches + first - num_tokens - num_thrown, dims
        )
        patches = torch.cat([x[:, first:], mask_tokens], dim=1)
        if not num_thrown:  # raster order, as stock
            index = ids_restore.unsqueeze(-1).expand(-1, -1, dims)
            tokens = torch.cat([x[:, :first], patches.gather(1, index)], dim=1)
            return tokens + self.decoder_pos_embed
        extra, positions = self.decoder_pos_embed.split([first, num_patches], dim=1)
        patches = patches + positions[0][self._ids_seen()]
        return torch.cat([x[:, :first] + extra, patches], dim=1)

    def decode(self, tokens: Tensor) -> Tensor:
        """Run blocks and norm on decoder tokens, (B, 1 + N, D)."""
        for block in self.decoder_blocks:
            tokens = block(tokens)
        return self.decoder_norm(tokens)

    def predict(self, features: Tensor) -> Tensor:
        """Turn decoded tokens (B, 1 + N, D) into pixels in raster order, (B, L, K)."""
        return self.to_raster(self.decoder_pred(features)[:, self.num_extra_tokens :])

    def to_raster(self, values: Tensor) -> Tensor:
        """Put per-patch values in the order of decoder tokens into raster order.

        Args:
            values: (B, L, K), or (B, V + M, K) where patches are thrown; no CLS.

        Returns:
            (B, L, K); zeros for thrown patches, which the mask keeps out of losses.
        """
        if self.partition is None or self.partition.ids_throw.shape[1] == 0:
            return values
        index = self._ids_seen().unsqueeze(-1).expand_as(values)
        zeros = values.new_zeros(len(values), self.num_patches, values.shape[-1])
        return zeros.scatter(1, index, values)

    def _ids_seen(self) -> Tensor:
        return torch.cat([self.partition.ids_keep, self.partition.ids_mask], dim=1)

    def forward(self, x: Tensor, ids_restore: Tensor) -> Tensor:
        """Predict the pixels of visible and masked patches.

        Args:
            x: Encoded tokens, CLS first, (B, 1 + V, C).
            ids_restore: Place of each patch in [visible | masked | thrown], (B, L).

        Returns:
            Predictions in raster order, (B, L, pixels); zeros for thrown patches.
        """
        return self.predict(self.decode(self.embed(x, ids_restore)))


@MODELS.register_module()
class GuidedMAEHead(MAEPretrainHead):
    """Stock MAE head for images of any shape."""

    def patchify(self, imgs: Tensor) -> Tensor:
        """Cut images (B, C, H, W) into patches (B, L, pixels).

        Raises:
            ValueError: If the patch size does not divide the images.
        """
        patch_size = self.patch_size
        batch_size, channels, height, width = imgs.shape
        if height % patch_size or width % patch_size:
            raise ValueError(
                f'patch_size ({patch_size}) does not divide images of '
                f'{height} x {width}'
            )
        patches = imgs.unflatten(3, (-1, patch_size)).unflatten(2, (-1, patch_size))
        patches = patches.permute(0, 2, 4, 3, 5, 1)  # B, h, w, p, p, C
        return patches.reshape(batch_size, -1, patch_size**2 * channels)

    def unpatchify(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Join patches (B, L, pixels) to images (B, C, H, W).

        Args:
            x: Patches in raster order.
            grid: Patches of an image, (h, w). Defaults to a square.
        """
        if grid is None:
            grid = (round(x.shape[1] ** 0.5),) * 2
        patch_size = self.patch_size
        patches = x.reshape(x.shape[0], *grid, patch_size, patch_size, self.in_channels)
        images = patches.permute(0, 5, 1, 3, 2, 4)
        return images.flatten(4, 5).flatten(2, 3)


@MODELS.register_module()
class GuidedMAE(MAEHost, MAE):
    """MAE whose masks come from a mask generator and, if given, a scorer.

    What can be inferred need not be in the config, see :class:`MAEHost`.
    """
