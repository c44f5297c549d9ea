"""Convolutional stages of ConvMAE that compute the cells of visible patches only.

Maps are channels-last, (..., H, W, C): a batch of whole images, (B, H, W, C), or of
visible patches, (B, V, s, s, C), each of them a small image of ``s x s`` cells. Strided
and point-wise layers never look across patches, so they treat both alike; the
depth-wise convolution does, and runs on the whole map with zeros for hidden cells.
"""

from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from mmcv.cnn.bricks.transformer import FFN
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn


class VisibleCells:
    """Where the cells of visible patches, (B, V), are on the whole map."""

    def __init__(self, ids_keep: Tensor, grid: tuple[int, int], side: int) -> None:
        batch_size, num_visible = ids_keep.shape
        height, width = grid[0] * side, grid[1] * side
        self.map_shape = (batch_size, height, width)
        self.cell_shape = (batch_size, num_visible, side, side)
        inside = torch.arange(side, device=ids_keep.device)
        image = torch.arange(batch_size, device=ids_keep.device).view(-1, 1, 1, 1)
        ids = ids_keep[..., None, None]  # B, V, 1, 1
        row = ids // grid[1] * side + inside.view(-1, 1)
        column = ids % grid[1] * side + inside
        # place of each cell in the maps of the batch as one list
        self.places = ((image * height + row) * width + column).flatten()

    def spread(self, cells: Tensor) -> Tensor:
        """Put cells (B, V, s, s, C) on a map (B, H, W, C) that is zero elsewhere."""
        batch_size, height, width = self.map_shape
        zeros = cells.new_zeros(batch_size * height * width, cells.shape[-1])
        spread = zeros.index_copy(0, self.places, cells.flatten(0, -2))
        return spread.unflatten(0, self.map_shape)

    def collect(self, maps: Tensor) -> Tensor:
        """Take the cells (B, V, s, s, C) out of a map (B, H, W, C)."""
        cells = maps.flatten(0, -2).index_select(0, self.places)
        return cells.unflatten(0, self.cell_shape)


def convolve(conv: nn.Module, maps: Tensor) -> Tensor:
    """Run a convolution on channels-last maps, (..., H, W, C)."""
    images = maps.flatten(0, -4).permute(0, 3, 1, 2)
    return conv(images).permute(0, 2, 3, 1).unflatten(0, maps.shape[:-3])


class ConvEmbed(BaseModule):
    """Non-overlapping strided convolution, LayerNorm and GELU."""

    def __init__(self, in_channels: int, embed_dims: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, embed_dims, stride, stride=stride)
        self.ln = nn.LayerNorm(embed_dims)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Turn (..., H, W, C) into (..., H / stride, W / stride, D)."""
        return self.act(self.ln(convolve(self.conv, x)))


class ConvBlock(BaseModule):
    """A transformer block with a 5x5 depth-wise convolution in place of attention.

    Source: Alpha-VL/ConvMAE vision_transformer.py (its 1x1 convolutions are linear
        layers here: the same function, and one matrix product on channels-last maps).
    """

    def __init__(
        self, embed_dims: int, feedforward_channels: int, drop_path_rate: float = 0.0
    ) -> None:
        super().__init__()
        self.ln1 = nn.LayerNorm(embed_dims)
        self.pointwise1 = nn.Linear(embed_dims, embed_dims)
        self.depthwise = nn.Conv2d(
            embed_dims, embed_dims, kernel_size=5, padding=2, groups=embed_dims
        )
        self.pointwise2 = nn.Linear(embed_dims, embed_dims)
        self.drop_path = DropPath(drop_path_rate)
        self.ln2 = nn.LayerNorm(embed_dims)
        self.ffn = FFN(
            embed_dims,
            feedforward_channels,
            act_cfg=dict(type='GELU'),
            dropout_layer=dict(type='DropPath', drop_prob=drop_path_rate),
        )

    def init_weights(self) -> None:
        """Initialise as 1x1 convolutions, whatever the model does to linear layers."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                module.reset_parameters()

    def forward(self, x: Tensor, cells: VisibleCells | None = None) -> Tensor:
        """Mix neighbouring cells, then channels.

        ``x`` is (B, H, W, C), or (B, V, s, s, C) with ``cells``.
        """
        y = self.pointwise1(self.ln1(x))
        if cells is None:
            y = convolve(self.depthwise, y)
        else:
            y = cells.collect(convolve(self.depthwise, cells.spread(y)))
        x = x + self.drop_path(self.pointwise2(y))
        return self.ffn(self.ln2(x), identity=x)


class ConvStage(BaseModule):
    """An embedding and convolutional blocks at one resolution."""

    def __init__(
        self,
        in_channels: int,
        embed_dims: int,
        stride: int,
        mlp_ratio: float,
        drop_path_rates: Sequence[float],
    ) -> None:
        super().__init__()
        self.embed = ConvEmbed(in_channels, embed_dims, stride)
        self.blocks = ModuleList(
            ConvBlock(embed_dims, int(embed_dims * mlp_ratio), rate)
            for rate in drop_path_rates
        )

    def forward(
        self,
        x: Tensor,
        ids_keep: Tensor | None = None,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Run the stage on whole images, (B, H, W, C), or on visible patches.

        Those, (B, V, s, s, C), go with ``ids_keep`` and the grid (h, w) of all patches.
        """
        x = self.embed(x)
        cells = None
        if ids_keep is not None:
            assert grid is not None  # ConvMAEViT gives both
            cells = VisibleCells(ids_keep, grid, side=x.shape[-2])
        for block in self.blocks:
            x = block(x, cells)
        return x
