"""What a model makes of images: attention, score, partition, reconstruction."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from mmattmask.evaluation.features import Normalisation, has_cls, run
from mmattmask.geometry import ViewSample
from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.masking import PatchPartition, min_max
from mmattmask.masking.view import resample
from mmattmask.models.guidance import attention_maps, guidance_of
from mmattmask.scorers import Scorer, ShuffledMaps
from mmattmask.scorers.self_attention import (
    Attention,
    BlockAttention,
    attention_to_patches,
    blocks_of,
    check_block,
    grid_of,
    num_prefix_tokens_of,
    patch_size_of,
    read_block,
)
from mmattmask.visualization.loading import LoadedModel
from mmattmask.visualization.pixels import normalise, predict_pixels, to_rgb
from mmattmask.visualization.policies import Policy, decide, membership
from mmattmask.visualization.records import ImageRecord

ScoreSource = Literal['host', 'cls', 'received']


@dataclasses.dataclass(frozen=True)
class ModelOutput:
    """What a model makes of B images.

    Attributes:
        records: Of a host with its own partition and reconstruction.
        blocks: Numbers of the blocks whose attention can be read.
        attention: ``'cls'`` and ``'received'``, as far as they can be had,
            (B, blocks, heads, h, w).
        remarks: What could not be had, and why.
    """

    records: list[ImageRecord]
    blocks: list[int]
    attention: dict[str, np.ndarray]
    remarks: list[str]


@torch.no_grad()
def run_model(
    model: LoadedModel,
    images: np.ndarray,
    samples: Sequence[ViewSample] | None = None,
    attention: Attention = 'received',
    source: ScoreSource = 'host',
    block: int = -1,
    progress: float = 1.0,
    seed: int = 0,
) -> ModelOutput:
    """Run a model on images and read its attention.

    Args:
        model: The model.
        images: (B, H, W, C) uint8 RGB or grey, of the model's size and channels.
        samples: The images' files and boxes in them, for scorers that look maps up.
        attention: How received attention is read, see ``FrozenTeacher``.
        source: The score is what the host's scorer says, ``'cls'`` attention of
            ``block`` (mean of heads), or ``'received'`` attention of it (sum of heads).
            A host without a scorer has the attention of its teacher, or ``'cls'``.
        block: The block of ``'cls'`` and ``'received'``.
        progress: Share of the training that is done, for the host's own policy.
        seed: Of the host's own partition.

    Raises:
        ValueError: If the images do not fit the model, or it cannot give the score.
    """
    device = next(model.vit.parameters()).device
    inputs = normalise(images, model.normalisation).to(device)
    blocks, reads, remarks = _read_blocks(model.vit, inputs)
    kinds: dict[str, Attention] = dict(cls='cls', received=attention)
    maps = {k: _maps(model.vit, reads, kinds[k], inputs, remarks) for k in kinds}
    guidance = None if model.host is None else guidance_of(model.host)
    score: Tensor | None
    if source == 'host' and guidance is not None and guidance.scorer is not None:
        score, note = _score_of_host(model.host, inputs, samples)
    else:
        kind = 'cls' if source == 'host' else source
        score, note = _score_of_block(maps[kind], blocks, block, kind, source)
    side = patch_size_of(model.vit) if guidance is None else guidance.cell_size
    grid = grid_of(inputs.shape[-2:], side)
    if score is None:
        score = inputs.new_zeros(len(inputs), *grid)
    elif tuple(score.shape[1:]) != grid:
        score = resample(score, grid).unflatten(1, grid)
    decision, policy_note = None, ''
    if guidance is not None:
        policy = Policy('', guidance.mask_generator, progress)
        rng = torch.Generator(score.device).manual_seed(seed)
        decision = decide(policy, score.flatten(1), grid, rng)
        policy_note = name_of(policy.generator)
    records = make_records(
        model.host, inputs, model.normalisation, score, decision, note, policy_note
    )
    attentions = {k: _numpy(own) for k, own in maps.items() if own is not None}
    return ModelOutput(records, blocks, attentions, remarks)


def make_records(
    host: Any,
    inputs: Tensor,
    normalisation: Normalisation,
    score: Tensor | None,
    decision: PatchPartition | Tensor | None,
    score_note: str,
    policy_note: str,
) -> list[ImageRecord]:
    """Let a host predict what a policy masked, and say it all in pictures and arrays.

    Inputs are whole images (B, C, H, W), the score is (B, h, w), and the decision is a
    partition or a mask (B, L) of cells. Without a decision no host is needed.
    """
    fields: dict[str, Any] = dict(image=to_rgb(inputs, normalisation))
    if score is not None:
        fields['score'] = _numpy(score)
    note = ''
    if decision is not None:
        pixels, note = predict_pixels(host, inputs, decision)
        guidance: Any = guidance_of(host)
        grid = guidance.policy_grid(inputs.shape[-2:])
        fields['sets'] = membership(decision, grid)
        if pixels is not None:
            fields['prediction'] = to_rgb(pixels, normalisation, inputs)
    notes: Any = dict(score_note=score_note, policy_note=policy_note)
    notes['prediction_note'] = note
    return [
        ImageRecord(**{name: own[i] for name, own in fields.items()}, **notes)
        for i in range(len(inputs))
    ]


def name_of(generator: BaseMaskGenerator) -> str:
    """Return the short name of a policy, such as ``'AMT'``."""
    return re.sub('MaskGenerator$', '', type(generator).__name__)


def note_of(scorer: Scorer) -> str:
    """Say where a score is from that no bank holds, and what is not done to it."""
    note = f'{type(scorer).__name__}{", measured now" if scorer.cached else ""}'
    if scorer.cached and isinstance(scorer, ShuffledMaps):
        return f'{note}, not exchanged'
    return f'{note}, before debias' if scorer.cached and scorer.debias else note


def whole_images(
    ids: Sequence[int | None], paths: Sequence[str | None], size: Sequence[int]
) -> list[ViewSample]:
    """Return what scorers are told of views (H, W) that show whole images."""
    box = (0.0, 0.0, float(size[0]), float(size[1]))
    return [
        ViewSample(index, path, tuple(size), box, False, None)
        for index, path in zip(ids, paths, strict=True)
    ]


def _numpy(maps: Tensor) -> np.ndarray:
    return maps.float().cpu().numpy()


def _read_blocks(
    vit: nn.Module, inputs: Tensor
) -> tuple[list[int], list[BlockAttention], list[str]]:
    """Read all blocks that can be read, in one pass; else say why there are none."""
    blocks: list[int] = []
    reason = f'{type(vit).__name__} has no list of blocks'
    for number in range(len(blocks_of(vit))):
        try:
            check_block(vit, number)
            blocks.append(number)
        except ValueError as error:  # stages of convolutions or of MLPs alone
            reason = str(error)
    if not blocks:
        return [], [], [f'no attention: {reason}']
    reads: list[BlockAttention] = []

    def read_all(left: list[int]) -> None:  # the last one is read first
        if left:
            reads.insert(0, read_block(vit, left[0], lambda: read_all(left[1:])))
        else:
            run(vit, inputs)

    read_all(blocks)
    return blocks, reads, []


def _maps(
    vit: nn.Module,
    reads: Sequence[BlockAttention],
    kind: Attention,
    inputs: Tensor,
    remarks: list[str],
) -> Tensor | None:
    """Return (B, blocks, heads, h, w), or None with a remark."""
    if not reads:
        return None
    if kind == 'cls' and not has_cls(vit):
        remarks.append(f'no attention of CLS: {type(vit).__name__} has no CLS token')
        return None
    prefix = num_prefix_tokens_of(vit)
    grid = grid_of(inputs.shape[-2:], patch_size_of(vit))
    try:
        maps = [attention_to_patches(read, prefix, kind) for read in reads]
    except ValueError as error:
        remarks.append(f'no received attention: {error}')
        return None
    return torch.stack(maps, dim=1).unflatten(3, grid)


def _score_of_host(
    host: Any, inputs: Tensor, samples: Sequence[ViewSample] | None
) -> tuple[Tensor, str]:
    """Return what the host's scorer or teacher says of images, (B, h, w)."""
    guidance: Any = guidance_of(host)
    scorer = guidance.scorer
    if scorer.cached:
        return attention_maps(host, inputs), note_of(scorer)
    scorer.check_other_images()
    size, unknown = inputs.shape[-2:], [None] * len(inputs)
    score = guidance.score(inputs, samples or whole_images(unknown, unknown, size))
    return score.unflatten(1, guidance.policy_grid(size)), note_of(scorer)


def _score_of_block(
    maps: Tensor | None, blocks: list[int], block: int, kind: str, source: str
) -> tuple[Tensor | None, str]:
    """Return one block's attention, (B, h, w), or None where there is none to read."""
    if maps is None:
        if source != 'host':
            raise ValueError(f'the score cannot be {source!r}: no such attention')
        return None, 'constant: no attention to read'
    number = block_number(blocks, block)
    heads = maps[:, blocks.index(number)]
    if kind == 'cls':
        return heads.mean(dim=1), f'CLS attention, block {number}'
    total = heads.sum(dim=1)
    scaled = min_max(total.flatten(1)).view_as(total)  # logits may be negative
    return scaled, f'{kind} attention, block {number}'


def block_number(blocks: Sequence[int], block: int) -> int:
    """Return the number of a block of ``blocks``; negative ones count from the last."""
    number = blocks[-1] + 1 + block if blocks and block < 0 else block
    if number not in blocks:
        raise ValueError(f'block {block} has no attention to read, only {blocks} have')
    return number
