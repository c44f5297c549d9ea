"""Maps of an image's resolution: averages over the area of each patch."""

import numpy as np
import pytest

from mmattmask.scorers.area import area_score


def by_hand(values, box, flip, grid):
    """Every patch on whole pixels: slices and means."""
    top, left, height, width = box
    padded = np.pad(values, 50, mode='edge')
    view = padded[top + 50 : top + height + 50, left + 50 : left + width + 50]
    rows, columns = height // grid[0], width // grid[1]
    means = view.reshape(grid[0], rows, grid[1], columns).mean((1, 3))
    means = means[::-1] if flip[0] else means
    return (means[:, ::-1] if flip[1] else means).ravel()


@pytest.mark.parametrize('flip', [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize(
    'box', [(0, 0, 90, 120), (12, 7, 30, 40), (80, 100, 30, 40), (-20, -33, 60, 80)]
)
def test_patches_on_whole_pixels_are_means(box, flip):
    values = np.random.default_rng(0).random((90, 120))
    score = area_score(values, box, (90, 120), flip, (3, 4))
    assert score.dtype == np.float32
    np.testing.assert_allclose(score, by_hand(values, box, flip, (3, 4)), rtol=1e-5)


def test_a_map_of_another_size_is_the_image_scaled():
    values = np.random.default_rng(0).random((90, 120))
    twice = area_score(values, (24, 14, 60, 80), (180, 240), (False, False), (3, 4))
    once = area_score(values, (12, 7, 30, 40), (90, 120), (False, False), (3, 4))
    np.testing.assert_allclose(twice, once, rtol=1e-6)


def test_small_objects_never_vanish():
    """4 px on 3000 x 4000, in a hundred places: all of them count, and equally."""
    rng = np.random.default_rng(0)
    values = np.zeros((3000, 4000), np.uint8)
    for _ in range(100):
        top, left = rng.integers(0, 2996), rng.integers(0, 3996)
        values[top : top + 4, left : left + 4] = 1
        score = area_score(values, (0, 0, 3000, 4000), (3000, 4000), (0, 0), (14, 14))
        values[top : top + 4, left : left + 4] = 0
        assert score.sum() / 196 == pytest.approx(16 / 12e6, rel=1e-4)


def test_a_view_smaller_than_a_cell_is_that_cell():
    values = np.arange(70.0 * 80).reshape(70, 80)
    score = area_score(values, (10.2, 20.3, 0.5, 0.5), (70, 80), (0, 0), (2, 2))
    np.testing.assert_allclose(score, values[10, 20])


def test_a_constant_map_stays_exactly_constant():
    values = np.full((300, 400), 0.3, np.float32)
    draw = np.random.default_rng(0)
    for _ in range(20):
        box = (*draw.uniform(0, 100, 2), *draw.uniform(50, 190, 2))
        score = area_score(values, box, (300, 400), (False, True), (14, 14))
        assert (score == score[0]).all()
