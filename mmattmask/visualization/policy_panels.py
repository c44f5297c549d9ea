"""What several policies make of the same score."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from mmattmask.mask_generators import (
    AMTMaskGenerator,
    AttMaskGenerator,
    BaseMaskGenerator,
    BlockMaskGenerator,
    RandomMaskGenerator,
    SoftToHardMaskGenerator,
)
from mmattmask.visualization.attention_panels import draw_ranking
from mmattmask.visualization.gallery import TEXT_SIZE, draw_gallery, fit
from mmattmask.visualization.panels import (
    Membership,
    draw_attention,
    draw_partition,
    membership,
)
from mmattmask.visualization.strips import PANEL_SIDE, legend

BLOCK_SHARE = 12  # iBOT and BEiT: a rectangle has at least 16 of 196 patches


@dataclasses.dataclass(frozen=True)
class Policy:
    """A policy with its name.

    Attributes:
        name: What to write above its panel.
        generator: The mask generator.
        progress: Share of the training that is done, in [0, 1].
    """

    name: str
    generator: BaseMaskGenerator
    progress: float = 0.0


def example_policies(num_patches: int, mask_ratio: float = 0.75) -> list[Policy]:
    """Return the policies of the papers, to be compared on one score.

    Args:
        num_patches: Patches of an image; says how large a rectangle is at least.
        mask_ratio: Share of masked patches of all but AMT, which masks 0.45 and throws
            0.40.
    """
    soft_to_hard = SoftToHardMaskGenerator(mask_ratio)
    block = BlockMaskGenerator(
        mask_ratio, min_patches=max(1, min(16, num_patches // BLOCK_SHARE))
    )
    return [
        Policy('random', RandomMaskGenerator(mask_ratio)),
        Policy('block-wise', block),
        Policy('AM', AMTMaskGenerator(mask_ratio, 0.0)),
        Policy('AMT', AMTMaskGenerator()),
        Policy('AttMask High', AttMaskGenerator('high', mask_ratio)),
        Policy('AttMask Hint', AttMaskGenerator('hint', mask_ratio)),
        Policy('AttMask Low', AttMaskGenerator('low', mask_ratio)),
        Policy('GPA, at 0 %', soft_to_hard, 0.0),
        Policy('GPA, at 50 %', soft_to_hard, 0.5),
        Policy('GPA, at 100 %', soft_to_hard, 1.0),
    ]


def apply_policy(
    policy: Policy, score: Tensor, grid: tuple[int, int], seed: int = 0
) -> np.ndarray:
    """Return every patch's :class:`Membership` under a policy.

    Args:
        policy: The policy.
        score: (B, h * w), large = attended.
        grid: Patches of an image, (h, w).
        seed: Of its random numbers, the same for every policy.

    Returns:
        (B, h, w) uint8.
    """
    generator = policy.generator
    rng = torch.Generator(score.device).manual_seed(seed)
    if generator.variable_counts:
        mask = generator.mask(score, rng, policy.progress, grid)
        return sets_of_mask(mask.unflatten(1, grid))
    return membership(generator(score, rng, policy.progress, grid), grid)


def sets_of_mask(mask: Tensor) -> np.ndarray:
    """Return the :class:`Membership` that a mask says, of the mask's shape."""
    sets: np.ndarray = np.where(
        mask.cpu().numpy() > 0.5, Membership.MASKED, Membership.VISIBLE
    ).astype(np.uint8)
    return sets


def describe_counts(sets: np.ndarray) -> str:
    """Say how many patches are masked and thrown, such as ``'88 masked, 78 thrown'``.

    Args:
        sets: Each patch's :class:`Membership`, (h, w).
    """
    masked, thrown = (
        int((sets == member).sum()) for member in (Membership.MASKED, Membership.THROWN)
    )
    return f'{masked} masked' + (f', {thrown} thrown' if thrown else '')


def draw_policies(
    image: np.ndarray,
    score: np.ndarray,
    sets: Mapping[str, np.ndarray],
    caption: str = '',
    columns: int = 4,
    side: int = PANEL_SIDE,
) -> np.ndarray:
    """Draw image, score, and what the policies make of it.

    Args:
        image: (H, W, 3) uint8.
        score: (h, w), large = attended.
        sets: Each patch's :class:`Membership`, (h, w), under the policies' names.
        caption: One line above all.
        columns: Panels in a row.
        side: Of a panel in px, about.

    Returns:
        uint8 RGB.
    """
    image = fit(image, side)
    panels: Sequence[np.ndarray] = [
        draw_attention(image, score),
        draw_ranking(image, score),
        *(draw_partition(image, own) for own in sets.values()),
    ]
    titles = ['score', 'ranking', *sets]
    cells = f'{score.shape[0]} x {score.shape[1]}'
    notes = [cells, 'brightest: 1st', *map(describe_counts, sets.values())]
    footer = legend([], TEXT_SIZE)
    return draw_gallery(panels, titles, notes, columns, caption, footer)
