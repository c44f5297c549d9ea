"""ConvViT: convolutional stages before a ViT, what ConvMAE pre-trains."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmengine.model import ModuleList
from mmpretrain.models.backbones.base_backbone import BaseBackbone
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from mmpretrain.models.utils import (
    build_2d_sincos_position_embedding,
    resize_pos_embed,
    to_2tuple,
)
from torch import Tensor, nn

from mmattmask.masking.options import check_options
from mmattmask.models.convmae_blocks import ConvEmbed, ConvStage
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import grid_of

Arch = dict[str, Any]
ARCHS: dict[str, Arch] = {
    'base': dict(embed_dims=(256, 384, 768), depths=(2, 2, 11), num_heads=12),
    'small': dict(embed_dims=(128, 256, 384), depths=(2, 2, 11), num_heads=6),
}
OUT_TYPES = ('raw', 'featmap', 'avg_featmap')


@MODELS.register_module()
class ConvViT(BaseBackbone):
    """Two convolutional stages and a ViT without CLS token: ConvMAE to fine-tune.

    The official fine-tuning is ``out_type='avg_featmap', final_norm=False``; detection
    and segmentation take ``out_type='featmap'`` of all stages. No stage is fused into
    another, that is for pre-training only.

    Args:
        arch: ``'base'`` (the official one), ``'small'`` (not in the official code: the
            sizes of a public derivative), or a dict:

            - **embed_dims**: Channels of each stage, the transformer last.
            - **depths**: Blocks of each stage.
            - **num_heads**: Heads of the transformer.
            - **strides** (optional): Of each stage's embedding. Defaults to
              (4, 2, 2): patches of 16 px.
            - **mlp_ratio** (optional): Defaults to 4.

        img_size: Side of the images in px, or (height, width). Images of other sizes
            get a resized position embedding.
        in_channels: Channels of the images.
        out_indices: Stages to return, -1 is the last.
        drop_path_rate: Stochastic depth of the last block; it grows linearly.
        out_type: Of the last stage: ``'raw'`` tokens (B, L, C), ``'featmap'``
            (B, C, h, w) or ``'avg_featmap'`` (B, C), which has a norm of its own.
        final_norm: Whether a norm follows the last block.
        interpolate_mode: How the position embedding is resized.
        init_cfg: As for any module.

    Raises:
        ValueError: If an option does not exist, or the patch size does not divide the
            image size.

    Source: Alpha-VL/ConvMAE models_convvit.py.
    """

    cls_token = None
    num_extra_tokens = 0

    def __init__(
        self,
        arch: str | Arch = 'base',
        img_size: int | Sequence[int] = 224,
        in_channels: int = 3,
        out_indices: int | Sequence[int] = -1,
        drop_path_rate: float = 0.0,
        out_type: str = 'avg_featmap',
        final_norm: bool = True,
        interpolate_mode: str = 'bicubic',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        settings = _settings(arch)
        dims, strides = settings['embed_dims'], settings['strides']
        self.embed_dims, self.patch_size = dims[-1], math.prod(strides)
        self.img_size = tuple(to_2tuple(img_size))
        self.patch_resolution = grid_of(self.img_size, self.patch_size)
        self.num_patches = math.prod(self.patch_resolution)
        self.out_indices = _stages(out_indices, len(dims), out_type)
        self.out_type, self.interpolate_mode = out_type, interpolate_mode

        rates = np.linspace(0, drop_path_rate, sum(settings['depths'])).tolist()
        channels = (in_channels, *dims)
        self.conv_stages = ModuleList()
        for stage, depth in enumerate(settings['depths'][:-1]):
            own, rates = rates[:depth], rates[depth:]
            width, stride = channels[stage : stage + 2], strides[stage]
            self.conv_stages.append(
                ConvStage(width[0], width[1], stride, settings['mlp_ratio'], own)
            )
        self.patch_embed = ConvEmbed(channels[-2], channels[-1], strides[-1])
        self.projection = nn.Linear(self.embed_dims, self.embed_dims)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.num_patches, dims[-1]))
        hidden = int(self.embed_dims * settings['mlp_ratio'])
        norm_cfg = dict(type='LN', eps=1e-6)
        self.layers = ModuleList(
            TransformerEncoderLayer(
                self.embed_dims,
                settings['num_heads'],
                hidden,
                drop_path_rate=rate,
                norm_cfg=norm_cfg,
            )
            for rate in rates
        )
        self.ln1 = self._norm() if final_norm else nn.Identity()
        if out_type == 'avg_featmap':
            self.ln2 = self._norm()

    def _norm(self) -> nn.LayerNorm:
        return nn.LayerNorm(self.embed_dims, eps=1e-6)

    def init_weights(self) -> None:
        """Initialise weights; positions are sines and cosines."""
        super().init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        # The stock function runs through the grid column by column, see GuidedMAEViT.
        height, width = self.patch_resolution
        positions = build_2d_sincos_position_embedding((width, height), self.embed_dims)
        self.pos_embed.data.copy_(positions)
        nn.init.xavier_uniform_(self.patch_embed.conv.weight.data.flatten(1))

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        return resize_pos_embed(
            self.pos_embed, self.patch_resolution, grid, self.interpolate_mode, 0
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return features of whole images, one per stage of ``out_indices``."""
        grid = grid_of(x.shape[-2:], self.patch_size)
        outs = []
        x = x.permute(0, 2, 3, 1)
        for index, stage in enumerate(self.conv_stages):
            x = stage(x)
            if index in self.out_indices:
                outs.append(x.permute(0, 3, 1, 2).contiguous())
        x = self.projection(self.patch_embed(x).flatten(1, 2)) + self._positions(grid)
        for layer in self.layers:
            x = layer(x)
        if len(self.conv_stages) in self.out_indices:
            outs.append(self._format(self.ln1(x), grid))
        return tuple(outs)

    def _format(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:
        if self.out_type == 'featmap':
            return tokens.transpose(1, 2).unflatten(2, grid).contiguous()
        if self.out_type == 'avg_featmap':
            return self.ln2(tokens.mean(dim=1))
        return tokens

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Return a parameter's depth for layer-wise learning rates, and their number.

        Source: Alpha-VL/ConvMAE util/lr_decay.py: convolutional stages are the stem.
        """
        num_layers = len(self.layers) + 2
        name = param_name.removeprefix(prefix)
        if not param_name.startswith(prefix) or name.startswith(('ln', 'fusions')):
            return num_layers - 1, num_layers
        if name.startswith('layers.'):
            return int(name.split('.')[1]) + 1, num_layers
        return 0, num_layers


def _settings(arch: str | Arch) -> Arch:
    """Return an architecture with its defaults."""
    if isinstance(arch, str):
        check_options(arch=(arch, tuple(ARCHS)))
        arch = ARCHS[arch]
    settings: Arch = dict(strides=(4, 2, 2), mlp_ratio=4.0)
    settings.update(arch)
    names = {'embed_dims', 'depths', 'num_heads', 'strides', 'mlp_ratio'}
    if set(settings) != names:
        raise ValueError(
            f'arch needs embed_dims, depths and num_heads, and may have strides and '
            f'mlp_ratio, got {sorted(arch)}'
        )
    counts = {name: len(settings[name]) for name in ('embed_dims', 'depths', 'strides')}
    if len(set(counts.values())) != 1:
        raise ValueError(f'arch needs one value per stage everywhere, got {counts}')
    return settings


def _stages(
    out_indices: int | Sequence[int], num_stages: int, out_type: str
) -> tuple[int, ...]:
    """Return the stages to give out, counted from 0."""
    check_options(out_type=(out_type, OUT_TYPES))
    indices = (out_indices,) if isinstance(out_indices, int) else tuple(out_indices)
    if not all(-num_stages <= index < num_stages for index in indices):
        raise ValueError(
            f'out_indices must be in [{-num_stages}, {num_stages}), got {indices}'
        )
    stages = tuple(index % num_stages for index in indices)
    if out_type != 'featmap' and stages != (num_stages - 1,):
        raise ValueError(
            f"stages {stages} are maps: give out_type='featmap', got {out_type!r}"
        )
    return stages
