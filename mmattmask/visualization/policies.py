"""Who is visible, masked and thrown under the papers' policies."""

import dataclasses
from enum import IntEnum

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
from mmattmask.masking import PatchPartition

BLOCK_SHARE = 12  # iBOT and BEiT: a rectangle has at least 16 of 196 patches


class Membership(IntEnum):
    """The set a patch belongs to."""

    VISIBLE = 0
    MASKED = 1
    THROWN = 2


def membership(partition: PatchPartition | Tensor, grid: tuple[int, int]) -> np.ndarray:
    """Return every patch's :class:`Membership`, (B, h, w) uint8.

    Args:
        partition: Of B images, or only who is masked, (B, h * w), 1 = masked.
        grid: Patches of an image, (h, w).
    """
    mask = partition if isinstance(partition, Tensor) else partition.mask
    sets = mask.bool() * int(Membership.MASKED)
    if not isinstance(partition, Tensor):
        sets = sets.masked_fill(partition.thrown, Membership.THROWN)
    return sets.cpu().numpy().astype(np.uint8).reshape(-1, *grid)


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
        num_patches: Of an image; says how large a rectangle is at least.
        mask_ratio: Of all but AMT, which masks 0.45 and throws 0.40.
    """
    soft_to_hard = SoftToHardMaskGenerator(mask_ratio)
    smallest = max(1, min(16, num_patches // BLOCK_SHARE))
    return [
        Policy('random', RandomMaskGenerator(mask_ratio)),
        Policy('block-wise', BlockMaskGenerator(mask_ratio, min_patches=smallest)),
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
    """Return every patch's :class:`Membership` under a policy, (B, h, w) uint8.

    Args:
        policy: The policy.
        score: (B, h * w), large = attended.
        grid: Patches of an image, (h, w).
        seed: Of its random numbers.
    """
    rng = torch.Generator(score.device).manual_seed(seed)
    return membership(decide(policy, score, grid, rng), grid)


def decide(
    policy: Policy, score: Tensor, grid: tuple[int, int], rng: torch.Generator
) -> PatchPartition | Tensor:
    """Return a policy's partition, or its mask (B, L) where images differ in counts."""
    generator = policy.generator
    ask = generator.mask if generator.variable_counts else generator
    return ask(score, rng, policy.progress, grid)


def describe_counts(sets: np.ndarray) -> str:
    """Say how many patches are what, such as ``'88 masked, 78 thrown'``."""
    text = f'{(sets == Membership.MASKED).sum()} masked'
    thrown = (sets == Membership.THROWN).sum()
    return f'{text}, {thrown} thrown' if thrown else text
