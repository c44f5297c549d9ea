"""Panels: every patch is what its set says; figures: texts, places, one legend."""

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from mmattmask.visualization import (
    Membership,
    Panel,
    draw_attention,
    draw_panel,
    draw_panels,
    draw_partition,
    draw_ranking,
    rank_map,
)

from .pictures import SHAPES, colors, flat, image_of, labels, record_of, texts


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_visible_pixels_masked_flat_thrown_hatched(size, grid):
    record = record_of(size, grid, image=np.full((*size, 3), 200, np.uint8))
    panel = draw_partition(record.image, record.sets)
    assert panel.dtype == np.uint8
    assert panel.shape[0] % size[0] == panel.shape[1] % size[1] == 0
    assert panel.shape[0] // size[0] == panel.shape[1] // size[1]
    assert np.array_equal(flat(panel, grid), record.sets)
    visible = colors(panel, grid)[record.sets == Membership.VISIBLE]
    assert (visible == 200).all()


def test_thrown_patches_have_lines_and_masked_ones_have_borders():
    sets = np.array([[1, 1], [2, 2]], np.uint8)
    panel = draw_partition(np.zeros((32, 32, 3), np.uint8), sets)
    masked, thrown = np.split(panel.astype(int), 2)
    assert len(np.unique(thrown.reshape(-1, 3), axis=0)) > 2
    assert masked.std(axis=(0, 1)).max() < thrown.std(axis=(0, 1)).min()
    middle = masked[:, masked.shape[1] // 2 - 2 : masked.shape[1] // 2 + 2]
    assert middle.min() < masked[8:-8, 8:40].min() - 10


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_reconstruction_shows_the_prediction_only_where_masked(size, grid):
    record = record_of(
        size,
        grid,
        image=np.full((*size, 3), 200, np.uint8),
        prediction=np.full((*size, 3), 77, np.uint8),
    )
    panel = draw_panel(record.panels()[-1])
    middles = colors(panel, grid)
    assert (middles[record.sets == Membership.MASKED] == 77).all()
    assert (middles[record.sets == Membership.VISIBLE] == 200).all()
    thrown = record.sets == Membership.THROWN
    assert np.array_equal(flat(panel, grid) == Membership.THROWN, thrown)


def test_pixels_are_enlarged_and_large_images_are_not():
    image = image_of((32, 32))
    panel = draw_panel(Panel(image))
    assert np.array_equal(panel, image.repeat(7, axis=0).repeat(7, axis=1))
    image = image_of((300, 400))
    assert np.array_equal(draw_panel(Panel(image)), image)


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_attention_is_brightest_where_it_is_largest(size, grid):
    image = np.full((*size, 3), 120, dtype=np.uint8)
    attention = np.arange(grid[0] * grid[1], dtype=np.float32).reshape(grid)
    panel = draw_attention(image, attention)
    brightness = colors(panel, grid).astype(int).sum(axis=2).reshape(-1)
    assert np.argmax(brightness) == attention.size - 1
    assert np.all(np.diff(brightness) > -4)  # rounding


def test_attention_does_not_depend_on_the_scale_of_the_map_and_shows_the_image():
    image = image_of((32, 32))
    attention = np.random.default_rng(1).random((8, 8))
    panel = draw_attention(image, attention)
    other = draw_attention(image, attention / 64 + 1).astype(int)
    assert np.abs(panel.astype(int) - other).max() <= 2
    assert len(np.unique(panel.reshape(-1, 3), axis=0)) > 64


def test_constant_attention_is_lowest_everywhere():
    panel = draw_attention(np.zeros((8, 8, 3), np.uint8), np.full((2, 2), 0.7))
    assert (panel == panel[0, 0]).all()
    assert panel.max() < 10


def test_rank_map_orders_and_shares_tied_places():
    score = np.array([[0.1, 5.0, 0.3], [0.3, 0.3, 9.0]])
    assert np.allclose(rank_map(score), [[0.0, 0.8, 0.4], [0.4, 0.4, 1.0]])
    assert np.array_equal(rank_map(score), rank_map(100 * score + 7))
    assert (rank_map(np.zeros((2, 3))) == 0.5).all()
    assert rank_map(np.ones((1, 1))) == 0


def test_ranking_shows_places_not_scores():
    image = image_of((12, 18))
    score = np.array([[0.0, 1.0, 1000.0]])
    expected = draw_attention(image, np.array([[0.0, 0.5, 1.0]]))
    assert np.array_equal(draw_ranking(image, score), expected)
    assert not np.array_equal(draw_attention(image, score), expected)


@pytest.mark.parametrize(('size', 'grid'), SHAPES)
def test_texts_are_whole_and_do_not_meet(size, grid, drawn):
    record = record_of(size, grid)
    picture = draw_panels([record.panels()], 'after 3 epochs')
    (figure,) = drawn
    assert [(title, note) for title, note, _ in texts(figure)] == [
        ('image', f'{size[0]} x {size[1]} px'),
        ('score', 'the model now'),
        ('partition', texts(figure)[2][1]),
        ('reconstruction', 'patch statistics from the image'),
    ]
    assert texts(figure)[2][1].startswith('AMT: ')
    boxes = [
        text.get_window_extent()
        for axes in figure.axes
        for text in (axes._left_title, *axes.texts)
    ]
    boxes += [axes.get_window_extent() for axes in figure.axes]
    boxes += [figure.texts[0].get_window_extent()]
    boxes += [figure.legends[0].get_window_extent()]
    for number, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:number])
    # nothing is cut off: the edges are paper
    for edge in (picture[:5], picture[-5:], picture[:, :5], picture[:, -5:]):
        assert (edge == 255).all()


def test_a_long_caption_is_broken(drawn):
    panels = record_of().panels()
    caption = 'a caption of many words ' * 8
    short, long = draw_panels(panels, 'caption'), draw_panels(panels, caption)
    assert drawn[1].texts[0].get_text().split() == caption.split()
    assert long.shape[0] > short.shape[0]
    assert long.shape[1] == short.shape[1]


def test_one_legend_names_only_what_is_there(drawn):
    rows = [record_of(seed=seed).panels() for seed in range(3)]
    pair = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    draw_panels(rows)
    draw_panels(record_of(score=None, sets=pair).panels())
    draw_panels([Panel(image_of((8, 8)))])
    assert [labels(figure) for figure in drawn] == [
        [['visible: pixels', 'masked', 'thrown', 'score, low to high']],
        [['visible: pixels', 'masked']],
        [],
    ]


def test_rows_and_columns(drawn):
    rng = np.random.default_rng(1)
    panels = [
        Panel(image_of((16, 16)), rng.random((4, 4)), title=f'{i}') for i in 'abc'
    ]
    draw_panels(panels, columns=2, row_titles=['one', 'two'])
    (figure,) = drawn
    assert [a + b for a, _, b in texts(figure)] == ['aone', 'b', 'ctwo']
    (a, b, c) = (axes.get_position() for axes in figure.axes)
    assert a.x0 == pytest.approx(c.x0)
    assert a.y0 == pytest.approx(b.y0)
    assert a.x1 < b.x0
    assert c.y1 < a.y0
    for axes, panel in zip(figure.axes, panels, strict=True):
        assert np.array_equal(axes.images[-1].get_array(), panel.score)


def test_counts_that_do_not_fit():
    panel = Panel(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(ValueError, match='got 0 rows and 0 titles'):
        draw_panels([])
    with pytest.raises(ValueError, match='got 1 rows and 2 titles'):
        draw_panels([[panel, panel]], row_titles=['a', 'b'])


def test_worker_threads_draw_without_pyplot():
    def draw(number):
        return draw_panels([record_of(seed=number).panels()])

    known = 'matplotlib.pyplot' in sys.modules
    with ThreadPoolExecutor(2) as threads:
        pictures = list(threads.map(draw, (0, 1)))
    for number, picture in enumerate(pictures):
        assert np.array_equal(picture, draw(number))
    assert ('matplotlib.pyplot' in sys.modules) == known
