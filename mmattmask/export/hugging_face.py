"""Hugging Face's ViTModel: names, and the ``config.json`` of its folder.

Source: huggingface/transformers src/transformers/models/vit/modeling_vit.py,
configuration_vit.py; the names are those of published checkpoints.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from mmattmask.export.vit_keys import Names, rename

QKV = ('query', 'key', 'value')
NAMES = Names(
    'encoder.layer.',
    (
        ('cls_token', 'embeddings.cls_token'),
        ('pos_embed', 'embeddings.position_embeddings'),
        ('patch_embed.projection.', 'embeddings.patch_embeddings.projection.'),
        ('ln1.', 'layernorm.'),
    ),
    (
        ('attn.proj.', 'attention.output.dense.'),
        ('ffn.layers.0.0.', 'intermediate.dense.'),
        ('ffn.layers.1.', 'output.dense.'),
        ('ln1.', 'layernorm_before.'),
        ('ln2.', 'layernorm_after.'),
    ),
)
NEEDED = ('cls_token', 'pos_embed', 'patch_embed.projection.bias', 'ln1.weight')
# Heads of the usual widths: tiny, small, base, large, huge.
USUAL_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}


def to_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of a plain ViT to those of a ViTModel without pooler.

    ValueError if some are missing.
    """
    missing = [name for name in NEEDED if name not in state]
    if missing:
        raise ValueError(f'a ViTModel must have {", ".join(missing)}')
    renamed = {}
    for name, value in state.items():
        match = re.fullmatch(r'layers\.(\d+)\.attn\.qkv\.(\w+)', name)
        if match is None:
            renamed[rename(name, NAMES)] = value
            continue
        attention = f'encoder.layer.{match[1]}.attention.attention'
        for part, rows in zip(QKV, value.chunk(3), strict=True):
            renamed[f'{attention}.{part}.{match[2]}'] = rows
    return renamed


def vit_config(
    state: Mapping[str, Tensor],
    num_heads: int | None = None,
    grid: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Return the ``config.json`` of a ViTModel, given a plain ViT's weights.

    Weights do not tell ``num_heads``, by default the usual number for the width, nor
    ``grid``, patches (h, w) of the position embedding, by default a square. ValueError
    if these do not fit.
    """
    weight = state['patch_embed.projection.weight']
    width, channels, *patch = weight.shape
    num_heads = num_heads or USUAL_HEADS.get(width)
    if not num_heads or width % num_heads:
        raise ValueError(
            f'the number of heads of a ViT of width {width} cannot be {num_heads}: '
            'give num_heads (--num-heads)'
        )
    rows = state['pos_embed'].shape[1] - 1
    height, columns = grid or (math.isqrt(rows),) * 2
    if height * columns != rows:
        raise ValueError(
            f'a grid of {height} x {columns} does not have {rows} patches: give grid '
            '(--grid H W)'
        )
    image = [height * patch[0], columns * patch[1]]
    depth = 1 + max(int(m[1]) for n in state if (m := re.match(r'layers\.(\d+)', n)))
    return dict(
        architectures=['ViTModel'],
        model_type='vit',
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=num_heads,
        intermediate_size=len(state['layers.0.ffn.layers.0.0.weight']),
        hidden_act='gelu',
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.02,
        # Theirs is 1e-12 unless told; MMPretrain's, timm's and MAE's is this.
        layer_norm_eps=1e-6,
        image_size=image[0] if image[0] == image[1] else image,
        patch_size=patch[0] if patch[0] == patch[1] else patch,
        num_channels=channels,
        qkv_bias='layers.0.attn.qkv.bias' in state,
        encoder_stride=patch[0],
        torch_dtype=str(weight.dtype).removeprefix('torch.'),
    )
