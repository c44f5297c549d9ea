"""Hugging Face's ViTModel: names, and the ``config.json`` of its folder.

Source: huggingface/transformers src/transformers/models/vit/modeling_vit.py,
configuration_vit.py; the names are those of published checkpoints.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

QKV = ('query', 'key', 'value')
# Ours, and theirs after ``encoder.layer.N.`` or at the beginning.
IN_LAYERS = (
    ('attn.proj.', 'attention.output.dense.'),
    ('ffn.layers.0.0.', 'intermediate.dense.'),
    ('ffn.layers.1.', 'output.dense.'),
    ('ln1.', 'layernorm_before.'),
    ('ln2.', 'layernorm_after.'),
)
STARTS = (
    ('cls_token', 'embeddings.cls_token'),
    ('pos_embed', 'embeddings.position_embeddings'),
    ('patch_embed.projection.', 'embeddings.patch_embeddings.projection.'),
    ('ln1.', 'layernorm.'),
)
NEEDED = ('cls_token', 'pos_embed', 'patch_embed.projection.bias', 'ln1.weight')
# Heads of the usual widths: tiny, small, base, large, huge.
USUAL_HEADS = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}


def from_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of a ViTModel to MMPretrain's names.

    Raises:
        ValueError: If a block has no key or no value beside its query.
    """
    renamed = {}
    for name, value in state.items():
        match = re.fullmatch(
            r'encoder\.layer\.(\d+)\.attention\.attention\.(query|key|value)\.(\w+)',
            name,
        )
        if match is None:
            renamed[_to_ours(name)] = value
        elif match[2] == 'query':
            names = [name.replace('.query.', f'.{part}.') for part in QKV]
            if not all(part in state for part in names):
                raise ValueError(f'there is {name} but not its key and value')
            parts = torch.cat([state[part] for part in names])
            renamed[f'layers.{match[1]}.attn.qkv.{match[3]}'] = parts
    return renamed


def to_hugging_face(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of a plain ViT to those of a ViTModel without pooler.

    Raises:
        ValueError: If the ViT lacks what a ViTModel must have.
    """
    missing = [name for name in NEEDED if name not in state]
    if missing:
        raise ValueError(f'a ViTModel must have {", ".join(missing)}')
    renamed = {}
    for name, value in state.items():
        match = re.fullmatch(r'layers\.(\d+)\.attn\.qkv\.(\w+)', name)
        if match is None:
            renamed[_to_theirs(name)] = value
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
    """Return the ``config.json`` of a ViTModel.

    Args:
        state: Weights of a plain ViT under MMPretrain's names.
        num_heads: Weights do not tell. Defaults to the usual number for the width.
        grid: Patches (h, w) of the position embedding. Defaults to a square.

    Raises:
        ValueError: If the heads or the grid must be told, or do not fit.
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


def _to_theirs(name: str) -> str:
    layer = re.match(r'layers\.(\d+)\.', name)
    start = f'encoder.layer.{layer[1]}.' if layer else ''
    rest = name[layer.end() :] if layer else name
    for ours, theirs in IN_LAYERS if layer else STARTS:
        if rest.startswith(ours):
            return start + theirs + rest.removeprefix(ours)
    return name


def _to_ours(name: str) -> str:
    layer = re.match(r'encoder\.layer\.(\d+)\.', name)
    start = f'layers.{layer[1]}.' if layer else ''
    rest = name[layer.end() :] if layer else name
    for ours, theirs in IN_LAYERS if layer else STARTS:
        if rest.startswith(theirs):
            return start + ours + rest.removeprefix(theirs)
    return name
