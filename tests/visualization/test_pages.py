"""Pages: every map, policy and time has its place and its name."""

import numpy as np
import pytest

from mmattmask.visualization import ImageRecord, draw_panels, draw_policies, draw_strip
from mmattmask.visualization.pages import (
    draw_blocks,
    draw_contact_sheet,
    draw_heads,
    draw_sheet,
)

from .pictures import image_of, labels, record_of, texts


def maps_of(figure):
    return [axes.images[-1].get_array() for axes in figure.axes]


def test_heads_page_has_mean_and_every_head(drawn):
    attention = np.random.default_rng(1).random((5, 4, 2))
    draw_heads(image_of((32, 16)), attention, 'caption')
    (figure,) = drawn
    titles = [title for title, *_ in texts(figure)]
    assert titles == ['mean of heads', *(f'head {i}' for i in range(5))]
    expected = [attention.mean(axis=0), *attention]
    for found, one in zip(maps_of(figure), expected, strict=True):
        assert np.allclose(found, one)
    assert figure.texts[0].get_text() == 'caption'


def test_blocks_page_is_a_table_with_a_sum(drawn):
    attention = np.random.default_rng(2).normal(size=(2, 3, 4, 4))
    draw_blocks(image_of((32, 32)), attention, [1, 5])
    (figure,) = drawn
    found = np.stack(maps_of(figure)).reshape(2, 4, 4, 4)
    assert np.allclose(found[:, :3], attention)
    assert np.allclose(found[:, 3], attention.sum(axis=1))
    titles, _, names = zip(*texts(figure), strict=True)
    whole = [title.replace('\n', ' ') for title in titles]
    assert whole == ['head 0', 'head 1', 'head 2', 'sum', '', '', '', '']
    assert (names[0], names[4]) == ('block 1', 'block 5')
    assert labels(figure) == [['score, low to high']]


def test_policies_page_names_and_counts(drawn):
    record = record_of(grid=(2, 3), sets=np.array([[0, 1, 2], [1, 1, 1]], np.uint8))
    others = np.array([[0, 1, 0], [0, 0, 0]], np.uint8)
    sets = {'AMT': record.sets, 'random': others}
    draw_policies(record.image, record.score, sets)
    (figure,) = drawn
    assert [pair[:2] for pair in texts(figure)] == [
        ('score', '2 x 3'),
        ('ranking', 'brightest: 1st'),
        ('AMT', '4 masked, 1 thrown'),
        ('random', '1 masked'),
    ]


def test_strips_and_overviews_have_what_is_known(drawn):
    draw_panels(record_of().panels(ranking=True))
    draw_strip(record_of())
    draw_strip(record_of(score=None))
    draw_strip(record_of(score=None, prediction=None))
    draw_strip(ImageRecord(image_of((8, 8))))
    titles = [[title for title, *_ in texts(figure)] for figure in drawn]
    everything = ['image', 'score', 'ranking', 'partition', 'reconstruction']
    assert titles == [
        everything,
        [title for title in everything if title != 'ranking'],
        ['image', 'partition', 'reconstruction'],
        ['image', 'partition'],
        ['image'],
    ]


def test_contact_sheet_has_a_column_for_each_image(drawn):
    records = [record_of(seed=seed) for seed in range(3)]
    sets = {'random': np.stack([record.sets for record in records[::-1]])}
    draw_contact_sheet(records, sets, ['a', 'b', 'c'], 'caption')
    (figure,) = drawn
    found = texts(figure)
    assert [title for title, *_ in found[:3]] == ['a', 'b', 'c']
    rows = [name for *_, name in found[::3]]
    panels = ['image', 'score', 'ranking', 'partition']
    assert rows == [*panels, 'reconstruction\nstatistics leak', 'random']
    scores = [axes.images[-1].get_array() for axes in figure.axes[3:6]]
    for score, record in zip(scores, records, strict=True):
        assert np.allclose(score, record.score)
    assert len(labels(figure)) == 1


@pytest.mark.parametrize('size', [(32, 32), (16, 64)])
def test_sheet_has_a_row_for_each_time_and_one_legend(size, drawn):
    grid = (size[0] // 4, size[1] // 4)
    drawings = [[record_of(size, grid, 2 * t + i) for i in (0, 1)] for t in range(3)]
    first = draw_sheet(drawings, ['epoch 0\nRandom', 'epoch 8\nAMT', 'epoch 9\nAMT'])
    second = draw_sheet(drawings[::-1], ['a', 'epoch 8\nRandom', 'b'])
    assert first.shape == second.shape
    figure = drawn[0]
    assert len(labels(figure)) == 1
    found = texts(figure)
    titles = [title.replace('-', '').replace('\n', '') for title, *_ in found]
    assert titles[:8] == ['image', 'score', 'partition', 'reconstruction'] * 2
    assert set(titles[8:]) == {''}
    notes = ['', '', '', 'patch statistics from the image'] * 2
    assert [note for _, note, _ in found] == [''] * 16 + notes
    names = [name for *_, name in found[::8]]
    assert names == ['epoch 0\nRandom', 'epoch 8\nAMT', 'epoch 9\nAMT']
    upper, lower = (figure.axes[number].get_position() for number in (0, 8))
    assert 0 < upper.y0 - lower.y1 < 0.3 * (upper.y1 - upper.y0)
    for row, records in enumerate(drawings):
        for column, record in enumerate(records):
            score = figure.axes[8 * row + 4 * column + 1].images[-1].get_array()
            assert np.allclose(score, record.score)
