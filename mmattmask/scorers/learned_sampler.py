"""Scores that learn which patches are hard to reconstruct, by sampling (AdaMAE)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.models import VisionTransformer
from mmpretrain.models.backbones.vision_transformer import TransformerEncoderLayer
from torch import Tensor, nn

from mmattmask.masking import PatchPartition
from mmattmask.masking.attention import at_least_float32
from mmattmask.registry import MODELS
from mmattmask.scorers.base import Scorer


@MODELS.register_module()
class LearnedSampler(Scorer):
    """Probabilities of patches, from one block on their embeddings.

    It goes with ``AMTMaskGenerator(throw_ratio=0, first='visible')``: what is drawn by
    the probabilities is *visible*. ``loss_sampling`` raises the probability of the
    masked patches with a large error, so hard patches come to be shown: the opposite of
    AMT, GPA and HPM. Its gradients reach the block, its positions and the host's patch
    embedding, as released.

    Args:
        loss_weight: Weight of ``loss_sampling``.
        num_heads: Attention heads of the block.
        drop_rate: Share of values that are dropped after the block's attention and
            feed-forward layers.

    Raises:
        ValueError: If an option is out of range, or the host has no plain ViT.

    Source: AdaMAE, https://arxiv.org/abs/2211.09120; wgcban/adamae models/pretrain/
    vit.py, msc/engine_for_pretraining.py.
    """

    def __init__(
        self, loss_weight: float = 1e-4, num_heads: int = 8, drop_rate: float = 0.1
    ) -> None:
        super().__init__()
        if loss_weight < 0 or not 0 <= drop_rate < 1:
            raise ValueError(
                f'loss_weight ({loss_weight}) must be at least 0 and drop_rate '
                f'({drop_rate}) in [0, 1)'
            )
        self.loss_weight = loss_weight
        self.num_heads = num_heads
        self.drop_rate = drop_rate

    def bind(self, host: nn.Module) -> None:
        """Make the block for the patch embedding of a plain ViT, or ValueError."""
        vit = host.backbone
        if not isinstance(vit, VisionTransformer):
            raise ValueError(
                'LearnedSampler needs a plain ViT to embed patches, '
                f'{type(vit).__name__} is none'
            )
        self.build(vit.patch_embed, vit.embed_dims, math.prod(vit.patch_resolution))

    def build(self, patch_embed: nn.Module, dims: int, num_patches: int) -> None:
        """Make the block; ``patch_embed`` returns L tokens (B, L, D) first."""
        if dims % self.num_heads:
            raise ValueError(
                f'num_heads ({self.num_heads}) must divide the width of the ViT '
                f'({dims})'
            )
        # not a submodule: it is the host's
        object.__setattr__(self, 'patch_embed', patch_embed)
        # named as all positions are: stock configs do not decay them
        self.pos_embed = nn.Parameter(torch.zeros(1, num_patches, dims))
        self.block = TransformerEncoderLayer(
            dims,
            self.num_heads,
            4 * dims,
            drop_rate=self.drop_rate,
            qkv_bias=False,
            norm_cfg=dict(type='LN', eps=1e-5),
        )
        for layer in self.block.ffn.layers[0]:
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0  # nothing is dropped inside the feed-forward layers
        self.logit = nn.Linear(dims, 1)

    def init_weights(self) -> None:
        """Initialise as released: positions 0, linear layers Xavier uniform."""
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None,
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the probabilities of the views' patches, (B, L), at least float32."""
        tokens = self.patch_embed(inputs)[0] + self.pos_embed
        logits = self.logit(self.block(tokens)).squeeze(2)
        return at_least_float32(logits).softmax(dim=1)

    def loss(
        self,
        score: Tensor,
        partition: PatchPartition,
        error: Tensor,
        progress: float,
        tokens: Tensor,
    ) -> dict[str, Tensor]:
        """Return minus the mean of ``log(p) * error`` over the masked patches."""
        # Differs from a policy gradient: the patches that were not drawn count, and
        # there is no baseline.
        surprise = score.clamp_min(torch.finfo(score.dtype).tiny).log() * error
        surprise = surprise.gather(1, partition.ids_mask).mean()
        return dict(loss_sampling=-self.loss_weight * surprise)
