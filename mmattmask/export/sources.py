"""Whose checkpoint is it? Its encoder in one form, whatever the names were.

The plain form is that of MMPretrain's VisionTransformer, with one bias for queries,
keys and values, see ``simmim_keys``.
"""

import dataclasses
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from mmattmask.checkpoints import check_finite, read_checkpoint
from mmattmask.export.simmim_keys import has_beit_names, to_plain
from mmattmask.export.vit_keys import (
    PARTS,
    is_distilled,
    pick_encoder,
    tensors_of,
    to_mmpretrain_vit,
)
from mmattmask.recorded_config import recorded_grid, recorded_heads, shape_of_weights

KINDS = {
    'mmpretrain': "mmattmask or MMPretrain, MMPretrain's names",
    'beit': 'official SimMIM, or BEiT',
    'timm': "timm's names: official MAE, DINO, iBOT, AttMask, DeiT, and timm",
}
# The first name that a kind has; the first kind that has one.
SIGNS = (
    ('mmpretrain', r'layers\.0\.attn\.qkv\.'),
    ('beit', r'blocks\.0\.(attn\.q_bias|attn\.relative_position|gamma_1)|rel_pos_bias'),
    ('timm', r'blocks\.0\.attn\.qkv\.'),
)
BLOCK = re.compile(r'(blocks|layers)\.\d+\.')
LEFT_OUT = (
    ('decoder', r'decoder|neck\.'),
    ('fusion of blocks', r'proj_(weights|layers)'),  # MFF, for its decoder
    ('head', r'(head|fc|head_dist|lm_head|classifier|pooler|last_layer)\.'),
    ('mask token', r'(embeddings\.|visible_)?(mask_token|masked_embed)$'),
)
LAYER = (
    r'(ln[12]|attn\.(qkv|proj)|ffn\.layers\.(0\.0|1))\.(weight|bias)'
    r'|attn\.gamma1\.weight|ffn\.gamma2\.weight'
    r'|attn\.relative_position_(bias_table|index)|attn\.rel_pos_[hw]'
)
KNOWN = re.compile(
    rf'cls_token|pos_embed|(ln[12]|pre_norm|patch_embed\.projection)\.(weight|bias)'
    rf'|rel_pos_bias\.relative_position_(bias_table|index)|layers\.\d+\.({LAYER})'
)
LINEAR = ('attn.qkv', 'attn.proj', 'ffn.layers.0.0', 'ffn.layers.1')
NEEDED = tuple(f'{name}.weight' for name in ('ln1', 'ln2', *LINEAR))


@dataclasses.dataclass(frozen=True)
class Source:
    """The encoder of a checkpoint.

    Attributes:
        path: The file.
        kind: A key of ``KINDS``.
        is_beit: Whether it has relative positions or separate biases.
        weights: In the plain form.
        left_out: How many tensors of other parts there are.
        networks: What ``key`` may be for this file.
        network: Which of them it is, if one was chosen.
        grid: Of its positions (h, w), if the config in the file says it.
        num_heads: The same.
        config: What ``shape_of_weights`` says.
    """

    path: Path
    kind: str
    is_beit: bool
    weights: dict[str, Tensor]
    left_out: dict[str, int]
    networks: tuple[str, ...]
    network: str | None = None
    grid: tuple[int, int] | None = None
    num_heads: int | None = None
    config: str = ''

    def facts(self) -> dict[str, str]:
        """Return what the weights tell about the architecture, for people."""
        state = self.weights
        patch = state['patch_embed.projection.weight']
        heads = str(self.num_heads or 'not in the weights')
        tables = [w for n, w in state.items() if n.endswith('position_bias_table')]
        absolute = [state['pos_embed']] if 'pos_embed' in state else []
        positions = [' x '.join(map(str, table.shape[1:-1])) for table in absolute]
        positions += ['relative'] * bool(tables)
        return {
            'kind': f'{self.kind}: {KINDS[self.kind]}',
            'depth': str(len({n.split('.')[1] for n in state if n[:7] == 'layers.'})),
            'width': str(len(patch)),
            'feed-forward width': str(len(state['layers.0.ffn.layers.0.0.weight'])),
            'heads': str(tables[0].shape[1]) if tables else heads,
            'patch size': ' x '.join(map(str, patch.shape[2:])),
            'positions': ', '.join(positions) or 'none',
            'layer scale': 'yes' if 'layers.0.attn.gamma1.weight' in state else 'no',
            'weights': f'{len(state)}, {patch.dtype}'.replace('torch.', ''),
            'also in the file': listed(self.left_out) or 'nothing',
            'networks (--key)': ', '.join(self.networks) or 'one',
        }


def read_source(path: str | Path, key: str | None = None) -> Source:
    """Read the encoder of a checkpoint of any known kind.

    Args:
        path: The file.
        key: Which network of a file of several, such as ``'teacher'``. Defaults to the
            backbone; of iBOT, the teacher's.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged or holds code, has no such network or no
            known ViT, or a weight of the encoder is missing or not known.
    """
    path = Path(path)
    content = read_checkpoint(path)
    state, network = pick_encoder(content, key, path)
    state, left_out = _part(state)
    networks = _networks(content)
    kind = _kind(state, path)
    weights = {}
    for name, value in to_plain(to_mmpretrain_vit(state)).items():
        if what := _left_out(name):
            left_out[what] += 1
        else:
            weights[name] = value
    _check(weights, path)
    check_finite(weights, path)
    is_beit = has_beit_names(state)
    recorded: Any = recorded_grid(content, weights), recorded_heads(content)
    recorded += (shape_of_weights(content),)
    parts = path, kind, is_beit, weights, dict(left_out), networks, network
    return Source(*parts, *recorded)


def _networks(content: Mapping[str, Any]) -> tuple[str, ...]:
    """List what ``key`` may be: parts of a file that are networks of their own."""
    parts = {'': tensors_of(content)}
    parts |= {k: tensors_of(v) for k, v in content.items() if isinstance(v, Mapping)}
    parts = {k: v for k, v in parts.items() if any(map(BLOCK.search, v))}
    inner = {
        name.partition('.backbone.')[0]
        for state in parts.values()
        for name in state
        if '.backbone.' in name
    }
    inner |= {'student' for state in parts.values() if is_distilled(state)}
    outer = [name for name in parts if name] if len(parts) > 1 else []
    return (*outer, *sorted(inner))


def _part(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], Counter[str]]:
    """Return a network's backbone, and what else there was."""
    for part in PARTS:
        inside = {
            n.removeprefix(part): v for n, v in state.items() if n.startswith(part)
        }
        if inside:
            others = [name for name in state if not name.startswith(part)]
            return inside, Counter(_left_out(n) or n.split('.')[0] for n in others)
    return state, Counter()


def _left_out(name: str) -> str | None:
    """Name the part of a network that a weight belongs to; None is the encoder."""
    return next((what for what, p in LEFT_OUT if re.match(p, name)), None)


def _kind(state: Mapping[str, Tensor], path: Path) -> str:
    kind = next((k for k, s in SIGNS if any(re.match(s, n) for n in state)), None)
    if kind is None:
        shapes = [f'{name} {tuple(value.shape)}' for name, value in state.items()]
        raise ValueError(
            f'{path} holds no ViT of a known kind ({", ".join(KINDS)}); its first '
            f'weights are {", ".join(shapes[:8]) or "none"}'
        )
    return kind


def _check(weights: Mapping[str, Tensor], path: Path) -> None:
    """Refuse an encoder that is not complete, or has what would be lost."""
    unknown = [name for name in weights if not KNOWN.fullmatch(name)]
    if unknown:
        raise ValueError(
            f'{path} has {len(unknown)} weights that no ViT here has: '
            f'{", ".join(unknown[:6])}'
        )
    blocks: dict[int, set[str]] = {}
    for name in weights:
        if name.startswith('layers.'):
            _, index, rest = name.split('.', 2)
            blocks.setdefault(int(index), set()).add(rest)
    wanted = set(NEEDED).union(*blocks.values())
    missing = [
        f'layers.{index}.{name}'
        for index in range(max(blocks, default=0) + 1)
        for name in sorted(wanted - blocks.get(index, set()))
    ]
    if (stem := 'patch_embed.projection.weight') not in weights:
        missing.append(stem)
    if missing:
        raise ValueError(
            f'{path} is not complete: {len(missing)} weights are missing: '
            f'{", ".join(missing[:6])}'
        )


def listed(counts: Mapping[str, int]) -> str:
    """Write counts for people: ``'30 of teacher, 1 of decoder'``."""
    return ', '.join(f'{count} of {what}' for what, count in counts.items())
