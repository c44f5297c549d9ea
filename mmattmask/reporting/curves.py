"""Curves that can be told apart by everyone, in print too, labelled where they end."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mmattmask.visualization.palette import FAINT_INK, INK, RGB, SERIES

DASHES = ('solid', (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
LETTERS = 9.0  # pt
# 97.5 % quantiles of Student's t for 1 to 30 degrees of freedom.
STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


@dataclasses.dataclass(frozen=True)
class Curve:
    """A named series.

    Attributes:
        name: What it is called in the figure.
        x: (N,) where it was measured.
        y: (N,) values; NaN leaves a gap.
        low: (N,) lower end of a band around it.
        high: (N,) upper end.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn."""
        lengths = [
            len(v) for v in (self.x, self.y, self.low, self.high) if v is not None
        ]
        if len(set(lengths)) != 1 or not lengths[0]:
            raise ValueError(f'{self.name}: lengths {lengths} must be equal and not 0')
        if (self.low is None) != (self.high is None):
            raise ValueError(f'{self.name}: a band needs both low and high')

    @classmethod
    def of_runs(
        cls, name: str, x: Sequence[float], runs: Sequence[Sequence[float]]
    ) -> 'Curve':
        """Return mean and 95 % interval of runs, (number of runs, N).

        One run has no band.
        """
        mean, half = mean_and_interval(np.asarray(runs, dtype=float))
        if len(runs) < 2:
            return cls(name, x, mean.tolist())
        return cls(
            name, x, mean.tolist(), (mean - half).tolist(), (mean + half).tolist()
        )


def mean_and_interval(runs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of runs and half the width of its 95 % interval.

    The interval is Student's, for few runs with different seeds. It is as wide as the
    uncertainty of the mean, not as the spread of the runs.

    Args:
        runs: (number of runs, ...).

    Returns:
        Both of the shape of one run; of one run alone the half is NaN.
    """
    number = len(runs)
    mean = runs.mean(axis=0)
    if number < 2:
        return mean, np.full_like(mean, np.nan)
    quantile = STUDENT[min(number - 2, len(STUDENT) - 1)]
    return mean, quantile * runs.std(axis=0, ddof=1) / np.sqrt(number)


def curves(
    series: Sequence[Curve],
    x_label: str,
    y_label: str,
    title: str = '',
    y_log: bool = False,
    size: tuple[float, float] = (7.5, 4.2),
) -> Figure:
    """Draw curves with their names at their ends, bands if they have any.

    Colours are safe for colour-blind readers; when they have all been used, dashes tell
    curves apart. ``save_figure`` writes the figure, ``Page.figure`` shows it.

    Args:
        series: What to draw.
        x_label: What runs from left to right, with its unit.
        y_label: What runs upwards, with its unit.
        title: Above the figure.
        y_log: Whether y is logarithmic.
        size: Width and height in inches.

    Raises:
        ValueError: If there is nothing to draw.
    """
    if not series:
        raise ValueError('there must be at least one curve, got 0')
    figure = Figure(figsize=size, layout='constrained')
    axes = figure.add_subplot()
    if y_log:
        axes.set_yscale('log')
    for place, curve in enumerate(series):
        color, dash = _look(place)
        single = np.isfinite(np.asarray(curve.y, dtype=float)).sum() < 2
        axes.plot(
            *(curve.x, curve.y),
            color=color,
            linestyle=dash,
            linewidth=1.8,
            marker='o' if single or len(curve.x) <= 20 else None,
            markersize=3.5,
        )
        if curve.low is not None and curve.high is not None:
            axes.fill_between(
                curve.x, curve.low, curve.high, color=color, alpha=0.16, linewidth=0
            )
    _dress(axes, x_label, y_label, title)
    _label_ends(axes, series, size[1])
    return figure


def _look(place: int) -> tuple[str, object]:
    return (
        hex_of(SERIES[place % len(SERIES)]),
        DASHES[place // len(SERIES) % len(DASHES)],
    )


def hex_of(color: RGB) -> str:
    """Return a colour as matplotlib reads it."""
    return '#{:02x}{:02x}{:02x}'.format(*color)


def _dress(axes: Axes, x_label: str, y_label: str, title: str) -> None:
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(axis='y', color='#e3e6eb', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=hex_of(FAINT_INK), labelsize=LETTERS)
    axes.set_xlabel(x_label, color=hex_of(INK), fontsize=LETTERS + 1)
    axes.set_ylabel(y_label, color=hex_of(INK), fontsize=LETTERS + 1)
    whole = axes.dataLim.width >= 2  # epochs and steps, not fractions of a run
    steps = [1, 2, 2.5, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator('auto', integer=whole, steps=steps))
    if title:
        axes.set_title(title, loc='left', color=hex_of(INK), fontsize=LETTERS + 2)


def _label_ends(axes: Axes, series: Sequence[Curve], height: float) -> None:
    """Write names beside the ends of the curves, moved apart where they overlap."""
    axes.set_ylim(axes.get_ylim())
    axes.set_xlim(axes.get_xlim())
    to_axes = axes.transData + axes.transAxes.inverted()
    ends = []
    for place, curve in enumerate(series):
        finite = np.flatnonzero(np.isfinite(np.asarray(curve.y, dtype=float)))
        if finite.size:
            end = (curve.x[finite[-1]], curve.y[finite[-1]])
            ends.append((to_axes.transform(end)[1], end, place))
    ends.sort()
    # the axes take about 0.8 of the figure's height
    step = 1.35 * LETTERS / (0.8 * height * 72)
    heights = spread([end[0] for end in ends], step)
    for (_, end, place), label_height in zip(ends, heights, strict=True):
        axes.annotate(
            series[place].name,
            xy=end,
            xytext=(1.03, label_height),
            textcoords=axes.transAxes,
            color=hex_of(INK),
            fontsize=LETTERS,
            va='center',
            annotation_clip=False,
            arrowprops=dict(
                arrowstyle='-',
                color=_look(place)[0],
                linestyle=_look(place)[1],
                linewidth=1.2,
                shrinkA=1,
                shrinkB=0,
                relpos=(0, 0.5),
            ),
        )


def spread(heights: Sequence[float], step: float) -> list[float]:
    """Move sorted heights apart to at least ``step``, each as little as possible.

    Heights that would overlap form a block around their common mean (pool adjacent
    violators), so the order of the curves stays.
    """
    blocks: list[list[float]] = []  # sum of heights without offsets, number
    for place, height in enumerate(heights):
        blocks.append([height - place * step, 1])
        while len(blocks) > 1 and (
            blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]
        ):
            total, number = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += number
    levels = [total / number for total, number in blocks for _ in range(int(number))]
    return [level + place * step for place, level in enumerate(levels)]
