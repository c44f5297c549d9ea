"""Panels: every pixel is what its patch's set says, at any size and grid."""

import numpy as np
import pytest
import torch

from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.visualization import (
    Membership,
    draw_attention,
    draw_partition,
    draw_reconstruction,
    membership,
    unnormalize_patches,
    unpatchify,
)
from mmattmask.visualization.palette import MASKED, THROWN, THROWN_LINE, colorize
from mmattmask.visualization.panels import patchify, to_rgb

# image size in px and grid: square, wide, tall, one row, not divisible
SHAPES = [
    ((32, 32), (8, 8)),
    ((20, 50), (2, 5)),
    ((224, 126), (14, 9)),
    ((16, 64), (1, 4)),
    ((30, 31), (7, 4)),
]


def random_case(size, grid):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    sets = rng.integers(0, 3, grid).astype(np.uint8)
    sets.flat[:3] = list(Membership)
    return image, sets


def cell_of(size, grid):
    """Return the row and column of the patch of every pixel."""
    rows = [y * grid[0] // size[0] for y in range(size[0])]
    columns = [x * grid[1] // size[1] for x in range(size[1])]
    return np.ix_(rows, columns)


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_visible_pixels_masked_flat_thrown_hatched(size, grid):
    image, sets = random_case(size, grid)
    panel = draw_partition(image, sets)
    assert panel.dtype == np.uint8
    assert panel.shape == image.shape
    of_pixel = sets[cell_of(size, grid)]
    assert np.array_equal(
        panel[of_pixel == Membership.VISIBLE], image[of_pixel == Membership.VISIBLE]
    )
    masked = {tuple(color) for color in panel[of_pixel == Membership.MASKED].tolist()}
    assert MASKED in masked
    assert len(masked) <= 2  # and the lines between patches
    thrown = {tuple(color) for color in panel[of_pixel == Membership.THROWN].tolist()}
    assert thrown == {THROWN, THROWN_LINE}


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_reconstruction_shows_the_prediction_only_where_masked(size, grid):
    image, sets = random_case(size, grid)
    prediction = np.full_like(image, 77)
    panel = draw_reconstruction(image, prediction, sets)
    of_pixel = sets[cell_of(size, grid)]
    assert (panel[of_pixel == Membership.MASKED] == 77).all()
    assert np.array_equal(
        panel[of_pixel == Membership.VISIBLE], image[of_pixel == Membership.VISIBLE]
    )
    partition = draw_partition(image, sets)
    thrown = of_pixel == Membership.THROWN
    assert np.array_equal(panel[thrown], partition[thrown])


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_attention_is_brightest_where_it_is_largest(size, grid):
    image = np.full((*size, 3), 120, dtype=np.uint8)
    attention = np.arange(grid[0] * grid[1], dtype=np.float32).reshape(grid)
    panel = draw_attention(image, attention).astype(int).sum(axis=2)
    of_pixel = attention[cell_of(size, grid)]
    brightness = [panel[of_pixel == value].mean() for value in attention.flat]
    assert np.argmax(brightness) == attention.size - 1
    assert np.all(np.diff(brightness) > -3)  # rounding


def test_attention_does_not_depend_on_the_scale_of_the_map():
    image, _ = random_case((32, 32), (8, 8))
    attention = np.random.default_rng(1).random((8, 8))
    panel = draw_attention(image, attention)
    assert np.array_equal(panel, draw_attention(image, attention / 64 + 1))
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 64


@pytest.mark.parametrize('value', [0.0, 0.7])
def test_constant_attention_is_lowest_everywhere(value):
    image = np.zeros((8, 8, 3), dtype=np.uint8)
    panel = draw_attention(image, np.full((2, 2), value), overlay=1.0)
    assert np.array_equal(panel, colorize(np.zeros((8, 8))))


def test_membership_of_a_partition():
    budget = PatchBudget(num_visible=1, num_masked=2, num_thrown=3)
    ids = torch.tensor([[5, 0, 2, 1, 3, 4], [0, 1, 2, 3, 4, 5]])
    sets = membership(partition_patches(ids, budget), (2, 3))
    assert sets.tolist() == [[[1, 2, 1], [2, 2, 0]], [[0, 1, 1], [2, 2, 2]]]


@pytest.mark.parametrize('grid', [(2, 5), (3, 3)])
def test_unpatchify_reverses_the_patches_of_the_stock_head(grid):
    from mmpretrain.models import MAEPretrainHead

    size = (grid[0] * 4, grid[1] * 4)
    images = torch.randn(2, 3, *size)
    patches = patchify(images, grid)
    assert torch.equal(unpatchify(patches, grid, size), images)
    if grid[0] == grid[1]:
        loss = dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2')
        head = MAEPretrainHead(loss=loss, patch_size=4)
        assert torch.equal(patches, head.patchify(images))


def test_unnormalize_reverses_norm_pix_of_the_stock_head():
    from mmpretrain.models import MAEPretrainHead

    loss = dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2')
    head = MAEPretrainHead(loss=loss, norm_pix=True, patch_size=4)
    images = 3 * torch.randn(2, 3, 8, 8) + 1
    target = patchify(images, (2, 2))
    prediction = head.construct_target(images)
    assert not torch.allclose(prediction, target)
    torch.testing.assert_close(unnormalize_patches(prediction, target), target)


def test_to_rgb_undoes_the_preprocessor():
    pixels = torch.randint(0, 256, (1, 3, 4, 5))
    mean = torch.tensor([120.0, 110, 100])[:, None, None]
    std = torch.tensor([60.0, 50, 40])[:, None, None]
    images = to_rgb((pixels - mean) / std, mean, std)
    assert np.array_equal(images[0], pixels[0].permute(1, 2, 0).numpy())
