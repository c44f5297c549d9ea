"""What iBOT's downstream protocols need of a ViT: all outputs normalised, joined."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from mmpretrain.models import VisionTransformer
from torch import Tensor

from mmattmask.registry import MODELS


@MODELS.register_module()
class NormedViT(VisionTransformer):
    """MMPretrain's ViT with the final norm on every output, not only on the last.

    DINO and iBOT read several blocks so, for linear probes (the CLS tokens of the last
    four blocks) and for segmentation (``out_with_norm``).

    Args:
        *args: As for VisionTransformer.
        **kwargs: As for VisionTransformer; ValueError unless ``final_norm`` is on.

    Source: bytedance/ibot models/vision_transformer.py (get_intermediate_layers),
    evaluation/semantic_segmentation/mmcv_custom/register_backbone.py.
    """

    final_norm: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not self.final_norm:
            raise ValueError('NormedViT normalises every output: final_norm=False')
        # forward() would normalise the last output before _format_output does
        self.final_norm = False

    def _format_output(self, x: Tensor, hw: tuple[int, int]) -> Tensor:
        return super()._format_output(self.ln1(x), hw)


@MODELS.register_module()
class JoinTokens(BaseModule):
    """Neck that turns a ViT's outputs into one vector per image.

    CLS tokens, (B, C) each, are put side by side. Of all tokens, (B, 1 + L, C), CLS and
    the mean of the patches are.

    Source: bytedance/ibot evaluation/eval_linear.py.
    """

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor]:
        """Join the outputs of all blocks, (B, D) in a tuple as heads expect it."""
        return (torch.cat([pooled(tokens) for tokens in inputs], dim=1),)


def pooled(tokens: Tensor) -> Tensor:
    """Return (B, C) as it is; CLS and mean patch, (B, 2 C), of (B, 1 + L, C)."""
    if tokens.ndim == 2:
        return tokens
    return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1)
