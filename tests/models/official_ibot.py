"""Weights of official iBOT and AttMask under our names and back, for golden values."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from mmattmask.export.vit_keys import TIMM, rename, to_mmpretrain_vit

# Official and our names of the parts of a checkpoint.
LAST_LAYERS = (('last_layer', 'last_layer'), ('last_layer2', 'patch_last_layer'))
PARAMETERS = (
    ('weight_g', 'parametrizations.weight.original0'),
    ('weight_v', 'parametrizations.weight.original1'),
)
CENTERS = (('center', 'cls_center'), ('center2', 'patch_center'))
NETS = (('student', ''), ('teacher', 'teacher.'))


def from_official_ibot(content: Mapping[str, Any]) -> dict[str, Tensor]:
    """Rename ``student``, ``teacher`` and ``ibot_loss``, as far as there are any."""
    state: dict[str, Tensor] = {}
    for net, prefix in NETS:
        weights = content.get(net, {})
        backbone, head = _part(weights, 'backbone.'), _part(weights, 'head.')
        for part, renamed in (('backbone', _vit(backbone)), ('head', _head(head))):
            state |= {f'{prefix}{part}.{name}': w for name, w in renamed.items()}
    for official, name in CENTERS:
        if official in content.get('ibot_loss', {}):
            state[f'distillation.{name}'] = content['ibot_loss'][official].flatten()
    return state


def to_official_ibot(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Rename weights or gradients of ``mmattmask.IBOT``, by network."""
    content: dict[str, dict[str, Tensor]] = {}
    for net, prefix in NETS:
        wrapper = 'module.' if net == 'student' else ''
        backbone = _part(state, f'{prefix}backbone.')
        head = _part(state, f'{prefix}head.')
        weights = {f'backbone.{rename(n, TIMM)}': w for n, w in backbone.items()}
        weights |= {f'head.{n}': w for n, w in _official_head(head).items()}
        token = weights.pop('backbone.mask_token', None)
        if token is not None:
            weights['backbone.masked_embed'] = token.flatten(0, 1)
        content[net] = {f'{wrapper}{name}': w for name, w in weights.items()}
    return content


def _part(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): w for k, w in state.items() if k.startswith(prefix)}


def _vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a backbone's weights to ours."""
    renamed = to_mmpretrain_vit(state)
    token = renamed.pop('masked_embed', None)
    return renamed if token is None else {**renamed, 'mask_token': token[None]}


def _head_names() -> list[tuple[str, str]]:
    """Official and our names of what the last layers learn."""
    return [
        (f'{official}.{parameter}', f'{layer}.{ours}')
        for official, layer in LAST_LAYERS
        for parameter, ours in PARAMETERS
    ]


def _head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a head's weights to ours; a last layer for all tokens comes once."""
    pairs = [(f'last_layer.{part}', f'last_layer2.{part}') for part, _ in PARAMETERS]
    shared = all(
        one in state and two in state and torch.equal(state[one], state[two])
        for one, two in pairs
    )
    ours = dict(_head_names())
    renamed = {}
    for name, weight in state.items():
        if shared and name.startswith('last_layer2.'):
            continue
        name = re.sub(r'^mlp\.(weight|bias)$', r'mlp.0.\1', name)  # of one layer
        renamed[ours.get(name, name)] = weight
    return renamed


def _official_head(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename our head's weights; a last layer for all tokens comes twice."""
    official = {ours: name for name, ours in _head_names()}
    renamed = {official.get(name, name): weight for name, weight in state.items()}
    if 'mlp.2.weight' not in renamed:
        renamed = {re.sub(r'^mlp\.0\.', 'mlp.', k): w for k, w in renamed.items()}
    for part, _ in PARAMETERS:
        if f'last_layer.{part}' in renamed:
            renamed.setdefault(f'last_layer2.{part}', renamed[f'last_layer.{part}'])
    return renamed
