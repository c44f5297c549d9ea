"""Weights of any ViT, given the names and shapes of a module."""

import math
import re
from collections.abc import Collection, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.checkpoints import load_matched, some
from mmattmask.export.simmim_keys import (
    LAYER_SCALES,
    SHARED_TABLE,
    expand_table,
    fold_scales,
    scales_as,
    to_beit,
    to_plain,
)
from mmattmask.export.vit_keys import to_mmpretrain_vit

# Weights that are part of the encoder's function: none may be left over.
ENCODER = re.compile(
    r'layers\.|patch_embed\.|pos_embed$|rel_pos_bias\.|pre_norm\.'
    r'|(reg|dist|distillation|register|storage)_tokens?$'
)
INDEX = re.compile(r'relative_position_index$')  # a buffer that is computed


def fit_vit(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: object,
    grid: tuple[int, int] | None = None,
) -> dict[str, Tensor]:
    """Give weights of any source the names and shapes of a module.

    Biases are joined or split, layer scales that the module does not have are
    multiplied into the layer before them, a shared relative position bias goes to
    every block that has its own, and positions are interpolated.

    Args:
        module: A ViT with the names of MMPretrain's VisionTransformer, ViTSAM or
            BEiTViT.
        state: Weights under the names of their file.
        source: Where they are from, for messages.
        grid: Patches (h, w) of the position embedding, where they are not a square.

    Returns:
        Those that the module has a place for; if one of the encoder has none, a
        ValueError is raised.
    """
    own = {name: value.shape for name, value in module.state_dict().items()}
    # half precision can be neither multiplied without loss nor interpolated everywhere
    dtype = next(module.parameters()).dtype
    state = {n: v.to(dtype) if v.is_floating_point() else v for n, v in state.items()}
    state = _as_in(own, to_mmpretrain_vit(state))
    shape = own.get('pos_embed', ())
    target = shape[1:3] if len(shape) == 4 else getattr(module, 'patch_resolution', ())
    if 'pos_embed' in state and shape and target:
        rows = state['pos_embed']
        state['pos_embed'] = fit_pos_embed(rows, shape, tuple(target), grid)
    homeless = [
        name
        for name in state
        if name not in own and ENCODER.match(name) and not INDEX.search(name)
    ]
    if homeless:
        raise ValueError(
            f'{source} does not fit {type(module).__name__}, which has no place for '
            f'{len(homeless)} of its weights: {", ".join(homeless[:6])}'
        )
    fitting = {name: value for name, value in state.items() if name in own}
    if not fitting:
        raise ValueError(_nothing_fits(own, state, module, source))
    return fitting


def load_vit(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: object,
    grid: tuple[int, int] | None = None,
    optional: Iterable[str] = (),
    num_heads: int | None = None,
) -> str:
    """Fit weights of any source to a ViT and load them, or say why not.

    The one way of weights into frozen teachers, backbones to evaluate, and
    ``init_cfg``. Arguments and result as of :func:`fit_vit` and
    :func:`mmattmask.checkpoints.load_matched`; ``num_heads`` is what the file says.

    Raises:
        ValueError: If anything but ``optional`` would keep its first values, a weight
            of the encoder has no place, weights are not finite, or the module cuts
            them into another number of heads.
    """
    own = {getattr(part, 'num_heads', num_heads) for part in module.modules()}
    if num_heads and own != {num_heads}:
        raise ValueError(
            f'{source} was trained with {num_heads} heads, {type(module).__name__} has '
            f"{own - {num_heads}}: set num_heads in the backbone's arch"
        )
    return load_matched(module, fit_vit(module, state, source, grid), source, optional)


def same_grid(module: nn.Module, state: Mapping[str, Tensor]) -> tuple[int, int] | None:
    """Return a module's grid if positions are as many: 36 may be 4 x 9 then."""
    found = to_mmpretrain_vit(state).get('pos_embed')
    own = module.state_dict().get('pos_embed')
    same = found is not None and own is not None and found.shape == own.shape
    return getattr(module, 'patch_resolution', None) if same else None


def _nothing_fits(
    own: Collection[str], state: Mapping[str, Tensor], module: nn.Module, source: object
) -> str:
    """Say which names a file has instead, and what is in front of a ViT's."""
    found = (re.match(r'(.+\.)(patch_embed|blocks|layers)\.', name) for name in state)
    prefixes = sorted({match[1] for match in found if match})
    hint = f"; set prefix='{prefixes[0]}'" if prefixes else ''
    return (
        f'{source} does not fit {type(module).__name__}: matched 0/{len(own)} weights; '
        f'its names are {some(state, 3)}, not {some(own, 3)}{hint}'
    )


def _as_in(own: Collection[str], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give biases, layer scales and relative positions a module's form."""
    state = to_plain(state)
    ends = {name.split('.', 2)[-1] for name in own if name.startswith('layers.')}
    scales = (column for column, name in enumerate(LAYER_SCALES[0]) if name in ends)
    column = next(scales, None)
    if column is None:
        state = fold_scales(state)
    else:
        state = {scales_as(column, name): value for name, value in state.items()}
    if 'attn.q_bias' in ends:
        state = to_beit(state)
    if 'attn.relative_position_bias_table' in ends and SHARED_TABLE not in own:
        depth = len({name.split('.')[1] for name in own if name.startswith('layers.')})
        state = expand_table(state, depth)
    return state


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
        grid: Grid (h, w) of ``pos_embed``. Defaults to a square. ValueError if it has
            other rows than these.
    """
    if pos_embed.ndim == 4:
        height, width = pos_embed.shape[1:3]
        pos_embed = pos_embed.flatten(1, 2)
    else:
        height, width = grid or _grid_of(pos_embed.shape[1], target)
    grid = (height, width)
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


def _grid_of(num_rows: int, target: tuple[int, int]) -> tuple[int, ...]:
    """Guess the grid of a position embedding, with or without CLS."""
    guesses: set[tuple[int, ...]] = set()
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
