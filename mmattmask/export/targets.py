"""Where an encoder can go: names, containers, and what has no place there."""

import dataclasses
import re
from collections import Counter
from collections.abc import Callable

from torch import Tensor

from mmattmask.export.hugging_face import to_hugging_face
from mmattmask.export.simmim_keys import (
    fold_scales,
    has_beit_names,
    scales_as,
    to_beit,
)
from mmattmask.export.sources import Source
from mmattmask.export.vit_keys import TIMM, Names, rename

Weights = dict[str, Tensor]


def as_timm(weights: Weights) -> Weights:
    """Return weights as timm's VisionTransformer, with relative positions its Beit."""
    if has_beit_names(weights):
        return to_beit(weights)
    return {scales_as(1, name): value for name, value in weights.items()}


MMSEG = Names(
    'layers.',
    (),
    (('attn.qkv.', 'attn.attn.in_proj_'), ('attn.proj.', 'attn.attn.out_proj.')),
)
NOTHING = r'^$'
RELATIVE = r'relative_position'
INDEX = r'relative_position_index$'
WINDOWS = r'rel_pos_[hw]$'
PRE_NORM = r'^pre_norm\.'
POOLED = r'^ln2\.'
FOR_VECTORS = rf'^cls_token$|^ln1\.|{POOLED}'  # dense tasks have no use for them


@dataclasses.dataclass(frozen=True)
class Target:
    """What one project expects."""

    what: str  # for people
    change: Callable[[Weights], Weights]  # beyond names
    names: Names | None = None  # what it calls the parts; None is as MMPretrain
    container: str = ''  # below which key of a .pth file the weights are
    prefix: str = ''  # how their names begin
    drops: str = NOTHING  # pattern of what is not needed there
    refuses: str = NOTHING  # of what belongs to the encoder's function, without place


TARGETS = {
    'mmpretrain': Target(
        "mmattmask's and MMPretrain's ViTs",
        dict,  # as it is; BEiT's goes back to its own form, see to_target
        container='state_dict',
        prefix='backbone.',
    ),
    'mmdet': Target(
        "mmattmask's ViTDet in MMDetection",
        fold_scales,
        container='state_dict',
        prefix='backbone.',
        drops=FOR_VECTORS,
        refuses=rf'{RELATIVE}|{PRE_NORM}',
    ),
    'mmseg': Target(
        "MMSegmentation's VisionTransformer (patch_bias=True, norm eps 1e-6)",
        fold_scales,
        MMSEG,
        container='state_dict',
        drops=POOLED,
        refuses=rf'{RELATIVE}|{WINDOWS}|{PRE_NORM}',
    ),
    'timm': Target(
        "timm's VisionTransformer, or Beit",
        as_timm,
        TIMM,
        refuses=rf'{WINDOWS}',
        drops=rf'\.attn\.{INDEX}',
    ),
    'hf': Target(
        "a folder for Hugging Face's ViTModel",
        lambda weights: to_hugging_face(fold_scales(weights)),
        refuses=rf'{RELATIVE}|{WINDOWS}|{PRE_NORM}|{POOLED}',
    ),
}
# What is dropped, for people.
DROPPED = {'cls_token': 'CLS token', 'ln1': 'final norm', 'ln2': 'norm after pooling'}
MAPS = ('mmpretrain', 'mmdet')  # take the position embedding of ViTDet


def to_target(
    source: Source, to: str, prefix: str | None = None
) -> tuple[dict[str, Tensor], dict[str, int], list[str]]:
    """Rename an encoder, and change what must change, for a key of ``TARGETS``.

    Returns:
        The weights, how many tensors were left out by name, and notes for people.
    """
    target = TARGETS[to]
    kept, dropped = _without(source, to)
    back = to == 'mmpretrain' and source.is_beit
    changed = to_beit(kept) if back else target.change(kept)
    had, has = (any('gamma' in n for n in names) for names in (kept, changed))
    note = 'layer scales were multiplied into the linear layers before them'
    start = target.prefix if prefix is None else prefix
    if target.names is not None:
        changed = {rename(name, target.names): w for name, w in changed.items()}
    renamed = {start + name: value for name, value in changed.items()}
    return renamed, dropped, [note] if had and not has else []


def _without(source: Source, to: str) -> tuple[Weights, dict[str, int]]:
    """Leave out what a target does not need; refuse what would be lost."""
    target, weights = TARGETS[to], source.weights
    homeless = [name for name in weights if re.search(target.refuses, name)]
    if 'pos_embed' in weights and weights['pos_embed'].ndim == 4 and to not in MAPS:
        homeless.append('pos_embed of ViTDet')
    if homeless:
        raise ValueError(
            f'{source.path} cannot become {to} ({target.what}), which has no place for '
            f'{len(homeless)} weights of the encoder: {", ".join(homeless[:6])}'
        )
    dropped: Counter[str] = Counter()
    kept = {}
    for name, value in weights.items():
        if re.search(target.drops, name):
            dropped[DROPPED.get(name.split('.')[0], 'relative position index')] += 1
        else:
            kept[name] = value
    return kept, dict(dropped)
