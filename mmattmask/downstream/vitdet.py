"""The plain ViT of ViTDet: windows, a few global blocks, relative positions."""

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from mmcv.cnn.bricks import DropPath
from mmengine.model import ModuleList
from mmengine.utils import to_2tuple
from mmpretrain.models.backbones.vit_sam import (
    Attention,
    TransformerEncoderLayer,
    ViTSAM,
    window_partition,
    window_unpartition,
)
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from mmattmask.export.fit_vit import fit_pos_embed
from mmattmask.registry import MODELS


def relative_table(rel_pos: Tensor, size: int) -> Tensor:
    """Return the row of the distance of each query and key coordinate, (size, size, d).

    ``rel_pos`` has a row per distance, (2 * n - 1, d); interpolated if n is not
    ``size``.

    Source: facebookresearch/detectron2 detectron2/modeling/backbone/utils.py.
    """
    if len(rel_pos) != 2 * size - 1:
        rel_pos = F.interpolate(rel_pos.T[None], 2 * size - 1, mode='linear')[0].T
    position = torch.arange(size, device=rel_pos.device)
    return rel_pos[position[:, None] - position + size - 1]


class ViTDetAttention(Attention):
    """Attention with decomposed relative positions, without an L x L matrix of them.

    The term added to the logits, ``q . R_h[y, y'] + q . R_w[x, x']``, is itself a
    product: queries get their products with all rows and columns as further channels,
    keys get one-hot coordinates there. So the fused kernels of torch apply, whose
    memory grows with L; stock ViTSAM and detectron2 keep several (L, L) matrices per
    head.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attend within each of the maps, (B, h, w, C)."""
        batch, height, width, _ = x.shape
        qkv = self.qkv(x).reshape(batch, height * width, 3, self.num_heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if self.use_rel_pos:
            query, key = self._with_positions(query, key, height, width)
        else:
            query = query * self.scale
        x = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        x = x.transpose(1, 2).reshape(batch, height, width, -1)
        return self.proj(x)

    def _with_positions(
        self, query: Tensor, key: Tensor, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        """Append rows and columns as channels; (B, heads, L, d) -> (.., d + h + w)."""
        table_h = relative_table(self.rel_pos_h, height)
        table_w = relative_table(self.rel_pos_w, width)
        maps = query.unflatten(2, (height, width))
        rows = torch.einsum('bnhwd,hkd->bnhwk', maps, table_h).flatten(2, 3)
        columns = torch.einsum('bnhwd,wkd->bnhwk', maps, table_w).flatten(2, 3)
        like: dict[str, Any] = dict(dtype=key.dtype, device=key.device)
        is_row = torch.eye(height, **like).repeat_interleave(width, dim=0)
        is_column = torch.eye(width, **like).repeat(height, 1)
        coordinates = torch.cat([is_row, is_column], dim=1).expand(
            *key.shape[:2], -1, -1
        )
        query = torch.cat([query * self.scale, rows, columns], dim=-1)
        key = torch.cat([key, coordinates], dim=-1)
        pad = -query.shape[-1] % 8  # what the fused kernels need in half precision
        return F.pad(query, (0, pad)), F.pad(key, (0, pad))


class ViTDetLayer(TransformerEncoderLayer):
    """A block of ViTSAM that drops both of its branches, for each image."""

    def __init__(self, drop_path_rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(drop_path_rate=drop_path_rate, **kwargs)
        side = self.window_size
        self.attn = ViTDetAttention(
            self.embed_dims,
            kwargs['num_heads'],
            qkv_bias=kwargs['qkv_bias'],
            use_rel_pos=kwargs['use_rel_pos'],
            input_size=(side, side) if side else kwargs['input_size'],
        )
        # Differs from MMPretrain: ViTSAM drops the feed-forward branch only; ViTDet
        # drops the attention branch too.
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Tensor) -> Tensor:
        """Transform tokens (B, h, w, C), any h and w."""
        shortcut = x
        x = self.ln1(x)
        if self.window_size > 0:
            grid = x.shape[1:3]
            x, padded = window_partition(x, self.window_size)
            x = window_unpartition(self.attn(x), self.window_size, padded, grid)
        else:
            x = self.attn(x)
        x = shortcut + self.drop_path(x)
        return self.ffn(self.ln2(x), identity=x)


def _arch(embed_dims: int, num_heads: int) -> dict[str, Any]:
    return dict(
        embed_dims=embed_dims,
        num_layers=12,
        num_heads=num_heads,
        feedforward_channels=4 * embed_dims,
        global_attn_indexes=[2, 5, 8, 11],
    )


@MODELS.register_module()
class ViTDet(ViTSAM):
    """ViTDet's backbone: a pre-trained plain ViT for images of any size.

    It is MMPretrain's ViTSAM with ViTDet's stochastic depth, and with a position
    embedding of the size of pre-training that is interpolated in every step.

    Args:
        arch: ``'tiny'``, ``'small'``, ``'base'``, ``'large'``, ``'huge'`` or a dict,
            see ViTSAM.
        img_size: Side, or (height, width), of the usual image in px: the size of the
            relative positions in global blocks.
        pretrain_img_size: The same of pre-training: the size of the position embedding.
        patch_size: In px.
        window_size: Side of a window in patches; 0 makes all blocks global.
        drop_path_rate: Rate of the last block; it grows linearly from 0 in the first.
        out_indices: Blocks whose features are returned.
        qkv_bias: Queries, keys and values have a bias.
        use_abs_pos: There is a position embedding.
        use_rel_pos: There are relative positions, zero at first.
        with_cp: Compute blocks again in the backward pass.
        norm_cfg: Of the norms in the blocks.
        init_cfg: ``dict(type='Pretrained', _scope_='mmattmask', checkpoint=FILE)``.

    Source: ViTDet, https://arxiv.org/abs/2203.16527; facebookresearch/detectron2
    detectron2/modeling/backbone/vit.py.
    """

    arch_zoo: ClassVar[dict[str, dict[str, Any]]] = {
        **ViTSAM.arch_zoo,
        'tiny': _arch(embed_dims=192, num_heads=3),
        'small': _arch(embed_dims=384, num_heads=6),
    }

    def __init__(
        self,
        arch: str | dict[str, Any] = 'base',
        img_size: int | tuple[int, int] = 1024,
        pretrain_img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        window_size: int = 14,
        drop_path_rate: float = 0.0,
        out_indices: int | Sequence[int] = -1,
        qkv_bias: bool = True,
        use_abs_pos: bool = True,
        use_rel_pos: bool = True,
        with_cp: bool = False,
        norm_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            out_channels=0,
            # ViTSAM writes into the sequence
            out_indices=out_indices if isinstance(out_indices, int) else [*out_indices],
            use_abs_pos=False,
            use_rel_pos=use_rel_pos,
            window_size=window_size,
            init_cfg=init_cfg,
        )
        self.with_cp = with_cp
        self.use_abs_pos = use_abs_pos
        self.pos_embed = None
        if use_abs_pos:
            grid = _grid(pretrain_img_size, patch_size)
            self.pos_embed = nn.Parameter(torch.zeros(1, *grid, self.embed_dims))
            self._register_load_state_dict_pre_hook(self._prepare_pos_embed)
        last = max(self.num_layers - 1, 1)
        self.layers = ModuleList(
            ViTDetLayer(
                embed_dims=self.embed_dims,
                num_heads=self.arch_settings['num_heads'],
                feedforward_channels=self.arch_settings['feedforward_channels'],
                drop_path_rate=drop_path_rate * index / last,
                qkv_bias=qkv_bias,
                norm_cfg=norm_cfg or dict(type='LN', eps=1e-6),
                use_rel_pos=use_rel_pos,
                window_size=0 if index in self.global_attn_indexes else window_size,
                input_size=self.patch_resolution,
            )
            for index in range(self.num_layers)
        )

    def init_weights(self) -> None:
        """Initialise as ViTDet does, or from ``init_cfg``."""
        super(ViTSAM, self).init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.pos_embed is not None:
            nn.init.trunc_normal_(self.pos_embed, std=0.02)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return a map (B, C, h, w), no norm after it, for each of ``out_indices``."""
        x, grid = self.patch_embed(x)
        x = x.unflatten(1, grid)
        if self.pos_embed is not None:
            # Differs from MMPretrain: ViTSAM interpolates once, when it loads, and
            # trains positions of the large grid.
            shape = (1, *grid, self.embed_dims)
            x = x + fit_pos_embed(self.pos_embed, shape, grid)
        outs = []
        for index, layer in enumerate(self.layers):
            if self.with_cp and self.training:
                x = checkpoint(layer, x, use_reentrant=False)
            else:
                x = layer(x)
            if index in self.out_indices:
                outs.append(x.permute(0, 3, 1, 2))
        return tuple(outs)

    def _prepare_pos_embed(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        """Accept position embeddings of other forms and sizes when loading."""
        assert self.pos_embed is not None
        name, shape = f'{prefix}pos_embed', self.pos_embed.shape
        if name in state_dict and state_dict[name].shape != shape:
            grid = (shape[1], shape[2])
            state_dict[name] = fit_pos_embed(state_dict[name], shape, grid)


def _grid(img_size: int | tuple[int, int], patch_size: int) -> tuple[int, int]:
    height, width = to_2tuple(img_size)
    grid = (height // patch_size, width // patch_size)
    if math.prod(grid) == 0 or (height % patch_size, width % patch_size) != (0, 0):
        raise ValueError(
            f'pretrain_img_size {height} x {width} is not a multiple of patch_size '
            f'{patch_size}'
        )
    return grid
