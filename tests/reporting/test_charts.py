"""Charts: what is drawn, and files that are the same each time."""

from xml.etree import ElementTree

import pandas as pd
from matplotlib.colors import to_hex
from PIL import Image

from mmattmask.reporting import intervals, save_figure
from mmattmask.reporting.charts import VERDICTS


def some():
    rows = dict(AMT=(1.0, 0.5, 1.5, 'better'), High=(-2.0, -3.0, 1.0, 'undecided'))
    columns = ['difference', 'low', 'high', 'verdict']
    return pd.DataFrame.from_dict(rows, orient='index', columns=columns)


def test_intervals_show_value_ends_and_verdict():
    found = some()
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
    stems = [tmp_path / name / 'intervals' for name in ('one', 'two')]
    first, second = (
        save_figure(intervals(some(), 'points', 0.5), stem) for stem in stems
    )
    assert first.read_bytes() == second.read_bytes()
    assert ElementTree.parse(first).getroot().tag.endswith('}svg')
    pngs = [path.with_suffix('.png').read_bytes() for path in (first, second)]
    assert pngs[0] == pngs[1]
    assert Image.open(first.with_suffix('.png')).size == (1120, 288)
    assert len(list(first.parent.iterdir())) == 2
