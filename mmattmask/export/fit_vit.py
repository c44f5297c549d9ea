"""Weights of any ViT, given the names and shapes of a module."""

import math
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.export.vit_keys import to_mmpretrain_vit

SHARED_BIAS = 'rel_pos_bias.relative_position_bias_table'
# Weights that are part of the encoder's function: none may be left over.
ENCODER = re.compile(r'layers\.|patch_embed\.|pos_embed$|rel_pos_bias\.|norm_pre\.')
# One block's two layer scales: as BEiT and SimMIM, timm and MMPretrain call them, and
# the linear layer that they follow.
LAYER_SCALES = (
    (('gamma_1', 'ls1.gamma', 'attn.gamma1.weight'), 'attn.proj'),
    (('gamma_2', 'ls2.gamma', 'ffn.gamma2.weight'), 'ffn.layers.1'),
)


def fit_vit(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: object,
    grid: tuple[int, int] | None = None,
) -> dict[str, Tensor]:
    """Give weights of any source the names and shapes of a module.

    Query and value biases become one bias, layer scales that the module does not have
    are multiplied into the layer before them, a shared relative position bias goes to
    every block that has its own, and positions are interpolated.

    Args:
        module: A ViT with the names of MMPretrain's VisionTransformer, ViTSAM or
            BEiTViT.
        state: Weights under the names of their file.
        source: Where they are from, for messages.
        grid: Patches (h, w) of the position embedding, where they are not a square.

    Returns:
        Those that the module has a place for.

    Raises:
        ValueError: If a weight of the encoder has no place or another shape.
    """
    own = {name: value.shape for name, value in module.state_dict().items()}
    state = _join_biases(to_mmpretrain_vit(state), own)
    state = _place_layer_scales(state, own)
    state = _spread_position_bias(state, own)
    if 'pos_embed' in state and 'pos_embed' in own:
        shape = own['pos_embed']
        target = (
            tuple(shape[1:3]) if len(shape) == 4 else tuple(module.patch_resolution)
        )
        # half precision cannot be interpolated everywhere
        positions = state['pos_embed'].to(module.pos_embed.dtype)
        state['pos_embed'] = fit_pos_embed(positions, shape, target, grid)
    homeless = [n for n in state if n not in own and ENCODER.match(n)]
    if homeless:
        raise ValueError(
            f'{source} does not fit {type(module).__name__}, which has no place for '
            f'{len(homeless)} of its weights: {", ".join(homeless[:6])}'
        )
    state = {name: value for name, value in state.items() if name in own}
    for name, value in state.items():
        if value.shape != own[name]:
            raise ValueError(
                f'{source} does not fit {type(module).__name__}: {name} is '
                f'{tuple(value.shape)} there and {tuple(own[name])} here'
            )
    return state


def _join_biases(
    state: dict[str, Tensor], own: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Join BEiT's and SimMIM's q_bias and v_bias; keys have no bias there."""
    joined = dict(state)
    for name, query in state.items():
        block = name.removesuffix('q_bias')
        if block == name or name in own or f'{block}v_bias' not in state:
            continue
        value = joined.pop(f'{block}v_bias')
        del joined[name]
        joined[f'{block}qkv.bias'] = torch.cat([query, torch.zeros_like(query), value])
    return joined


def _place_layer_scales(
    state: dict[str, Tensor], own: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Rename layer scales to the module's, or multiply them into a linear layer."""
    placed = dict(state)
    blocks = {m[0] for name in state if (m := re.match(r'layers\.\d+\.', name))}
    for block in blocks:
        for names, linear in LAYER_SCALES:
            scales = [placed.pop(block + n) for n in names if block + n in placed]
            here = [block + n for n in names if block + n in own]
            if scales and here:
                placed[here[0]] = scales[0]
            elif scales:
                weight, bias = f'{block}{linear}.weight', f'{block}{linear}.bias'
                placed[weight] = placed[weight] * scales[0][:, None]
                placed[bias] = placed[bias] * scales[0]
    return placed


def _spread_position_bias(
    state: dict[str, Tensor], own: Mapping[str, torch.Size]
) -> dict[str, Tensor]:
    """Copy SimMIM's shared relative position bias to blocks that have their own."""
    spread = {
        name: value
        for name, value in state.items()
        if name in own or not name.endswith('relative_position_index')
    }
    blocks = [n for n in own if n.endswith('.attn.relative_position_bias_table')]
    if SHARED_BIAS not in own and SHARED_BIAS in spread and blocks:
        table = spread.pop(SHARED_BIAS)
        spread |= dict.fromkeys(blocks, table)
    return spread


def fit_pos_embed(
    pos_embed: Tensor,
    shape: tuple[int, ...],
    target: tuple[int, int],
    grid: tuple[int, int] | None = None,
) -> Tensor:
    """Interpolate a position embedding to another grid (bicubic, as DeiT and MAE).

    Args:
        pos_embed: (1, L, C) or (1, 1 + L, C) with CLS first, or (1, h, w, C).
        shape: What comes out, one of the same three forms.
        target: Grid (h, w) of ``shape``.
        grid: Grid (h, w) of ``pos_embed``. Defaults to a square.

    Raises:
        ValueError: If the grid of ``pos_embed`` is not known, or it lacks the position
            of CLS that ``shape`` has.
    """
    if pos_embed.ndim == 4:
        grid = tuple(pos_embed.shape[1:3])
        pos_embed = pos_embed.flatten(1, 2)
    grid = grid or _grid_of(pos_embed.shape[1], target)
    extra = pos_embed.shape[1] - math.prod(grid)
    if extra not in (0, 1):
        raise ValueError(
            f'a position embedding of {pos_embed.shape[1]} rows does not fit a grid of '
            f'{grid}'
        )
    cls, patches = pos_embed[:, :extra], pos_embed[:, extra:]
    if grid != tuple(target):
        patches = patches.unflatten(1, grid).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, tuple(target), mode='bicubic')
        patches = patches.permute(0, 2, 3, 1).flatten(1, 2)
    if len(shape) == 4:
        return patches.unflatten(1, tuple(target))
    wanted = shape[1] - math.prod(target)
    if wanted > cls.shape[1]:
        raise ValueError(
            f'a position embedding of {pos_embed.shape[1]} rows has none for the '
            f'{wanted} extra tokens of this model'
        )
    return torch.cat([cls[:, :wanted], patches], dim=1)


def _grid_of(num_rows: int, target: tuple[int, int]) -> tuple[int, int]:
    """Guess the grid of a position embedding, with or without CLS."""
    guesses = set()
    for num_patches in (num_rows - 1, num_rows):
        side = math.isqrt(num_patches)
        if side and side * side == num_patches:
            guesses.add((side, side))
        if num_patches == math.prod(target):
            guesses.add(tuple(target))
    if len(guesses) == 1:
        return guesses.pop()
    raise ValueError(
        f'a position embedding of {num_rows} rows may have the grids '
        f'{sorted(guesses) or "of no square"}: set init_cfg.grid=(h, w)'
    )
