"""Heat maps of one number per block and head."""

from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmattmask.visualization.palette import COLORMAP, FAINT_INK, INK, PAPER

CELL = 0.5  # inches
DPI = 110


def draw_heat_maps(
    tables: Sequence[np.ndarray],
    titles: Sequence[str],
    marked: tuple[int, int],
    label: str = 'recall (%)',
) -> np.ndarray:
    """Draw tables of blocks x heads beside each other, with their numbers.

    Args:
        tables: Shares in [0, 1], (blocks, heads + 1) each; the last column is the sum
            of all heads. Colours go from each table's smallest to its largest value.
        titles: One per table.
        marked: Row and column of the cell to frame.
        label: What the colours are.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: If there is no table.
    """
    if not tables:
        raise ValueError('a heat map needs at least one table, got 0')
    blocks, columns = tables[0].shape
    width = max(CELL * (columns + 0.3) + 1.7, 4.2)
    size = (width * len(tables), CELL * blocks + 1.4)
    figure = Figure(figsize=size, dpi=DPI, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    all_axes = figure.subplots(1, len(tables), squeeze=False)[0]
    for axes, table, title in zip(all_axes, tables, titles, strict=True):
        _draw(figure, axes, 100 * np.asarray(table, dtype=np.float64), marked, label)
        axes.set_title(title, fontsize=10, color=_rgb(INK), loc='left')
    canvas.draw()
    picture: np.ndarray = np.asarray(canvas.buffer_rgba())[..., :3].copy()
    return picture


def _draw(
    figure: Figure, axes, table: np.ndarray, marked: tuple[int, int], label: str
) -> None:
    blocks, columns = table.shape
    # the sum of all heads stands apart
    at = np.append(np.arange(columns - 1), columns - 0.7)
    limits = dict(cmap=COLORMAP, vmin=table.min(), vmax=table.max())
    for part, left in ((table[:, :-1], -0.5), (table[:, -1:], at[-1] - 0.5)):
        extent = (left, left + part.shape[1], blocks - 0.5, -0.5)
        image = axes.imshow(part, extent=extent, aspect='equal', **limits)
    middle = 0.42 * table.min() + 0.58 * table.max()  # of inferno's lightness
    for (row, column), value in np.ndenumerate(table):
        style = dict(color=_rgb(INK if value > middle else PAPER), fontsize=9)
        axes.text(at[column], row, f'{value:.0f}', ha='center', va='center', **style)
    row, column = marked
    for color, line in ((PAPER, 5.0), (INK, 2.2)):
        corner = (at[column] - 0.5, row - 0.5)
        axes.add_patch(
            Rectangle(corner, 1, 1, fill=False, ec=_rgb(color), lw=line, clip_on=False)
        )
    axes.set_xlim(-0.6, at[-1] + 0.6)
    axes.set_ylim(blocks - 0.4, -0.6)
    axes.set_xticks(at, [*map(str, range(columns - 1)), 'all'])
    axes.set_yticks(range(blocks))
    axes.set_xlabel('head', color=_rgb(FAINT_INK))
    axes.set_ylabel('block', color=_rgb(FAINT_INK))
    axes.tick_params(length=0, colors=_rgb(FAINT_INK))
    for spine in axes.spines.values():
        spine.set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
    bar.set_label(label, color=_rgb(FAINT_INK))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, colors=_rgb(FAINT_INK))


def _rgb(color: tuple[int, int, int]) -> tuple[float, ...]:
    return tuple(value / 255 for value in color)
