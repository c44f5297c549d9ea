"""Curves: names, bands, colours, and files that are the same each time."""

import io
import math
from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from mmattmask.reporting import Curve, curves, mean_and_interval, save_figure
from mmattmask.reporting.curves import spread
from mmattmask.reporting.pictures import figure_bytes
from mmattmask.visualization.palette import PAPER, SERIES


def some(number, points=30):
    x = np.arange(points)
    return [Curve(f'curve {k}', x, np.sqrt(x) + k) for k in range(number)]


def test_every_curve_is_drawn_and_named():
    figure = curves(some(3), 'epoch', 'accuracy, %', 'Title')
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.texts] == [f'curve {k}' for k in range(3)]
    for k, line in enumerate(axes.lines):
        assert np.array_equal(line.get_ydata(), np.sqrt(np.arange(30)) + k)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('epoch', 'accuracy, %')


def test_names_follow_their_curves_and_stay_inside_of_the_file():
    figure = curves([*some(2), Curve('top', [0, 29], [50, 60])], 'x', 'y')
    figure.canvas.draw()
    (axes,) = figure.axes
    heights = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert heights['curve 0'] < heights['curve 1'] < heights['top']
    for text in axes.texts:
        assert text.get_window_extent().x1 <= figure.bbox.x1


def test_looks_of_many_curves_differ():
    (axes,) = curves(some(20), 'x', 'y').axes
    looks = {(line.get_color(), str(line._dash_pattern)) for line in axes.lines}
    assert len(looks) == 20


def luminance(color):
    linear = [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in color
    ]
    return np.dot(linear, [0.2126, 0.7152, 0.0722])


def seen_without_green(color):
    """Return a colour as people without M cones see it (Machado et al. 2009)."""
    matrix = np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    )
    return matrix @ np.asarray(color)


def test_colours_can_be_told_apart_without_green_and_on_paper():
    colors = [np.asarray(color) / 255 for color in SERIES]
    for one, other in combinations(colors, 2):
        distance = seen_without_green(one) - seen_without_green(other)
        assert np.abs(distance).max() > 0.08
    paper = luminance(np.asarray(PAPER) / 255)
    assert all((paper + 0.05) / (luminance(c) + 0.05) > 2 for c in colors)


def test_mean_and_interval_of_three_runs():
    runs = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    mean, half = mean_and_interval(runs)
    assert mean.tolist() == [2, 5]
    assert half == pytest.approx([4.303 / math.sqrt(3), 0])
    assert np.isnan(mean_and_interval(runs[:1])[1]).all()
    assert mean_and_interval(np.repeat(runs, 50, 0))[1][0] < 0.2


def test_band_holds_its_numbers():
    curve = Curve.of_runs('c', [0, 1], [[1, 5], [2, 5], [3, 5]])
    (axes,) = curves([curve], 'x', 'y').axes
    corners = axes.collections[0].get_paths()[0].vertices
    half = 4.303 / math.sqrt(3)
    assert corners[:, 1].min() == pytest.approx(2 - half)
    assert corners[:, 1].max() == pytest.approx(5)
    assert Curve.of_runs('c', [0, 1], [[1, 5]]).low is None


@pytest.mark.parametrize('number', [1, 2, 7])
def test_spread_keeps_order_and_distance(number):
    heights = sorted(np.random.default_rng(number).uniform(0, 0.2, number).tolist())
    moved = spread(heights, 0.05)
    assert all(b - a >= 0.05 - 1e-9 for a, b in pairwise(moved))
    assert np.mean(moved) == pytest.approx(np.mean(heights))
    assert spread([0.1, 0.9], 0.05) == pytest.approx([0.1, 0.9])


def test_saved_as_svg_and_png_the_same_each_time(tmp_path):
    stems = [tmp_path / name / 'curves' for name in ('one', 'two')]
    files = [save_figure(curves(some(2), 'x', 'y'), stem) for stem in stems]
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
    svg, png = files[0]
    assert ElementTree.parse(svg).getroot().tag.endswith('}svg')
    assert b'dc:date' not in svg.read_bytes()
    assert Image.open(png).size == (1500, 840)
    assert len(list(svg.parent.iterdir())) == 2


def test_dashes_and_colours_reach_the_picture():
    content = figure_bytes(curves(some(1), 'x', 'y'), 'png')
    pixels = np.asarray(Image.open(io.BytesIO(content)).convert('RGB'))
    color = np.rint(np.asarray(to_rgb('#0072b2')) * 255)
    assert (pixels == color).all(axis=-1).sum() > 100


def test_gaps_and_single_points_are_drawn():
    series = [
        Curve('gap', [0, 1, 2], [1, math.nan, 2]),
        Curve('point', [1], [5]),
        Curve('empty', [1], [math.nan]),
    ]
    (axes,) = curves(series, 'x', 'y').axes
    assert [text.get_text() for text in axes.texts] == ['gap', 'point']
    assert axes.lines[1].get_marker() == 'o'


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match='at least one curve'):
        curves([], 'x', 'y')
    with pytest.raises(ValueError, match=r'lengths \[2, 1\]'):
        Curve('c', [0, 1], [0])
    with pytest.raises(ValueError, match='needs both'):
        Curve('c', [0], [0], low=[0])
