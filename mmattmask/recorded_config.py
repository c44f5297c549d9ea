"""What the config in an MMEngine checkpoint says; parsed, not run."""

import ast
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from torch import Tensor


def recorded_config(content: Any) -> dict[str, Any]:
    """Return the config in a checkpoint, as of :func:`parse_config`, or nothing.

    ``content`` is what ``read_checkpoint`` returned.
    """
    meta = content.get('meta') if isinstance(content, Mapping) else None
    text = meta.get('cfg') if isinstance(meta, Mapping) else None
    return parse_config(text) if isinstance(text, str) else {}


def shape_of_weights(content: Any) -> str:
    """Return what of the config in a checkpoint weights do not tell, as a config.

    For files that are given away: nothing of data, runs or folders.
    """
    backbone = recorded_backbone(content)
    keys = [key for key in ('arch', 'img_size', 'patch_size') if backbone.get(key)]
    return f'model = {dict(backbone={key: backbone[key] for key in keys})!r}'


def parse_config(text: str) -> dict[str, Any]:
    """Return the settings of a config as MMEngine writes it, None for no plain value.

    Nothing if the text is no Python.
    """
    try:
        tree: Any = ast.parse(text).body
    except SyntaxError:
        return {}
    return {
        ast.unparse(node.targets[0]): _value(node.value)
        for node in tree
        if isinstance(node, ast.Assign)
    }


def _value(node: Any) -> Any:
    if isinstance(node, ast.Call) and ast.unparse(node.func) == 'dict':
        return {each.arg: _value(each.value) for each in node.keywords}
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {str(_value(key)): _value(value) for key, value in pairs}
    with suppress(ValueError, TypeError):
        return ast.literal_eval(node)
    return None


def recorded_backbone(content: Any) -> dict[str, Any]:
    """Return ``model.backbone`` of the config in a checkpoint, or nothing."""
    model = recorded_config(content).get('model')
    backbone = model.get('backbone') if isinstance(model, dict) else None
    return backbone if isinstance(backbone, dict) else {}


def recorded_grid(
    content: Any, weights: Mapping[str, Tensor]
) -> tuple[int, int] | None:
    """Return the grid (h, w) of positions by the config in a checkpoint, or None.

    18 x 32 has as many rows as 24 x 24. None, too, if it has another number of patches.
    """
    backbone, positions = recorded_backbone(content), weights.get('pos_embed')
    size: Any = backbone.get('img_size')
    side: Any = backbone.get('patch_size')
    if positions is None or positions.ndim != 3:
        return None
    with suppress(TypeError, ValueError):
        height, width = (size, size) if isinstance(size, int) else size
        grid = height // side, width // side
        if positions.shape[1] - grid[0] * grid[1] in (0, 1):
            return grid
    return None


def recorded_heads(content: Any) -> int | None:
    """Return a ViT's number of heads by the config in a checkpoint, or None."""
    arch = recorded_backbone(content).get('arch')
    if isinstance(arch, str):
        from mmpretrain.models import VisionTransformer

        arch = VisionTransformer.arch_zoo.get(arch)
    return arch.get('num_heads') if isinstance(arch, dict) else None
