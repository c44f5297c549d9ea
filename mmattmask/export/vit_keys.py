"""ViT weights of other projects under MMPretrain's names."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmattmask.checkpoints import read_checkpoint, unwrapped

# Where checkpoints keep their weights, in the order of preference.
CONTAINERS = ('state_dict', 'model', 'teacher', 'student')
PREFIXES = ('module.', 'backbone.', 'encoder.')
# timm's names, which MAE, DINO, iBOT, AttMask and detectron2 share, and MMPretrain's.
RENAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^blocks\.(\d+)\.', r'layers.\1.'),
    (r'\.norm(\d)\.', r'.ln\1.'),
    (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
    (r'^norm\.', 'ln1.'),
    (r'^fc_norm\.', 'ln2.'),
    (r'^norm_pre\.', 'pre_norm.'),
)
# MMPretrain's names, and timm's.
TIMM = (
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^pre_norm\.', 'norm_pre.'),
    (r'^ln1\.', 'norm.'),
    (r'^ln2\.', 'fc_norm.'),
    (r'^layers\.(\d+)\.', r'blocks.\1.'),
    (r'\.ln([12])\.', r'.norm\1.'),
    (r'\.ffn\.layers\.0\.0\.', '.mlp.fc1.'),
    (r'\.ffn\.layers\.1\.', '.mlp.fc2.'),
)


def read_state_dict(path: str | Path, key: str | None = None) -> dict[str, Tensor]:
    """Read the weights of a checkpoint without running code from it.

    Args:
        path: A file written by torch.save, or a ``.safetensors`` file.
        key: Which network of several, see :func:`pick_network`.

    Returns:
        The weights under the names they have there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, needs code to be read, or holds no weights
            or none of that network.
    """
    return pick_network(read_checkpoint(path), key, path)[0]


def pick_network(
    content: Any, key: str | None, path: str | Path
) -> tuple[dict[str, Tensor], str]:
    """Pick the weights of one network of a checkpoint.

    Args:
        content: What :func:`read_checkpoint` returned.
        key: A container (``'teacher'``), what names begin with (also after
            ``module.``), or one after the other (``'teacher.backbone'``). Defaults to
            the first of ``CONTAINERS``, or all weights.
        path: Where they are from, for messages.

    Returns:
        The weights under the names they have below ``key``, and their container, ''
        where there is none.

    Raises:
        ValueError: If there are no weights, or none of that key.
    """
    content = content if isinstance(content, Mapping) else {}
    parts = {str(k): _tensors(v) for k, v in content.items() if isinstance(v, Mapping)}
    container = next((name for name in CONTAINERS if name in parts), '')
    state = parts[container] if container else _tensors(content)
    if not key:
        if not state:
            named = {name: f'{name!r} ({len(w)})' for name, w in parts.items() if w}
            hint = f' at its top; it has {", ".join(named.values())}: set prefix='
            raise ValueError(
                f'{path} holds no weights'
                + (f"{hint}'{next(iter(named))}'" if named else '')
            )
        return state, container
    if parts.get(key):
        return parts[key], key
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
    return found, container


def _tensors(part: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {unwrapped(str(k)): v for k, v in part.items() if isinstance(v, Tensor)}


def to_mmpretrain_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ViT's weights to MMPretrain's names.

    Args:
        state: Weights under timm's or MMPretrain's names, with or without ``module.``
            and ``backbone.`` in front. With a ``backbone.``, all else (necks, heads) is
            left out.

    Returns:
        The same tensors under MMPretrain's names.
    """
    state = {unwrapped(name): value for name, value in state.items()}
    if any(name.startswith('backbone.') for name in state):
        state = {k: v for k, v in state.items() if k.startswith('backbone.')}
    for prefix in PREFIXES:
        state = _strip(state, prefix)
    if not any(re.match(r'blocks\.\d', name) for name in state):
        return dict(state)
    return {rename(name, RENAMES): value for name, value in state.items()}


def rename(name: str, patterns: Iterable[tuple[str, str]]) -> str:
    """Apply regular expressions and their replacements, in order."""
    for pattern, replacement in patterns:
        name = re.sub(pattern, replacement, name)
    return name


def _strip(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items()}
