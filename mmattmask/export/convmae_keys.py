"""Names of the official ConvMAE, and those of ``mmattmask.ConvViT``."""

import re
from collections.abc import Mapping

from torch import Tensor

IN_BLOCKS = (
    ('.norm1.', '.ln1.'),
    ('.norm2.', '.ln2.'),
    ('.mlp.fc1.', '.ffn.layers.0.0.'),
    ('.mlp.fc2.', '.ffn.layers.1.'),
)
IN_STAGES = (
    *IN_BLOCKS,
    ('.conv1.', '.pointwise1.'),
    ('.conv2.', '.pointwise2.'),
    ('.attn.', '.depthwise.'),
)
# How names begin, official and ours, and what they go on with. Official stages count
# from 1.
PARTS = (
    *(
        part
        for stage in (1, 2)
        for part in (
            (f'patch_embed{stage}.proj.', f'conv_stages.{stage - 1}.embed.conv.', ()),
            (f'patch_embed{stage}.norm.', f'conv_stages.{stage - 1}.embed.ln.', ()),
            (f'blocks{stage}.', f'conv_stages.{stage - 1}.blocks.', IN_STAGES),
            (f'stage{stage}_output_decode.', f'fusions.{stage - 1}.', ()),
        )
    ),
    ('patch_embed3.proj.', 'patch_embed.conv.', ()),
    ('patch_embed3.norm.', 'patch_embed.ln.', ()),
    ('patch_embed4.', 'projection.', ()),
    ('blocks3.', 'layers.', IN_BLOCKS),
    ('norm.', 'ln1.', ()),
    ('fc_norm.', 'ln2.', ()),
)
# Linear layers here and 1x1 convolutions there.
POINTWISE = re.compile(r'conv_stages\..*(pointwise[12]|ffn\.layers\.(0\.0|1))\.weight')


def from_official_convmae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename official weights; 1x1 convolutions become linear layers.

    Args:
        state: Weights of a pre-training or fine-tuning of Alpha-VL/ConvMAE.

    Returns:
        The same under the names of ``mmattmask.ConvMAEViT``; what it does not have
        keeps its name.
    """
    renamed = {}
    for name, value in state.items():
        name = _rename(name, 0)
        renamed[name] = value.flatten(1) if POINTWISE.fullmatch(name) else value
    return renamed


def to_official_convmae(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename weights of ``mmattmask.ConvViT`` to the official names."""
    return {
        _rename(name, 1): v[..., None, None] if POINTWISE.fullmatch(name) else v
        for name, v in state.items()
    }


def _rename(name: str, source: int) -> str:
    """Rename from column ``source`` of the tables to the other one."""
    for *starts, inside in PARTS:
        if not name.startswith(starts[source]):
            continue
        name = starts[1 - source] + name.removeprefix(starts[source])
        for pair in inside:
            name = name.replace(pair[source], pair[1 - source])
        break
    return name
