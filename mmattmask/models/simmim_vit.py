"""A plain ViT for SimMIM, whose blocks never see thrown tokens."""

from typing import Any

import torch
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import BEiTPretrainViT
from mmpretrain.models.utils import resize_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.masking import PatchPartition, gather_tokens
from mmattmask.masking.options import check_options
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import grid_of, patch_size_of


@MODELS.register_module()
class SimMIMViT(BEiTPretrainViT):
    """SimMIM's ViT: a mask token replaces masked patches, all of them are encoded.

    It is stock BEiT with SimMIM's initialisation and feature maps as output. Tokens
    that a partition throws never enter a block; their features are zero. Positions are
    known by a shared relative position bias (SimMIM) or by a learnable absolute
    embedding: ``use_abs_pos_emb=True, use_shared_rel_pos_bias=False`` (AMT).

    Args:
        *args: As for BEiTPretrainViT. ``img_size`` may be (h, w).
        drop_path_rate: Rate of stochastic depth of the last block; it grows linearly.
        out_type: ``'featmap'`` for (B, C, h, w), or ``'raw'`` for (B, 1 + L, C).
        **kwargs: As for BEiTPretrainViT.

    Raises:
        ValueError: If an option does not go with SimMIM, or the patch size does not
            divide the image size.

    Source: SimMIM, https://arxiv.org/abs/2111.09886; microsoft/SimMIM models/simmim.py,
    models/vision_transformer.py. Throwing: AMT, https://arxiv.org/abs/2211.15362.
    """

    def __init__(
        self,
        *args: Any,
        drop_path_rate: float = 0.1,
        out_type: str = 'featmap',
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *args, drop_path_rate=drop_path_rate, out_type=out_type, **kwargs
        )
        check_options(out_type=(out_type, ('featmap', 'raw')))
        if self.use_rel_pos_bias:
            raise ValueError(
                'SimMIM pre-trains with one relative position bias for all blocks: use '
                'use_shared_rel_pos_bias=True instead of use_rel_pos_bias=True'
            )
        grid_of(self.img_size, patch_size_of(self))
        # Differs from MMPretrain: its BEiT layer drops the output of the FFN twice, in
        # the FFN and in the layer, so at a rate of 0.1 it drops 0.19.
        for layer in self.layers:
            layer.ffn.dropout_layer = nn.Identity()

    def init_weights(self) -> None:
        """Initialise as the official SimMIM does."""
        super().init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                _trunc_normal(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for token in (self.cls_token, self.mask_token, self.pos_embed):
            if token is not None:
                _trunc_normal(token)
        self.rescale_init_weight()

    def forward(
        self, x: Tensor, mask: PatchPartition | Tensor | None
    ) -> tuple[Tensor, ...]:
        """Encode images (B, C, H, W); features of thrown patches are zero.

        ``mask`` is a partition; or 1 for masked and 0 for visible patches, (B, h, w);
        None encodes the images as they are.

        Raises:
            ValueError: If the patch size does not divide the images, or relative
                positions do not fit their size.
        """
        self._check_images(x)
        if mask is None:
            return super().forward(x, None)
        # As BEiTPretrainViT.forward of mmpretrain 1.2.0 where nothing is thrown.
        x, grid = self.patch_embed(x)
        ids = None
        if isinstance(mask, PatchPartition):
            ids, mask = _ids_seen(mask), mask.mask
        weight = mask.flatten(1).unsqueeze(-1).type_as(self.mask_token)
        x = x * (1.0 - weight) + self.mask_token * weight
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        if self.pos_embed is not None:
            x = x + resize_pos_embed(
                self.pos_embed,
                self.patch_resolution,
                grid,
                self.interpolate_mode,
                self.num_extra_tokens,
            )
        x = self.drop_after_pos(x)
        bias = None if self.rel_pos_bias is None else self.rel_pos_bias()
        num_tokens = x.shape[1]
        if ids is not None:
            x = gather_tokens(x, ids)
            bias = None if bias is None else _bias_between(bias, ids)
        outs = []
        for i, layer in enumerate(self.layers):
            x = layer(x, bias)  # by place, for checkpointing
            if i == self.num_layers - 1 and self.final_norm:
                x = self.norm1(x)
            if i in self.out_indices:
                tokens = x if ids is None else _to_raster(x, ids, num_tokens)
                outs.append(self._format_output(tokens, grid))
        return tuple(outs)

    def _check_images(self, x: Tensor) -> None:
        grid = grid_of(x.shape[-2:], patch_size_of(self))
        if self.rel_pos_bias is not None and grid != tuple(self.patch_resolution):
            raise ValueError(
                f'images of {x.shape[-2]} x {x.shape[-1]} px have {grid} patches, the '
                f'relative position bias is for {tuple(self.patch_resolution)}: set '
                'img_size'
            )


def _ids_seen(partition: PatchPartition) -> Tensor | None:
    """Ids of CLS (0) and the patches that are not thrown, (B, N); None: all."""
    if partition.ids_throw.shape[1] == 0:
        return None
    return F.pad(partition.ids_seen + 1, (1, 0))


def _bias_between(bias: Tensor, ids: Tensor) -> Tensor:
    """Pick each image's tokens from a bias (heads, N, N): (B, heads, n, n)."""
    return bias[:, ids.unsqueeze(2), ids.unsqueeze(1)].transpose(0, 1)


def _to_raster(x: Tensor, ids: Tensor, num_tokens: int) -> Tensor:
    """Put tokens (B, n, C) at their places among all, zeros elsewhere: (B, N, C)."""
    zeros = x.new_zeros(len(x), num_tokens, x.shape[-1])
    return zeros.scatter(1, ids.unsqueeze(-1).expand_as(x), x)


def _trunc_normal(parameter: Tensor, std: float = 0.02) -> None:
    """Fill from a normal distribution cut at one standard deviation."""
    trunc_normal_(parameter, std=std, a=-std, b=std)
