"""ViT weights of other projects under MMPretrain's names."""

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

from mmattmask.runtime import safe_globals

# Where checkpoints keep their weights, in the order of preference.
CONTAINERS = ('state_dict', 'model', 'teacher', 'student')
PREFIXES = ('module.', 'backbone.', 'encoder.')
# timm's names, which MAE, DINO, iBOT and AttMask share, and MMPretrain's.
RENAMES = (
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^blocks\.(\d+)\.', r'layers.\1.'),
    (r'\.norm(\d)\.', r'.ln\1.'),
    (r'\.mlp\.fc1\.', '.ffn.layers.0.0.'),
    (r'\.mlp\.fc2\.', '.ffn.layers.1.'),
    (r'^norm\.', 'ln1.'),
)


def read_checkpoint(path: str | Path) -> Any:
    """Read a checkpoint without running code from it.

    Args:
        path: A file written by torch.save, or a ``.safetensors`` file.

    Returns:
        What is in it, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or needs code to be read.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'there is no checkpoint {path}')
    if path.suffix == '.safetensors':
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise ValueError(f'{path} is damaged: {error}') from error
    # leaving the context forgets all of them: those that are allowed anyway stay out
    known = torch.serialization.get_safe_globals()
    allowed = [*safe_globals(), argparse.Namespace]
    allowed = [entry for entry in allowed if entry not in known]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location='cpu', weights_only=True)
    except (UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(
            f'{path} cannot be read as weights only; it is damaged or holds other '
            f'objects: {error}'
        ) from error


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """Read the weights of a checkpoint without running code from it.

    Args:
        path: A file written by torch.save, or a ``.safetensors`` file.

    Returns:
        The weights under the names they have there.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, needs code to be read, or holds no weights.
    """
    content = read_checkpoint(path)
    for container in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(container), Mapping):
            content = content[container]
            break
    state = {
        name: value
        for name, value in getattr(content, 'items', dict)()
        if isinstance(value, Tensor)
    }
    if not state:
        raise ValueError(f'{path} holds no weights')
    return state


def to_mmpretrain_vit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ViT's weights to MMPretrain's names.

    Args:
        state: Weights under timm's or MMPretrain's names, with or without ``module.``
            and ``backbone.`` in front. With a ``backbone.``, all else (necks, heads) is
            left out.

    Returns:
        The same tensors under MMPretrain's names.
    """
    state = _strip(state, 'module.')
    if any(name.startswith('backbone.') for name in state):
        state = {k: v for k, v in state.items() if k.startswith('backbone.')}
    for prefix in PREFIXES:
        state = _strip(state, prefix)
    if not any(re.match(r'blocks\.\d', name) for name in state):
        return dict(state)
    renamed = {}
    for name, value in state.items():
        for pattern, replacement in RENAMES:
            name = re.sub(pattern, replacement, name)
        renamed[name] = value
    return renamed


def _strip(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items()}


def load_matched(
    module: nn.Module,
    state: Mapping[str, Tensor],
    source: object,
    optional: Iterable[str] = (),
) -> str:
    """Load weights into a module and refuse to leave any of it without.

    Args:
        module: The module.
        state: Weights under the module's names; what it does not have is passed over.
        source: Where the weights are from, for the messages.
        optional: Patterns of names that may be missing.

    Returns:
        A line such as ``'matched 150/150 weights of FILE'``.

    Raises:
        ValueError: If weights of the module are missing or have another shape.
    """
    own = module.state_dict()
    try:  # modules may resize a position embedding as they load it
        result = module.load_state_dict(dict(state), strict=False)
    except RuntimeError as error:
        other_shapes = [
            f'{name} {tuple(state[name].shape)} instead of {tuple(value.shape)}'
            for name, value in own.items()
            if name in state and state[name].shape != value.shape
        ]
        raise ValueError(
            f'{source} does not fit {type(module).__name__}: {_some(other_shapes)}'
        ) from error
    missing = [
        name
        for name in result.missing_keys
        if not any(re.search(pattern, name) for pattern in optional)
    ]
    matched = f'matched {len(own) - len(result.missing_keys)}/{len(own)} weights'
    if missing:
        raise ValueError(
            f'{source} does not fit {type(module).__name__}: {matched}; missing '
            f'{_some(missing)}; not used {_some(result.unexpected_keys)}'
        )
    return f'{matched} of {source}'


def _some(names: list[str], limit: int = 6) -> str:
    more = f' and {len(names) - limit} more' if len(names) > limit else ''
    return (', '.join(names[:limit]) or 'nothing') + more
