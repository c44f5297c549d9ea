"""What a model makes of images: attention, score, partition, reconstruction."""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from mmpretrain.structures import DataSample
from torch import Tensor, nn

from mmattmask.evaluation.features import Normalisation, has_cls, run
from mmattmask.masking import min_max
from mmattmask.masking.view import resample
from mmattmask.models.guidance import Guidance, attention_maps, guidance_of
from mmattmask.scorers.self_attention import (
    Attention,
    BlockAttention,
    attention_to_patches,
    blocks_of,
    check_block,
    cut,
    num_prefix_tokens_of,
    patch_size_of,
    read_block,
)
from mmattmask.visualization.panels import membership, to_rgb
from mmattmask.visualization.policy_panels import sets_of_mask
from mmattmask.visualization.prediction import predict_pixels

ScoreSource = Literal['host', 'cls', 'received']


@dataclasses.dataclass(frozen=True)
class Sitter:
    """A model to look at.

    Attributes:
        vit: Whose attention is read, in evaluation mode.
        normalisation: What its input is normalised with.
        host: The whole algorithm, or None: then there is neither policy nor
            reconstruction.
    """

    vit: nn.Module
    normalisation: Normalisation
    host: nn.Module | None = None


@dataclasses.dataclass(frozen=True)
class Portrait:
    """What a model makes of B images.

    Attributes:
        images: (B, H, W, 3) uint8 RGB.
        blocks: Numbers of the blocks whose attention can be read.
        cls: Attention of the CLS token, (B, blocks, heads, h, w), or None.
        received: Attention that each patch receives, likewise, or None.
        score: What the policies decide on, (B, h', w') on the grid of their cells.
        score_note: Where the score is from.
        sets: The host's own partition, (B, h', w'), or None.
        policy_note: The host's own policy.
        prediction: Predicted pixels, (B, H, W, 3) uint8 RGB, or None.
        prediction_note: What to know about them.
        remarks: What could not be had, and why.
    """

    images: np.ndarray
    blocks: list[int]
    cls: np.ndarray | None
    received: np.ndarray | None
    score: np.ndarray
    score_note: str
    sets: np.ndarray | None = None
    policy_note: str = ''
    prediction: np.ndarray | None = None
    prediction_note: str = ''
    remarks: tuple[str, ...] = ()


@torch.no_grad()
def portray(
    sitter: Sitter,
    images: np.ndarray,
    paths: Sequence[str | None] | None = None,
    attention: Attention = 'received',
    source: ScoreSource = 'host',
    block: int = -1,
    progress: float = 1.0,
    seed: int = 0,
) -> Portrait:
    """Let a model look at images.

    Args:
        sitter: The model.
        images: (B, H, W, 3) uint8 RGB, of the model's size.
        paths: The images' files, for scorers that look maps up.
        attention: How received attention is read, see ``FrozenTeacher``.
        source: The score is what the host's scorer says, ``'cls'`` attention of
            ``block`` (mean of heads), or ``'received'`` attention of it (sum of heads).
            A host without a scorer has the attention of its teacher, or ``'cls'``.
        block: The block of ``'cls'`` and ``'received'``.
        progress: Share of the training that is done, for the host's own policy.
        seed: Of the host's own partition.

    Raises:
        ValueError: If the images do not fit the model, or it cannot give the score.
        FileNotFoundError: If a scorer lacks its files.
    """
    inputs = normalise(images, sitter.normalisation)
    inputs = inputs.to(next(sitter.vit.parameters()).device)
    blocks, reads, remarks = _read_blocks(sitter.vit, inputs)
    maps = {
        kind: _maps(sitter.vit, reads, kind, inputs, remarks)
        for kind in ('cls', attention)
    }
    score, note = None, ''
    if source == 'host':
        score, note = _score_of_host(sitter.host, inputs, paths)
    if score is None:
        kind = attention if source == 'received' else 'cls'
        score, note = _score_of_block(maps[kind], blocks, block, kind, source)
    guidance = None if sitter.host is None else guidance_of(sitter.host)
    side = patch_size_of(sitter.vit) if guidance is None else guidance.cell_size
    score = _on_grid(score, inputs, side)
    own = {}
    if guidance is not None:
        own = _own_partition(sitter, guidance, score, inputs, progress, seed)
    return Portrait(
        images,
        blocks,
        _numpy(maps['cls']),
        _numpy(maps[attention]),
        _numpy(score),
        note,
        remarks=tuple(remarks),
        **own,
    )


def normalise(images: np.ndarray, how: Normalisation) -> Tensor:
    """Turn (B, H, W, 3) uint8 RGB into a model's input, (B, 3, H, W) float32."""
    pixels = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
    if not how.rgb:
        pixels = pixels.flip(1)
    mean, std = _statistics(how)
    return (pixels - mean) / std


def denormalise(inputs: Tensor, how: Normalisation) -> np.ndarray:
    """Undo :func:`normalise`, rounded and clipped."""
    pixels = to_rgb(inputs.cpu(), *_statistics(how))
    return pixels if how.rgb else pixels[..., ::-1]


def _statistics(how: Normalisation) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(value).view(-1, 1, 1) for value in (how.mean, how.std))
    return mean, std


def _numpy(maps: Tensor | None) -> np.ndarray | None:
    return None if maps is None else maps.float().cpu().numpy()


def _on_grid(score: Tensor | None, inputs: Tensor, side: int) -> Tensor:
    """Bring a score to cells of ``side`` px, (B, h, w); zeros if there is none."""
    grid = cut(inputs.shape[-2:], side)
    if score is None:
        return inputs.new_zeros(len(inputs), *grid)
    if tuple(score.shape[1:]) == grid:
        return score
    return resample(score, grid).unflatten(1, grid)


def _read_blocks(
    vit: nn.Module, inputs: Tensor
) -> tuple[list[int], list[BlockAttention], list[str]]:
    """Read all blocks that can be read, in one pass."""
    blocks: list[int] = []
    remarks: list[str] = []
    reason = f'{type(vit).__name__} has no list of blocks'
    for number in range(_num_blocks(vit)):
        try:
            check_block(vit, number)
            blocks.append(number)
        except ValueError as error:  # stages of convolutions or of MLPs alone
            reason = str(error)
    if not blocks:
        remarks.append(f'no attention: {reason}')
    reads: dict[int, BlockAttention] = {}

    def read_from(position: int) -> None:
        if position == len(blocks):
            run(vit, inputs)
            return
        reads[position] = read_block(
            vit, blocks[position], lambda: read_from(position + 1)
        )

    if blocks:
        read_from(0)
    return blocks, [reads[position] for position in range(len(blocks))], remarks


def _num_blocks(vit: nn.Module) -> int:
    try:
        return len(blocks_of(vit))
    except AttributeError:
        return 0


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
    grid = cut(inputs.shape[-2:], patch_size_of(vit))
    try:
        maps = [attention_to_patches(read, prefix, kind) for read in reads]
    except ValueError as error:
        remarks.append(f'no received attention: {error}')
        return None
    return torch.stack(maps, dim=1).unflatten(3, grid)


def _score_of_host(
    host: nn.Module | None, inputs: Tensor, paths: Sequence[str | None] | None
) -> tuple[Tensor | None, str]:
    """Return what the host's scorer or teacher says of whole images, (B, h, w)."""
    guidance = None if host is None else guidance_of(host)
    if guidance is None or guidance.scorer is None:
        return None, ''
    grid = guidance.policy_grid(inputs.shape[-2:])
    scorer = guidance.scorer
    name = type(scorer).__name__
    if scorer.cached:
        return attention_maps(host, inputs), f'{name}, measured now'
    height, width = inputs.shape[-2:]
    whole = dict(
        crop_box=(0.0, 0.0, float(height), float(width)),
        ori_shape=(height, width),
        flip=False,
        flip_direction=None,
    )
    samples = [
        DataSample(metainfo=dict(whole, sample_idx=index, img_path=path))
        for index, path in enumerate(paths or [None] * len(inputs))
    ]
    return guidance.score(inputs, samples).unflatten(1, grid), name


def _score_of_block(
    maps: Tensor | None, blocks: list[int], block: int, kind: str, source: str
) -> tuple[Tensor | None, str]:
    """Return one block's attention, (B, h, w), or None where there is none to read."""
    if maps is None:
        if source != 'host':
            raise ValueError(f'the score cannot be {source!r}: no such attention')
        return None, 'constant: no attention to read'
    number = blocks[-1] + 1 + block if block < 0 else block
    if number not in blocks:
        raise ValueError(f'block {block} has no attention to read, only {blocks} have')
    of_heads = maps[:, blocks.index(number)]
    if kind == 'cls':
        return of_heads.mean(dim=1), f'CLS attention, block {number}'
    total = of_heads.sum(dim=1)
    scaled = min_max(total.flatten(1)).view_as(total)  # logits may be negative
    return scaled, f'{kind} attention, block {number}'


def _own_partition(
    sitter: Sitter,
    guidance: Guidance,
    score: Tensor,
    inputs: Tensor,
    progress: float,
    seed: int,
) -> dict[str, Any]:
    """Let the host's policy decide, and the host predict what is masked."""
    generator = guidance.mask_generator
    grid = tuple(score.shape[1:])
    rng = torch.Generator(score.device).manual_seed(seed)
    flat = score.flatten(1)
    partition = None
    if generator.variable_counts:
        mask = generator.mask(flat, rng, progress, grid)
        sets = sets_of_mask(mask.unflatten(1, grid))
    else:
        partition = generator(flat, rng, progress, grid)
        mask, sets = partition.mask, membership(partition, grid)
    pixels, note = predict_pixels(
        sitter.host, inputs, mask.unflatten(1, grid), partition
    )
    return dict(
        sets=sets,
        policy_note=re.sub('MaskGenerator$', '', type(generator).__name__),
        prediction=None
        if pixels is None
        else denormalise(pixels, sitter.normalisation),
        prediction_note=note,
    )
