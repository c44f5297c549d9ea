"""Try a policy before it decides on images."""

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator
from mmattmask.masking import PatchPartition

NUM_IMAGES = 8


def check_policy(policy: BaseMaskGenerator, grid: tuple[int, int]) -> None:
    """Let a policy mask made-up scores on the CPU and look at what comes out.

    Scores, or labels, are constant for half of the images and random for the others;
    randomness is the trial's own.

    Raises:
        ValueError: If the order is no permutation, counts are not those of its
            ``budget``, ``mask`` says something else, or the policy cannot work on this
            grid; the message names the policy.
    """
    name, num_patches = type(policy).__name__, grid[0] * grid[1]
    with torch.device('cpu'), torch.random.fork_rng(devices=[]), torch.no_grad():
        rng = torch.Generator().manual_seed(0)
        score = torch.rand(NUM_IMAGES, num_patches, generator=rng)
        score[: NUM_IMAGES // 2] = 0.5
        if policy.takes_labels:
            score = (4 * score).long()
        try:
            for progress in (0.0, 1.0) if policy.uses_progress else (0.0,):
                _try(policy, score, rng, progress, grid)
        except Exception as error:  # whatever an own policy stumbles over
            if isinstance(error, ValueError) and name in str(error):
                raise
            raise ValueError(
                f'{name} cannot partition {grid[0]} x {grid[1]} patches: {error}'
            ) from error


def _try(
    policy: BaseMaskGenerator,
    score: Tensor,
    rng: torch.Generator,
    progress: float,
    grid: tuple[int, int],
) -> None:
    name, num_patches = type(policy).__name__, score.shape[1]
    if not policy.variable_counts:
        partition = policy(score, rng, progress, grid)
        check_partition(partition, name)
        counts, budget = partition.budget, policy.budget(num_patches)
        if counts != budget:
            raise ValueError(f'{name} partitions as {counts}, not as {budget}')
    _check_mask(policy.mask(score, rng, progress, grid), policy, num_patches)


def check_partition(partition: PatchPartition, name: str) -> None:
    """Raise ValueError unless every patch is in one set, once; waits for the device."""
    order = torch.cat([partition.ids_seen, partition.ids_throw], dim=1)
    places = torch.arange(order.shape[1], device=order.device)
    wrong = (order.sort(dim=1).values != places).any(dim=1)
    wrong |= (order.gather(1, partition.ids_restore) != places).any(dim=1)
    if wrong.any():
        raise ValueError(
            f'{name} does not order all {order.shape[1]} patches, each once, in '
            f'{int(wrong.sum())} of {len(order)} images: shuffle() must return a '
            'permutation of the patch ids'
        )


def _check_mask(mask: Tensor, policy: BaseMaskGenerator, num_patches: int) -> None:
    name = type(policy).__name__
    if not isinstance(mask, Tensor) or mask.shape != (NUM_IMAGES, num_patches):
        raise ValueError(
            f'{name}.mask() must return a tensor of shape (B, L) = '
            f'{(NUM_IMAGES, num_patches)}, got {getattr(mask, "shape", type(mask))}'
        )
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f'{name}.mask() must return 1 for masked and 0 for other patches, got '
            f'{mask.unique()[:5].tolist()}'
        )
    masked = mask.sum(dim=1)
    if policy.variable_counts:
        most = policy.max_masked(num_patches)
        if masked.max() > most:
            raise ValueError(
                f'{name}.mask() masks {int(masked.max())} patches, max_masked() says '
                f'{most} of {num_patches}'
            )
        return
    budget = policy.budget(num_patches)
    if (masked != budget.num_masked).any():
        raise ValueError(
            f'{name}.mask() masks {masked.unique().int().tolist()} patches, budget() '
            f'says {budget.num_masked} of {num_patches}'
        )
