"""Few-shot attention selection: which block and head attends to the foreground."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.evaluation.score_content import (
    position_share,
    rank_correlation,
    shuffled,
)
from mmattmask.masking import view_score
from mmattmask.masking.attention import full_precision
from mmattmask.masking.options import check_options
from mmattmask.scorers.library_vits import LibraryViT
from mmattmask.scorers.self_attention import (
    Attention,
    BlockAttention,
    attention_to_patches,
    blocks_of,
    check_block,
    num_prefix_tokens_of,
)

Average = Literal['micro', 'macro']
AVERAGES: tuple[Average, ...] = ('micro', 'macro')


@dataclasses.dataclass(frozen=True)
class HeadRecall:
    """How many annotated patches are among the k most attended ones.

    ``hits`` are (B, blocks, heads + 1) float64, the last column of all heads summed,
    and not whole where patches are tied; ``num_annotated``, at least 1, and
    ``num_drawn``, k, are (B,) float64.
    """

    hits: Tensor
    num_annotated: Tensor
    num_drawn: Tensor
    num_patches: int

    def table(self, average: Average = 'macro') -> Tensor:
        """Return the recall of every block and head, (blocks, heads + 1) in [0, 1].

        ``'macro'`` averages the images' recalls; ``'micro'`` pools their patches, so
        that images with much foreground count more.
        """
        return self._average(self.hits, average)

    def chance(self, average: Average = 'macro') -> float:
        """Return the expected recall of a random ranking."""
        hits = self.num_drawn * self.num_annotated / self.num_patches
        return float(self._average(hits, average))

    def at(self, block: int, head: int | None, average: Average = 'macro') -> float:
        """Return one recall; None is the sum of all heads. ValueError for others."""
        blocks, heads = self.hits.shape[1], self.hits.shape[2] - 1
        if not 0 <= block < blocks:
            raise ValueError(f'block {block} does not exist in {blocks} blocks')
        if head is not None and not 0 <= head < heads:
            raise ValueError(f'head {head} does not exist in {heads} heads')
        return float(self.table(average)[block, heads if head is None else head])

    def best(
        self, average: Average = 'macro', all_heads: bool = True
    ) -> tuple[int, int | None]:
        """Return the block and head with the largest recall, the first among equals.

        The sum of all heads (None) takes part unless ``all_heads`` is off.
        """
        heads = self.hits.shape[2] - 1
        table = self.table(average)[:, : heads + all_heads]
        block, head = divmod(int(table.argmax()), table.shape[1])
        return block, None if head == heads else head

    def _average(self, hits: Tensor, average: Average) -> Tensor:
        check_options(average=(average, AVERAGES))
        if average == 'micro':
            return hits.sum(dim=0) / self.num_annotated.sum()
        shape = (-1,) + (1,) * (hits.ndim - 1)
        return (hits / self.num_annotated.view(shape)).mean(dim=0)


def head_recall(
    maps: Tensor, foreground: Tensor, ratio: float | None = None
) -> HeadRecall:
    """Measure the recall of the annotated patches among the top k of each map.

    Tied patches count by their expected share, so a constant map has the recall of
    chance and not that of the patches that happen to come first.

    Args:
        maps: Attention of every block and head to the patches, (B, blocks, heads, L),
            large = attended, any scale.
        foreground: Annotated patches, (B, L) bool. Images without any are left out.
        ratio: The top ``int(ratio * L)`` patches count, as many as GPA masks with 0.75.
            None: as many as are annotated in each image; recall is precision then.

    Raises:
        ValueError: If nothing is annotated, a map is not finite, or ``ratio`` selects
            no patch or more than there are.

    Source: GPA, Sec. 3.4; there is no released code, and the paper states neither k nor
    how images are averaged.
    """
    annotated = foreground.bool().any(dim=1)
    if not annotated.any():
        raise ValueError(
            f'no patch is annotated as foreground in any of {len(maps)} images'
        )
    maps, foreground = maps[annotated], foreground[annotated].bool()
    if not maps.isfinite().all():
        raise ValueError('the attention maps hold numbers that are not finite')
    num_patches = maps.shape[3]
    counts = foreground.sum(dim=1)
    if ratio is None:
        drawn = counts
    else:
        drawn = torch.full_like(counts, int(ratio * num_patches))
        if not 1 <= int(ratio * num_patches) <= num_patches:
            raise ValueError(
                f'ratio {ratio} selects {int(ratio * num_patches)} of {num_patches} '
                'patches'
            )
    maps = torch.cat([maps, maps.sum(dim=2, keepdim=True)], dim=2)
    wanted = foreground[:, None, None]
    k = drawn.view(-1, 1, 1)
    last = (k - 1).expand(*maps.shape[:3]).unsqueeze(-1)
    threshold = maps.sort(dim=-1, descending=True).values.gather(-1, last)
    above, tied = maps > threshold, maps == threshold
    share = (k - above.sum(dim=-1)).double() / tied.sum(dim=-1)
    hits = (above & wanted).sum(dim=-1) + share * (tied & wanted).sum(dim=-1)
    return HeadRecall(hits, counts.double(), drawn.double(), num_patches)


@dataclasses.dataclass(frozen=True)
class HeadContent:
    """What maps of images without annotations tell of every block and head.

    Both are (blocks, heads + 1), the last column of the sum of all heads. ``agreement``
    is the rank correlation of the maps of two crops of an image where they overlap,
    minus that with another image's crop.
    """

    position_share: np.ndarray
    agreement: np.ndarray

    @property
    def content(self) -> np.ndarray:
        """Agreement minus position share, (blocks, heads + 1)."""
        return self.agreement - self.position_share

    def best(self, block: int = -1) -> tuple[int, int | None]:
        """Return a block and its head with the most content; None is their sum.

        Heads of other blocks are not compared: early ones follow edges and colours,
        which is content, but not an object.
        """
        block %= len(self.content)
        head = int(self.content[block].argmax())
        return block, None if head == self.content.shape[1] - 1 else head

    def text(self, block: int) -> str:
        """Return a table of a block's heads, and which one is chosen."""
        lines = ['| head | position share | agreement of crops |', '|---|---|---|']
        names = [*map(str, range(self.content.shape[1] - 1)), 'all']
        rows = zip(
            names, self.position_share[block], self.agreement[block], strict=True
        )
        lines += [f'| {name} | {a:.2f} | {b:.2f} |' for name, a, b in rows]
        _, head = self.best(block)
        chosen = 'all heads' if head is None else f'head {head}'
        return '\n'.join([*lines, '', f'chosen: block {block}, {chosen}'])


def two_crops(images: Tensor) -> list[Tensor]:
    """Return the top left and bottom right 3/4 by 3/4 of images, in their size."""
    height, width = images.shape[-2:]
    tall, wide = height * 3 // 4, width * 3 // 4
    crops = images[..., :tall, :wide], images[..., height - tall :, width - wide :]
    size = (height, width)
    return [F.interpolate(x, size, mode='bilinear', antialias=True) for x in crops]


def head_content(
    maps: Tensor, crops: Sequence[Tensor], grid: tuple[int, int]
) -> HeadContent:
    """Tell heads that follow content from those that follow the place of a patch.

    From the attention (B, blocks, heads, L) to images and to their :func:`two_crops`.
    """
    whole, first, second = (
        torch.cat([x, x.sum(dim=2, keepdim=True)], dim=2) for x in (maps, *crops)
    )
    # in thirds of a crop: where it shows what both show
    first, second = _cut_out(first, (1, 1), grid), _cut_out(second, (0, 0), grid)
    share, agreement = np.empty((2, *whole.shape[1:3]))
    for place in np.ndindex(share.shape):
        one, other, all_of_it = (
            x[:, place[0], place[1]].double().numpy() for x in (first, second, whole)
        )
        share[place] = position_share(all_of_it)
        own = rank_correlation(one, other)
        agreement[place] = own - rank_correlation(one, shuffled(other))
    return HeadContent(share, agreement)


def _cut_out(maps: Tensor, corner: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """Return 2/3 by 2/3 of maps (B, blocks, heads, L), from a corner in thirds."""
    flat = maps.flatten(0, 2).unflatten(1, grid)
    box = flat.new_tensor([*corner, 2, 2]).expand(len(flat), -1)
    size, flip = flat.new_full((len(flat), 2), 3), box.new_zeros(len(flat), 2).bool()
    cells = (max(1, grid[0] * 2 // 3), max(1, grid[1] * 2 // 3))
    return view_score(flat, box, size, flip, cells).unflatten(0, maps.shape[:3])


@torch.no_grad()
def read_maps(vit: nn.Module, images: Tensor, attention: Attention) -> Tensor:
    """Read what every block and head attends to, in one forward pass.

    Each block's queries and keys are reduced to one map per head as soon as they exist:
    O(N) per head, and no attention matrix (but for ``'received_probs'``).

    ``vit`` is of MMPretrain, a TIMMBackbone or a LibraryViT, in evaluation mode, and
    ``images`` are normalised, (B, 3, H, W). Returns (B, blocks, heads, L) float32; one
    of them, scaled to [0, 1], is the score of :class:`FrozenTeacher`.
    """
    if isinstance(vit, LibraryViT):
        return torch.stack(vit.read(images, attention, range(vit.num_blocks)), dim=1)
    blocks = blocks_of(vit)
    for number in range(len(blocks)):
        check_block(vit, number)
    layers: list[Any] = [block.attn for block in blocks]
    prefix = num_prefix_tokens_of(vit)
    maps: list[Tensor] = []

    def reduce(module: nn.Module, args: object, output: Tensor) -> None:
        heads = layers[len(maps)].num_heads
        query, key, _ = output.unflatten(-1, (3, heads, -1)).unbind(2)
        read = BlockAttention(query.transpose(1, 2), key.transpose(1, 2))
        with full_precision(output):
            maps.append(attention_to_patches(read, prefix, attention))

    handles = [layer.qkv.register_forward_hook(reduce) for layer in layers]
    try:
        vit(images)
    finally:
        for handle in handles:
            handle.remove()
    return torch.stack(maps, dim=1)


def centre_map(grid: tuple[int, int]) -> Tensor:
    """Return a map that is large near the centre of the image, (1, 1, 1, h * w).

    A head that does not recall more than this map knows only where subjects are.
    """
    height, width = grid
    # whole numbers, so that patches equally far away are tied
    rows = (2 * torch.arange(height) + 1 - height) * width
    columns = (2 * torch.arange(width) + 1 - width) * height
    distance = rows[:, None].square() + columns.square()
    return -distance.reshape(1, 1, 1, -1).double()
