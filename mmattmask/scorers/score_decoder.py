"""A second decoder on the decoder tokens: one scalar for each patch."""

import copy
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmattmask.masking.attention import at_least_float32, full_precision


class ScoreDecoder(BaseModule):
    """Predict a scalar for each patch, with a decoder of the pixel decoder's make.

    It has blocks (as the pixel decoder's first ``depth``, or all), norm and output
    layer of its own; embedding, mask token and positions stay the pixel decoder's. The
    output is averaged over its channels. ValueError if there are not so many blocks.

    Source: HPM; Lrbomchz/MM2024_GPA model_GPA_learn_atten.py.
    """

    def __init__(self, neck: Any, depth: int | None = None) -> None:
        super().__init__()
        num_blocks = len(neck.decoder_blocks)
        if depth is None:
            depth = num_blocks
        if not 1 <= depth <= num_blocks:
            raise ValueError(
                f'depth must be in 1..{num_blocks}, the depth of the pixel decoder, '
                f'got {depth}'
            )
        self.blocks = copy.deepcopy(neck.decoder_blocks[:depth])
        self.ln1 = copy.deepcopy(neck.decoder_norm)  # stock configs: no decay for 'ln'
        self.pred = copy.deepcopy(neck.decoder_pred)
        self.pred.reset_parameters()

    def copy_blocks(self, neck: Any) -> None:
        """Take over the weights of the pixel decoder's blocks."""
        for block, source in zip(self.blocks, neck.decoder_blocks, strict=False):
            _copy(source, block)

    def copy_all(self, neck: Any) -> None:
        """Take over the weights of the pixel decoder's blocks, norm and output."""
        self.copy_blocks(neck)
        _copy(neck.decoder_norm, self.ln1)
        _copy(neck.decoder_pred, self.pred)

    def forward(self, tokens: Tensor) -> Tensor:
        """Turn decoder tokens, CLS first, (B, 1 + N, D) into scalars (B, 1 + N)."""
        for block in self.blocks:
            tokens = block(tokens)
        features = at_least_float32(self.ln1(tokens))
        # the mean of the outputs is one output, of the mean weights
        weight, bias = self.pred.weight.mean(dim=0), self.pred.bias.mean()
        with full_precision(features):
            return features @ weight.to(features) + bias.to(features)


@torch.no_grad()
def _copy(source: nn.Module, target: nn.Module) -> None:
    for value, new in zip(target.parameters(), source.parameters(), strict=True):
        value.copy_(new)


def zero_weighted(module: nn.Module) -> Tensor:
    """Return a zero to which each of the module's parameters contributes.

    So an idle module has zero gradients instead of none, as DDP without
    ``find_unused_parameters`` requires.
    """
    return torch.stack([p.flatten()[0] for p in module.parameters()]).sum() * 0.0
