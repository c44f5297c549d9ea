"""Scores that know no attention: what guided masks have to beat."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn

from mmattmask.masking.attention import at_least_float32
from mmattmask.registry import MODELS
from mmattmask.scorers.base import Scorer
from mmattmask.scorers.self_attention import patch_size_of


class Control(Scorer):
    """Base of scorers that need a view, or only its size, and nothing else."""

    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the score of whole images' patches, (B, L), see :meth:`forward`."""
        backbone = get_ori_model(model).backbone
        grid = self.map_grid(backbone, images.shape[-2:])
        return self(images, None, grid, patch_size_of(backbone))


@MODELS.register_module()
class CenterPrior(Control):
    """How near a patch is to the middle of its view, whatever the view shows.

    Photographers put objects there, so this "score" finds objects, too.

    Args:
        sigma: Width of the Gaussian, as a share of the view's height and width;
            ValueError unless positive.
    """

    def __init__(self, sigma: float = 0.25) -> None:
        super().__init__()
        if not sigma > 0:
            raise ValueError(f'sigma must be above 0, got {sigma}')
        self.sigma = sigma

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None,
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' cells, (B, h * w) float32 in (0, 1]."""
        rows, columns = (
            (torch.arange(side, device=inputs.device) + 0.5) / side - 0.5
            for side in grid
        )
        distance = rows.square().unsqueeze(1) + columns.square()
        score = (-0.5 * distance / self.sigma**2).exp()
        return score.flatten().expand(len(inputs), -1)


@MODELS.register_module()
class PatchContrast(Control):
    """How much the pixels of a patch differ from each other.

    The root of the mean of the channels' variances in the patch, of normalised pixels;
    a patch of one colour has the score 0.
    """

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None,
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' cells, (B, h * w), at least float32."""
        pixels = at_least_float32(inputs)
        cells = pixels.unflatten(3, (grid[1], -1)).unflatten(2, (grid[0], -1))
        variance = cells.var(dim=(3, 5), unbiased=False)
        return variance.mean(dim=1).sqrt().flatten(1)
