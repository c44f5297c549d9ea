"""Charts that can be told apart by everyone, in print too."""

from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from mmattmask.files import whole_file

# Okabe and Ito, Color universal design, 2008: green, vermilion, blue; and a grey.
VERDICTS = dict(
    better='#009e73', worse='#d55e00', equivalent='#0072b2', undecided='#767676'
)
# The same figure is the same file: no date, and ids that do not change.
SVG_SETTINGS = {'svg.hashsalt': 'mmattmask', 'svg.fonttype': 'path'}


def intervals(found: pd.DataFrame, x_label: str, margin: float) -> Figure:
    """Draw differences from a control with their intervals and verdicts.

    Args:
        found: Columns ``difference``, ``low``, ``high`` and ``verdict``; the first row
            is drawn on top.
        x_label: What the difference is, with its unit.
        margin: Differences inside of ± this are shaded: they count as none.
    """
    figure = Figure(figsize=(7.0, 1.2 + 0.3 * len(found)), layout='constrained')
    axes = figure.add_subplot()
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.set_xlabel(x_label)
    axes.set_axisbelow(True)
    axes.axvspan(-margin, margin, color='#eef2f8', zorder=0)
    axes.axvline(0, color='black', linewidth=1)
    places = range(len(found))
    for place, row in zip(places, found.itertuples(), strict=True):
        color = VERDICTS[row.verdict]
        axes.hlines(place, row.low, row.high, color=color, linewidth=2.5)
        axes.plot(row.difference, place, 'o', color=color, markersize=7)
    axes.set_yticks(places, found.index)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.tick_params(axis='y', length=0)
    words = axes.twinx()
    words.set_ylim(axes.get_ylim())
    words.set_yticks(places, found.verdict)
    words.spines[:].set_visible(False)
    words.tick_params(axis='y', length=0)
    return figure


def save_figure(figure: Figure, stem: str | Path) -> Path:
    """Write a figure as SVG and PNG, the same bytes each time; return the SVG."""
    for form, changing in (('png', 'Software'), ('svg', 'Date')):
        file = whole_file(f'{stem}.{form}')
        with file as temporary, matplotlib.rc_context(SVG_SETTINGS):
            metadata = {changing: None}
            figure.savefig(temporary, format=form, dpi=160, metadata=metadata)
    return Path(f'{stem}.svg')
