"""ViT weights of other projects under MMPretrain's names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from mmattmask.checkpoints import read_checkpoint, unwrapped
from mmattmask.recorded_config import recorded_grid, recorded_heads

# Where checkpoints keep their weights, in the order of preference.
CONTAINERS = ('state_dict', 'model', 'teacher', 'student')
# What the backbone's names begin with beside other parts of a network.
PARTS = ('backbone.', 'encoder.')


class Names(NamedTuple):
    """What a project calls the parts of a ViT.

    ``blocks`` is how names in blocks begin, before the block's number; ``starts`` are
    pairs of how other names begin, MMPretrain's and the project's; ``inside`` are the
    same for names in blocks, after the number.
    """

    blocks: str
    starts: tuple[tuple[str, str], ...]
    inside: tuple[tuple[str, str], ...]


# Shared by MAE, DINO, iBOT, AttMask, SimMIM and detectron2.
TIMM = Names(
    'blocks.',
    (
        ('patch_embed.projection.', 'patch_embed.proj.'),
        ('pre_norm.', 'norm_pre.'),
        ('ln1.', 'norm.'),
        ('ln2.', 'fc_norm.'),
    ),
    (
        ('ln1.', 'norm1.'),
        ('ln2.', 'norm2.'),
        ('ffn.layers.0.0.', 'mlp.fc1.'),
        ('ffn.layers.1.', 'mlp.fc2.'),
    ),
)


def read_state_dict(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """Read the weights of a checkpoint without running code from it.

    See :func:`mmattmask.checkpoints.read_checkpoint` and :func:`pick_network` for
    arguments and errors.
    """
    return pick_network(read_checkpoint(path), key, path)


class Encoder(NamedTuple):
    """The weights of a network, where they are from, and what its file says of them."""

    weights: dict[str, Tensor]
    source: str
    grid: tuple[int, int] | None
    num_heads: int | None


def read_encoder(path: str | Path, key: str | None = None) -> Encoder:
    """Read the network that :func:`pick_encoder` picks."""
    content = read_checkpoint(path)
    state, key = pick_encoder(content, key, path)
    grid = recorded_grid(content, to_mmpretrain_vit(state))
    source = f'{path} ({key})' if key else str(path)
    return Encoder(state, source, grid, recorded_heads(content))


def pick_encoder(
    content: Any, key: str | None, path: str | Path
) -> tuple[dict[str, Tensor], str | None]:
    """Pick a network as :func:`pick_network` does, of iBOT the teacher; return its key.

    So do the authors of iBOT, DINO and AttMask. ``key='student'`` is the other one.
    """
    state = pick_network(content, key, path)
    if not key and is_distilled(state):
        key = 'teacher'
        state = pick_network(content, key, path)
    return state, key


def is_distilled(state: Mapping[str, Any]) -> bool:
    """Tell this project's iBOT: other hosts have teachers, too, but without a head."""
    return any(name.startswith('teacher.head.') for name in state)


def pick_network(content: Any, key: str | None, path: str | Path) -> dict[str, Tensor]:
    """Pick the weights of one network of a checkpoint.

    Args:
        content: What :func:`read_checkpoint` returned.
        key: A container (``'teacher'``), what names begin with (also after
            ``module.``), or one after the other (``'teacher.backbone'``). Of this
            project's iBOT ``'student'`` is all but the teacher. Defaults to the first
            of ``CONTAINERS``, or all weights.
        path: Where they are from, for messages.

    Returns:
        The weights under the names they have below ``key``.

    Raises:
        ValueError: If there are no weights, or none of that key.
    """
    content = content if isinstance(content, Mapping) else {}
    parts = {
        str(k): tensors_of(v) for k, v in content.items() if isinstance(v, Mapping)
    }
    container = next((name for name in CONTAINERS if name in parts), '')
    state = parts[container] if container else tensors_of(content)
    if not key:
        if state:
            return state
        sizes = {name: len(weights) for name, weights in parts.items() if weights}
        has = ', '.join(f'{name!r} ({size})' for name, size in sizes.items())
        hint = (
            f" at its top; it has {has}: set prefix='{next(iter(sizes))}'"
            if has
            else ''
        )
        raise ValueError(f'{path} holds no weights{hint}')
    if parts.get(key):
        return parts[key]
    if key == 'student' and is_distilled(state):
        return {n: value for n, value in state.items() if not n.startswith('teacher.')}
    named = {f'{k}.{name}': w for k, part in parts.items() for name, w in part.items()}
    start = re.compile(rf'(module\.)?{re.escape(key)}\.')
    found = {
        name[match.end() :]: value
        for name, value in (named | state).items()
        if (match := start.match(name))
    }
    if not found:
        names = [name for name, part in parts.items() if part]
        names += sorted({name.split('.')[0] for name in state})
        raise ValueError(
            f'{path} has nothing called {key!r}; it has {", ".join(names[:12])}'
        )
    return found


def tensors_of(part: Mapping[Any, Any]) -> dict[str, Tensor]:
    """Return the weights in a part of a checkpoint, without names of wrappers."""
    return {unwrapped(str(k)): v for k, v in part.items() if isinstance(v, Tensor)}


def to_mmpretrain_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ViT's weights from timm's names, or MMPretrain's, to MMPretrain's.

    ``module.`` and ``backbone.`` in front go; where there is a ``backbone.``, all else
    (necks, heads) is left out.
    """
    state = {unwrapped(name): value for name, value in state.items()}
    if any(name.startswith('backbone.') for name in state):
        state = {k: v for k, v in state.items() if k.startswith('backbone.')}
    for prefix in PARTS:
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    if not any(re.match(r'blocks\.\d', name) for name in state):
        return state
    return {rename(name, TIMM, back=True): value for name, value in state.items()}


def rename(name: str, names: Names, back: bool = False) -> str:
    """Rename a weight of MMPretrain's ViT as a project has it, or ``back``."""
    sides = ('layers.', names.blocks)
    own, other = int(back), int(not back)
    start, pairs = '', names.starts
    if match := re.match(rf'{re.escape(sides[own])}(\d+)\.', name):
        start, pairs = f'{sides[other]}{match[1]}.', names.inside
        name = name[match.end() :]
    for pair in pairs:
        if name.startswith(pair[own]):
            return start + pair[other] + name.removeprefix(pair[own])
    return start + name
