"""Noise with more power at some spatial frequencies than at others (ColorMAE)."""

from typing import Literal

import torch
from torch import Tensor

Color = Literal['red', 'blue', 'green', 'purple']


def color_noise(
    batch_size: int,
    grid: tuple[int, int],
    color: Color,
    sigma: tuple[float, float],
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
    noise: Tensor | None = None,
) -> Tensor:
    """Filter white noise by Gaussians: (B, h * w) float32 of mean 0 and any scale.

    ``'red'`` is smooth (low pass), ``'blue'`` rough (what the narrow Gaussian removes),
    ``'green'`` between the two, ``'purple'`` all but green. The white ``noise`` is (B,
    h + 2 m, w + 2 m) with m from :func:`margin`: places at the edge are like all
    others.

    Raises:
        ValueError: If ``noise`` has another shape.

    Source: ColorMAE, https://arxiv.org/abs/2407.13036.
    """
    reach = margin(sigma)
    shape = (batch_size, *(side + 2 * reach for side in grid))
    if noise is None:
        noise = torch.randn(shape, generator=generator, device=device)
    elif tuple(noise.shape) != shape:
        raise ValueError(f'noise must be {shape}, got {tuple(noise.shape)}')

    def smooth(width: float) -> Tensor:
        rows, columns = (_gaussian(side, width, reach, noise) for side in grid)
        return rows @ noise @ columns.T

    narrow, wide = sigma
    white = noise[:, reach : reach + grid[0], reach : reach + grid[1]]
    if color == 'red':
        coloured = smooth(wide)
    elif color == 'blue':
        coloured = white - smooth(narrow)
    elif color == 'green':
        coloured = smooth(narrow) - smooth(wide)
    else:
        coloured = white - smooth(narrow) + smooth(wide)
    return coloured.flatten(1)


def margin(sigma: tuple[float, float]) -> int:
    """Return how many patches beyond the grid the wide Gaussian reads."""
    return int(4 * sigma[1] + 0.5)


def _gaussian(side: int, sigma: float, reach: int, like: Tensor) -> Tensor:
    """Weights of a Gaussian around each place, (side, side + 2 * reach); sum 1."""
    places = torch.arange(side + 2 * reach, dtype=like.dtype, device=like.device)
    distance = places - (places[:side] + reach).unsqueeze(1)
    logits = -0.5 * (distance / sigma).square()
    # every place reads as far to both sides
    return logits.masked_fill(distance.abs() > reach, -torch.inf).softmax(dim=1)
