"""One visible patch in every 2 x 2 cell (UM-MAE), drawn or chosen by the score."""

from typing import Literal, get_args

import torch
from torch import Tensor

from mmattmask.mask_generators.base import BaseMaskGenerator, check_grid
from mmattmask.masking import PatchBudget, mask_all_but, rank_by_score
from mmattmask.masking.options import check_options
from mmattmask.registry import TASK_UTILS

Show = Literal['random', 'most', 'least']
SIDE = 2  # of a cell
PER_CELL = SIDE**2


@TASK_UTILS.register_module()
class UniformMaskGenerator(BaseMaskGenerator):
    """Show one patch of every 2 x 2 cell, so that no region is without one.

    Args:
        mask_ratio: 0.75, the only possible one; as other policies have it.
        show: Which one: ``'random'``, whatever the score says; ``'most'`` or
            ``'least'``, the one of the highest or lowest score, which is ours.
        balanced: Draw the four places almost equally often in each image, as released:
            without replacement from ``4 * ceil(cells / 2)`` of them. Else every cell
            for itself, as in the paper.

    Raises:
        ValueError: If the ratio is not 0.75, ``show`` is unknown, or ``balanced`` is
            asked for where nothing is drawn.

    Source: UM-MAE, https://arxiv.org/abs/2205.10063; implus/UM-MAE mask_transform.py.
    """

    def __init__(
        self, mask_ratio: float = 0.75, show: Show = 'random', balanced: bool = False
    ) -> None:
        if mask_ratio != 1 - 1 / PER_CELL:
            raise ValueError(
                f'one patch of each 2 x 2 cell is visible: mask_ratio is 0.75, it '
                f'cannot be {mask_ratio}'
            )
        check_options(show=(show, get_args(Show)))
        if balanced and show != 'random':
            raise ValueError(f'balanced=True is for drawn patches, not for {show=}')
        self.show: Show = show
        self.balanced = balanced

    def budget(self, num_patches: int) -> PatchBudget:
        """Return a quarter of visible patches; ValueError unless four divide them."""
        if num_patches % PER_CELL:
            raise ValueError(f'{num_patches} patches are no number of 2 x 2 cells')
        num_visible = num_patches // PER_CELL
        return PatchBudget(num_visible, num_patches - num_visible)

    def mask(
        self,
        score: Tensor,
        rng: torch.Generator | None = None,
        progress: float = 0.0,
        grid: tuple[int, int] | None = None,
    ) -> Tensor:
        """Return who is masked, (B, L) float32; ValueError on a grid of odd sides."""
        height, width = check_grid(grid, score)
        if height % SIDE or width % SIDE:
            raise ValueError(f'2 x 2 cells do not divide a grid of {height} x {width}')
        cells = height // SIDE, width // SIDE
        places = self._places(score, cells, rng)
        return mask_all_but(places, cells, SIDE).float()

    def _places(
        self, score: Tensor, cells: tuple[int, int], rng: torch.Generator | None
    ) -> Tensor:
        """Return which of its patches each cell shows, (B, cells), in 0..3."""
        batch_size, device = len(score), score.device
        num_cells = cells[0] * cells[1]
        if self.show != 'random':
            rows, columns = cells
            inside = score.view(batch_size, rows, SIDE, columns, SIDE).transpose(2, 3)
            inside = inside.reshape(batch_size * num_cells, PER_CELL)
            first = rank_by_score(inside, rng, lowest_first=self.show == 'least')[:, 0]
            return first.view(batch_size, num_cells)
        if self.balanced:
            pool = (batch_size, PER_CELL * -(-num_cells // 2))
            drawn = torch.rand(pool, generator=rng, device=device).argsort(dim=1)
            return drawn[:, :num_cells] % PER_CELL
        shape = (batch_size, num_cells)
        return torch.randint(PER_CELL, shape, generator=rng, device=device)
