"""Charts that can be told apart by everyone, in print too."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import pandas as pd
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from mmattmask.files import whole_file

# Okabe and Ito, Color universal design, 2008, without yellow.
BLUE, VERMILION, GREEN, GREY = '#0072b2', '#d55e00', '#009e73', '#767676'
COLORS = (BLUE, VERMILION, GREEN, '#cc79a7', '#e69f00', '#56b4e9', '#000000')
DASHES = ('-', (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
LOOK = cycler(linestyle=DASHES) * cycler(color=COLORS)  # colours first, then dashes
VERDICTS = dict(better=GREEN, worse=VERMILION, equivalent=BLUE, undecided=GREY)
# The same figure is the same file: no date, and ids that do not change.
SVG_SETTINGS = {'svg.hashsalt': 'mmattmask', 'svg.fonttype': 'path'}


def curves(runs: Mapping[str, pd.DataFrame], x_label: str, y_label: str) -> Figure:
    """Draw the mean of runs over their course, with its 95 % interval (Student's).

    Args:
        runs: By name; the index is x, every column one run. NaN leaves a gap.
        x_label: What runs from left to right, with its unit.
        y_label: What runs upwards, with its unit.
    """
    figure, axes = _axes(x_label, (7.0, 4.0 + 0.2 * (len(runs) // 3)))
    axes.set_prop_cycle(LOOK)
    axes.set_ylabel(y_label)
    axes.grid(axis='y', color='#e3e6eb')
    for name, frame in runs.items():
        mean = frame.mean(axis=1, skipna=False)
        marker = 'o' if len(frame) <= 20 else None
        (line,) = axes.plot(mean.index, mean, label=name, marker=marker, markersize=3.5)
        number = frame.shape[1]
        if number > 1:
            half = stats.t.ppf(0.975, number - 1) * frame.sem(axis=1)
            low, high = mean - half, mean + half
            color = line.get_color()
            axes.fill_between(mean.index, low, high, color=color, alpha=0.15, lw=0)
    if len(runs) > 1:
        figure.legend(
            loc='outside lower center', ncols=min(3, len(runs)), frameon=False
        )
    return figure


def intervals(found: pd.DataFrame, x_label: str, margin: float) -> Figure:
    """Draw differences from a control with their intervals and verdicts.

    Args:
        found: Columns ``difference``, ``low``, ``high`` and ``verdict``; the first row
            is drawn on top.
        x_label: What the difference is, with its unit.
        margin: Differences inside of ± this are shaded: they count as none.
    """
    figure, axes = _axes(x_label, (7.0, 1.2 + 0.3 * len(found)))
    axes.axvspan(-margin, margin, color='#eef2f8', zorder=0)
    axes.axvline(0, color='black', linewidth=1)
    places = range(len(found))
    for place, row in zip(places, found.itertuples(), strict=True):
        color = VERDICTS[row.verdict]
        axes.hlines(place, row.low, row.high, color=color, linewidth=2.5)
        axes.plot(row.difference, place, 'o', color=color, markersize=7)
    axes.set_yticks(places, found.index)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.spines['left'].set_visible(False)
    axes.tick_params(axis='y', length=0)
    words = axes.twinx()
    words.set_ylim(axes.get_ylim())
    words.set_yticks(places, found.verdict)
    words.spines[:].set_visible(False)
    words.tick_params(axis='y', length=0)
    return figure


def _axes(x_label: str, size: tuple[float, float]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right']].set_visible(False)
    axes.set_axisbelow(True)
    axes.set_xlabel(x_label)
    return figure, axes


def save_figure(figure: Figure, stem: str | Path) -> Path:
    """Write a figure as SVG and PNG, the same bytes each time; return the SVG."""
    for form, changing in (('png', 'Software'), ('svg', 'Date')):
        file = whole_file(f'{stem}.{form}')
        with file as temporary, matplotlib.rc_context(SVG_SETTINGS):
            metadata = {changing: None}
            figure.savefig(temporary, format=form, dpi=160, metadata=metadata)
    return Path(f'{stem}.svg')
