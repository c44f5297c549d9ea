"""Strips and sheets: panels, readable titles, legend, any size."""

import dataclasses

import numpy as np
import pytest

from mmattmask.visualization import Strip, draw_row, draw_sheet, draw_strip
from mmattmask.visualization.palette import MASKED, THROWN_LINE

SHAPES = [
    ((32, 32), (8, 8)),
    ((224, 224), (14, 14)),
    ((16, 128), (2, 16)),
    ((256, 64), (16, 4)),
    ((600, 800), (6, 8)),
]


def make_strip(size=(32, 32), grid=(8, 8), seed=0, **changes):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 100, (*size, 3), dtype=np.uint8)
    sets = rng.permutation(np.arange(grid[0] * grid[1]) % 3).astype(np.uint8)
    strip = Strip(
        image,
        sets.reshape(grid),
        rng.random(grid),
        255 - image,
        'the model now',
        'AMT',
        'patch statistics from the image',
    )
    return dataclasses.replace(strip, **changes)


def has(picture, color):
    return (picture == np.array(color, dtype=np.uint8)).all(axis=2).any()


def find(page, part):
    """Return whether ``part`` is in ``page``, pixel by pixel."""
    height, width = part.shape[:2]
    anchor = max(range(height), key=lambda row: len(np.unique(part[row], axis=0)))
    line = part[anchor].tobytes()
    for top in range(page.shape[0] - height + 1):
        left = page[top + anchor].tobytes().find(line) // 3
        if left >= 0 and np.array_equal(
            page[top : top + height, left : left + width], part
        ):
            return True
    return False


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_all_panels_are_in_the_strip_and_nothing_is_cut(size, grid):
    strip = make_strip(size, grid)
    picture = draw_strip(strip, 'after 3 epochs')
    assert picture.dtype == np.uint8
    panels, titles = strip.panels(), strip.titles()
    assert len(panels) == len(titles) == 4
    for part in (*panels, *titles):
        assert find(picture, part)
    assert (picture[:5] == 255).all()
    assert (picture[:, -5:] == 255).all()


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_titles_are_readable_and_do_not_overlap(size, grid):
    strip = make_strip(size, grid)
    assert strip.letter_size >= 13
    for title, column in zip(strip.titles(), strip.columns(), strict=True):
        assert title.shape[1] <= column
        assert (title < 128).any()  # dark letters


def test_small_images_are_enlarged_and_large_ones_are_not():
    assert make_strip((32, 32)).panels()[0].shape[0] >= 160
    assert make_strip((600, 800), (6, 8)).panels()[0].shape == (600, 800, 3)


def test_left_out_panels():
    whole = draw_strip(make_strip())
    no_map = draw_strip(make_strip(attention_map=None))
    neither = draw_strip(make_strip(attention_map=None, prediction=None))
    assert whole.shape[1] > no_map.shape[1] > neither.shape[1]


def test_legend_names_only_what_is_there():
    random = make_strip(sets=np.array([[0, 1], [1, 1]], dtype=np.uint8))
    picture = draw_strip(random)
    assert has(picture, MASKED)
    assert not has(picture, THROWN_LINE)


def test_same_size_whatever_is_in_it():
    first = draw_strip(make_strip(seed=0), 'after 1 epochs')
    second = draw_strip(make_strip(seed=1), 'after 2 epochs')
    assert first.shape == second.shape
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(('size', 'grid'), SHAPES[:4])
def test_sheet_holds_every_row(size, grid):
    strips = [make_strip(size, grid, seed) for seed in range(2)]
    rows = [
        draw_row(strips, 'epoch 0', 'Random, warm-up'),
        draw_row(strips[::-1], 'epoch 1000', 'AMT'),
    ]
    assert rows[0].shape == rows[1].shape
    sheet = draw_sheet(rows, strips)
    for row in rows:
        assert find(sheet, row[:, row.shape[1] // 2 :])
    for panel in strips[1].panels():
        assert find(rows[0], panel)
    taller = draw_sheet([*rows, rows[0]], strips)
    assert taller.shape[0] > sheet.shape[0]
    assert taller.shape[1] == sheet.shape[1]


def test_sheet_without_rows():
    with pytest.raises(ValueError, match='at least one row'):
        draw_sheet([], [make_strip()])
