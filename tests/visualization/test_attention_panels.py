"""Rankings, galleries and tables: sizes, places, and that the lettering is there."""

import numpy as np
import pytest

from mmattmask.visualization import (
    draw_attention,
    draw_blocks,
    draw_gallery,
    draw_heads,
    draw_ranking,
    draw_table,
    rank_map,
)
from mmattmask.visualization.attention_panels import TABLE_SIDE
from mmattmask.visualization.gallery import fit
from mmattmask.visualization.palette import FAINT_INK, INK

SIZES = [((16, 16), (4, 4)), ((256, 128), (16, 8)), ((40, 120), (1, 3))]


def image_of(size):
    return np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)


def find(page, panel):
    """Return the places (top, left) where a panel is on a page, pixel by pixel."""
    height, width = panel.shape[:2]
    corner = (page == panel[0, 0]).all(axis=2)
    return [
        (top, left)
        for top, left in zip(*np.nonzero(corner), strict=True)
        if page[top : top + height, left : left + width].shape == panel.shape
        and np.array_equal(page[top : top + height, left : left + width], panel)
    ]


def has_text(area, color=INK):
    return bool((np.abs(area.astype(int) - color).sum(axis=-1) < 60).any())


def test_rank_map_orders_and_shares_tied_places():
    score = np.array([[0.1, 5.0, 0.3], [0.3, 0.3, 9.0]])
    assert np.allclose(rank_map(score), [[0.0, 0.8, 0.4], [0.4, 0.4, 1.0]])
    assert np.array_equal(rank_map(score), rank_map(100 * score + 7))
    assert (rank_map(np.zeros((2, 3))) == 0.5).all()


def test_ranking_shows_places_not_scores():
    image = image_of((12, 18))
    score = np.array([[0.0, 1.0, 1000.0]])
    expected = draw_attention(image, np.array([[0.0, 0.5, 1.0]]))
    assert np.array_equal(draw_ranking(image, score), expected)
    assert not np.array_equal(draw_attention(image, score), expected)


@pytest.mark.parametrize(('size', 'grid'), SIZES)
def test_fit_keeps_the_aspect(size, grid):
    fitted = fit(image_of(size), 60)
    assert fitted.shape[0] * fitted.shape[1] == pytest.approx(3600, rel=0.05)
    assert fitted.shape[0] / fitted.shape[1] == pytest.approx(
        size[0] / size[1], rel=0.05
    )


@pytest.mark.parametrize(('size', 'grid'), SIZES)
def test_heads_page_has_mean_and_every_head(size, grid):
    rng = np.random.default_rng(1)
    image, attention = image_of(size), rng.random((3, *grid))
    page = draw_heads(image, attention, 'caption', columns=2, side=40)
    small = fit(image, 40)
    places = []
    for attention_map in (attention.mean(axis=0), *attention):
        found = find(page, draw_attention(small, attention_map))
        assert len(found) == 1
        places += found
    (mean, first, second, third) = places
    assert mean[0] == first[0] < second[0] == third[0]
    assert mean[1] == second[1] < first[1] == third[1]
    for top, left in places:  # a title above each
        above = page[top - 24 : top, left : left + 40]
        assert has_text(above)


def test_blocks_page_is_a_table_with_a_sum():
    rng = np.random.default_rng(2)
    image, attention = image_of((32, 32)), rng.normal(size=(2, 3, 4, 4))
    page = draw_blocks(image, attention, [1, 5])
    small = fit(image, TABLE_SIDE)
    for row in range(2):
        lefts = []
        for one in (*attention[row], attention[row].sum(axis=0)):
            ((top, left),) = find(page, draw_attention(small, one))
            lefts.append(left)
        assert lefts == sorted(lefts)
        assert has_text(page[top : top + TABLE_SIDE, : lefts[0]])  # block n
    assert draw_blocks(image, attention, [1, 5]).shape == page.shape
    assert not np.array_equal(draw_blocks(image, attention, [2, 5]), page)


def test_columns_are_as_wide_as_their_own_titles():
    panels = [np.full((20, 20, 3), 90, np.uint8)] * 4
    titles = ['a', 'a very long title above a small panel', 'b', 'c']
    page = draw_gallery(panels, titles, columns=2, caption='caption')
    (first, second, third, fourth) = find(page, panels[0])
    assert first[1] == third[1] == 14
    assert second[1] == fourth[1] < 100  # column 0 is not widened by title 1
    assert has_text(page[:30], FAINT_INK)
    assert has_text(page[second[0] - 24 : second[0], second[1] + 100 :])


def test_table_places_panels_and_titles():
    rng = np.random.default_rng(3)
    panels = rng.integers(0, 256, (2, 2, 50, 20, 3), dtype=np.uint8)
    page = draw_table(
        [list(row) for row in panels], ['one', 'two\nfaint'], ['left', 'right']
    )
    places = [find(page, panel)[0] for row in panels for panel in row]
    (a, b), (c, d) = places[:2], places[2:]
    assert a[0] == b[0] < c[0] == d[0]
    assert a[1] == c[1] < b[1] == d[1]
    for top, left in (a, b):
        assert has_text(page[top - 26 : top, left : left + 30])
    first, second = (page[top : top + 50, : a[1]] for top in (a[0], c[0]))
    assert has_text(first)
    lines = [np.nonzero((area < 200).any(axis=(1, 2)))[0] for area in (first, second)]
    assert np.ptp(lines[1]) > np.ptp(lines[0]) + 10  # two lines instead of one


def test_counts_that_do_not_fit():
    panel = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match='got 2 panels, 1 titles and 0 notes'):
        draw_gallery([panel, panel], ['a'])
    with pytest.raises(ValueError, match=r'got 1 rows of \[2\] panels, 1 row titles'):
        draw_table([[panel, panel]], ['a'], ['b'])
    with pytest.raises(ValueError, match='got 0 panels'):
        draw_gallery([], [])
