"""What SimMIM and BEiT call otherwise than a plain ViT: biases and layer scales.

The plain form has one bias for queries, keys and values, and the layer scales of
MMPretrain's VisionTransformer.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

# Of BEiT and SimMIM, of timm, and of MMPretrain's VisionTransformer.
LAYER_SCALES = (
    ('gamma_1', 'ls1.gamma', 'attn.gamma1.weight'),
    ('gamma_2', 'ls2.gamma', 'ffn.gamma2.weight'),
)
# The linear layers that they follow.
SCALED = {'attn.gamma1.weight': 'attn.proj', 'ffn.gamma2.weight': 'ffn.layers.1'}
BEIT = re.compile(r'\.q_bias$|relative_position_bias_table$')
SHARED_TABLE = 'rel_pos_bias.relative_position_bias_table'


def has_beit_names(state: Mapping[str, Tensor]) -> bool:
    """Return whether weights are of a ViT with the additions of BEiT."""
    return any(BEIT.search(name) for name in state)


def to_plain(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give biases and layer scales of any of the three forms the plain form.

    That is ``attn.qkv.bias``, ``attn.gamma1.weight`` and ``ffn.gamma2.weight``; other
    weights must be under MMPretrain's names. ValueError for half a bias.
    """
    plain = {}
    for name, value in state.items():
        if name.endswith('.attn.v_bias'):
            continue
        if name.endswith('.attn.q_bias'):
            block = name.removesuffix('q_bias')
            if f'{block}v_bias' not in state:
                raise ValueError(f'there is {name} but no {block}v_bias')
            biases = [value, torch.zeros_like(value), state[f'{block}v_bias']]
            name, value = f'{block}qkv.bias', torch.cat(biases)
        for beit, timm, ours in LAYER_SCALES:
            name = re.sub(
                rf'(layers\.\d+\.)({beit}|{re.escape(timm)})$', rf'\1{ours}', name
            )
        plain[name] = value
    return plain


def to_beit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Split biases and rename layer scales as BEiT has them; from the plain form.

    The bias of keys, which BEiT does not have, changes nothing: it adds the same to all
    logits of a query.
    """
    beit = {}
    for name, value in state.items():
        if name.endswith('.attn.qkv.bias'):
            block = name.removesuffix('qkv.bias')
            beit[f'{block}q_bias'], _, beit[f'{block}v_bias'] = value.chunk(3)
        else:
            beit[scales_as(0, name)] = value
    return beit


def scales_as(column: int, name: str) -> str:
    """Rename a plain layer scale to a column of ``LAYER_SCALES``."""
    for names in LAYER_SCALES:
        if name.endswith(f'.{names[-1]}'):
            return name.removesuffix(names[-1]) + names[column]
    return name


def fold_scales(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Multiply layer scales into the linear layers before them; from the plain form.

    The products are float32 at least: of half precision, scales of 1e-5 leave nothing.
    """
    folded = dict(state)
    for name, scale in state.items():
        for suffix, linear in SCALED.items():
            if not name.endswith(suffix):
                continue
            layer = name.removesuffix(suffix) + linear
            del folded[name]
            scale = scale.to(torch.promote_types(scale.dtype, torch.float32))
            folded[f'{layer}.weight'] = state[f'{layer}.weight'] * scale[:, None]
            if f'{layer}.bias' in state:
                folded[f'{layer}.bias'] = state[f'{layer}.bias'] * scale
    return folded


def expand_table(state: Mapping[str, Tensor], depth: int) -> dict[str, Tensor]:
    """Give each block its own copy of a shared relative position bias."""
    expanded = {k: v for k, v in state.items() if not k.startswith('rel_pos_bias.')}
    if SHARED_TABLE in state:
        for block in range(depth):
            name = f'layers.{block}.attn.relative_position_bias_table'
            expanded[name] = state[SHARED_TABLE]
    return expanded
