"""Charts: what is drawn, and files that are the same each time."""

import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from mmattmask.reporting import curves, intervals, save_figure
from mmattmask.reporting.charts import VERDICTS


def some(number, seeds=1, points=30):
    x = np.arange(points)
    runs = {f's{seed}': np.sqrt(x) + seed for seed in range(seeds)}
    return {f'curve {k}': pd.DataFrame(runs, index=x) + k for k in range(number)}


def test_every_curve_is_drawn_and_named():
    figure = curves(some(3), 'epoch', 'accuracy, %')
    (axes,) = figure.axes
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ['curve 0', 'curve 1', 'curve 2']
    for k, line in enumerate(axes.lines):
        assert np.array_equal(line.get_ydata(), np.sqrt(np.arange(30)) + k)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ('epoch', 'accuracy, %')


def test_looks_of_many_curves_differ():
    (axes,) = curves(some(20), 'x', 'y').axes
    looks = {(line.get_color(), str(line._dash_pattern)) for line in axes.lines}
    assert len(looks) == 20


def test_band_is_the_interval_of_the_mean():
    frame = pd.DataFrame([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    (axes,) = curves({'c': frame}, 'x', 'y').axes
    corners = axes.collections[0].get_paths()[0].vertices
    assert corners[:, 1].min() == pytest.approx(2 - 4.302653 / math.sqrt(3))
    assert corners[:, 1].max() == pytest.approx(5)
    assert not curves({'c': frame[[0]]}, 'x', 'y').axes[0].collections


def test_intervals_show_value_ends_and_verdict():
    rows = dict(AMT=(1.0, 0.5, 1.5, 'better'), High=(-2.0, -3.0, 1.0, 'undecided'))
    columns = ['difference', 'low', 'high', 'verdict']
    found = pd.DataFrame.from_dict(rows, orient='index', columns=columns)
    axes, words = intervals(found, 'points', 0.5).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ['AMT', 'High']
    assert [label.get_text() for label in words.get_yticklabels()] == [*found.verdict]
    bar, (_, point, *_) = axes.collections[0], axes.lines
    assert bar.get_segments()[0].tolist() == [[0.5, 0], [1.5, 0]]
    assert bar.get_capstyle() != 'projecting'  # by default beyond the interval's ends
    assert list(point.get_xdata()) == [1.0]
    assert to_hex(point.get_color()) == VERDICTS['better']
    top, bottom = axes.get_ylim()
    assert top > bottom  # the first row is above


def test_saved_as_svg_and_png_the_same_each_time(tmp_path):
    stems = [tmp_path / name / 'curves' for name in ('one', 'two')]
    first, second = (save_figure(curves(some(2), 'x', 'y'), stem) for stem in stems)
    assert first.read_bytes() == second.read_bytes()
    assert ElementTree.parse(first).getroot().tag.endswith('}svg')
    pngs = [path.with_suffix('.png').read_bytes() for path in (first, second)]
    assert pngs[0] == pngs[1]
    assert Image.open(first.with_suffix('.png')).size == (1120, 640)
    assert len(list(first.parent.iterdir())) == 2
