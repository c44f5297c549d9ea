"""Coloured noise: its filters, its statistics, and that no place is special."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from mmattmask.masking import color_noise
from mmattmask.masking.noise import margin

SIGMA = (0.5, 2.0)
GRID = (14, 14)
COLORS = ('red', 'blue', 'green', 'purple')


@pytest.mark.parametrize('color', COLORS)
@pytest.mark.parametrize('grid', [(14, 14), (3, 9)])
def test_filters_are_scipys_gaussians(color, grid):
    reach = margin(SIGMA)
    shape = (3, grid[0] + 2 * reach, grid[1] + 2 * reach)
    noise = torch.randn(shape, dtype=torch.float64)
    found = color_noise(3, grid, color, SIGMA, noise=noise)
    narrow, wide = (
        np.stack([gaussian_filter(one, s, radius=reach) for one in noise.numpy()])
        for s in SIGMA
    )
    white = noise.numpy()
    expected = dict(
        red=wide, blue=white - narrow, green=narrow - wide, purple=white - narrow + wide
    )[color]
    expected = expected[:, reach:-reach, reach:-reach].reshape(3, -1)
    # scipy's kernel is of the same length here, so only rounding differs
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize('color', COLORS)
def test_every_place_has_the_same_noise(color):
    noise = color_noise(20000, (4, 7), color, SIGMA, torch.Generator().manual_seed(0))
    spread = noise.std(dim=0)
    assert noise.mean(dim=0).abs().max() < 5 * spread.max() / 20000**0.5
    assert (spread / spread.mean() - 1).abs().max() < 5 * 0.5**0.5 / 20000**0.5


def test_noise_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r'\(2, 30, 30\), got \(2, 14, 14\)'):
        color_noise(2, GRID, 'red', SIGMA, noise=torch.zeros(2, 14, 14))
