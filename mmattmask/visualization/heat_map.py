"""Heat maps of one number per block and head."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmattmask.visualization.panels import COLORMAP, FAINT_INK, INK, PAPER, to_array

CELL = 0.5  # inches


def draw_heat_maps(
    tables: Sequence[np.ndarray],
    titles: Sequence[str],
    marked: tuple[int, int],
    label: str,
) -> np.ndarray:
    """Draw tables of blocks x heads above each other, with their numbers; uint8 RGB.

    Args:
        tables: Shares in [0, 1], (blocks, heads + 1) each; the last column is the sum
            of all heads. Colours go from each table's smallest to its largest value.
        titles: One per table.
        marked: Row and column of the cell to frame.
        label: What the colours are.
    """
    blocks, columns = tables[0].shape
    size = (max(CELL * columns + 1.6, 4.6), (CELL * blocks + 1.5) * len(tables))
    figure = Figure(figsize=size, dpi=120, layout='constrained')
    all_axes = figure.subplots(len(tables), squeeze=False)[:, 0]
    for axes, table, title in zip(all_axes, tables, titles, strict=True):
        table = 100 * np.asarray(table, dtype=np.float64)
        image = axes.imshow(table, cmap=COLORMAP)
        middle = 0.42 * table.min() + 0.58 * table.max()  # of inferno's lightness
        for (row, column), value in np.ndenumerate(table):
            color = INK if value > middle else PAPER
            axes.text(
                column, row, f'{value:.0f}', ha='center', va='center', color=color
            )
        axes.axvline(columns - 1.5, color=PAPER, linewidth=4)  # the sum stands apart
        corner = (marked[1] - 0.5, marked[0] - 0.5)
        for color, width in ((PAPER, 5.0), (INK, 2.2)):
            line: Any = dict(edgecolor=color, linewidth=width, clip_on=False, zorder=3)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, **line))
        axes.set_title(title, fontsize=11, color=INK, loc='left')
        axes.set_xticks(range(columns), [*map(str, range(columns - 1)), 'all'])
        axes.set_yticks(range(blocks))
        axes.set_xlabel('head', color=FAINT_INK)
        axes.set_ylabel('block', color=FAINT_INK)
        axes.tick_params(length=0, colors=FAINT_INK)
        axes.set_frame_on(False)
        bar = figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02)
        bar.set_label(label, color=FAINT_INK)
        outline: Any = bar.outline
        outline.set_visible(False)
        bar.ax.tick_params(length=0, colors=FAINT_INK)
    return to_array(figure)
