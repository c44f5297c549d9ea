"""Many panels with their names: galleries, and tables with named rows and columns."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from mmattmask.visualization.layout import blank, letter, pad, side_by_side, stack
from mmattmask.visualization.palette import colorize
from mmattmask.visualization.strips import GAP, PANEL_SIDE, framed, in_columns

TEXT_SIZE = 15  # px, of titles; the same on panels of all sizes


def fit(image: np.ndarray, side: int = PANEL_SIDE) -> np.ndarray:
    """Resize (H, W, 3) to about the area of a square of ``side`` px, in proportion."""
    height, width = image.shape[:2]
    scale = side / (height * width) ** 0.5
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size == (width, height):
        return image
    how = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return np.asarray(Image.fromarray(image).resize(size, how))


def color_legend(text: str = 'attention, low to high, in each panel') -> np.ndarray:
    """Explain the colours of attention."""
    side = round(TEXT_SIZE * 1.3)
    ramp = np.tile(np.linspace(0, 1, 6 * side), (side, 1))
    return side_by_side([colorize(ramp), letter([(text, False)], TEXT_SIZE)], GAP // 2)


def draw_gallery(
    panels: Sequence[np.ndarray],
    titles: Sequence[str],
    notes: Sequence[str] = (),
    columns: int = 5,
    caption: str = '',
    footer: np.ndarray | None = None,
) -> np.ndarray:
    """Draw panels below their titles, from left to right and top to bottom.

    Args:
        panels: (H, W, 3) uint8 each, all of one size.
        titles: One per panel.
        notes: A fainter line below each title; none at all leaves out the line.
        columns: Panels in a row.
        caption: One line above all.
        footer: A picture below all, such as a legend.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: If there is no panel, or not one title for each.
    """
    if not panels or len(panels) != len(titles) or len(notes) not in (0, len(panels)):
        raise ValueError(
            'a gallery needs panels with one title each, got '
            f'{len(panels)} panels, {len(titles)} titles and {len(notes)} notes'
        )
    cells = []
    for index, (panel, title) in enumerate(zip(panels, titles, strict=True)):
        lines = [(title, True), *([(notes[index] or ' ', False)] if notes else [])]
        cells.append(stack([letter(lines, TEXT_SIZE), panel], GAP // 3))
    widths = [
        max(cell.shape[1] for cell in cells[column::columns])
        for column in range(min(columns, len(cells)))
    ]
    rows = [
        in_columns(row, widths[: len(row)])
        for row in (cells[i : i + columns] for i in range(0, len(cells), columns))
    ]
    head = [letter([(caption, False)], TEXT_SIZE)] if caption else []
    return framed([*head, *rows, *([] if footer is None else [footer])])


def draw_table(
    rows: Sequence[Sequence[np.ndarray]],
    row_titles: Sequence[str],
    column_titles: Sequence[str],
    caption: str = '',
    footer: np.ndarray | None = None,
    gap: int = GAP // 2,
) -> np.ndarray:
    """Draw panels in named rows and columns.

    Args:
        rows: Panels (H, W, 3) uint8, as many in every row.
        row_titles: One per row, on its left; a line break begins a fainter line.
        column_titles: One per column, above it, likewise.
        caption: One line above all.
        footer: A picture below all, such as a legend.
        gap: Between panels in px.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: If there is no row, or titles and panels differ in number.
    """
    counts = {len(row) for row in rows}
    if not rows or len(rows) != len(row_titles) or counts != {len(column_titles)}:
        raise ValueError(
            f'a table needs a title for each row and column, got {len(rows)} rows of '
            f'{sorted(counts)} panels, {len(row_titles)} row titles and '
            f'{len(column_titles)} column titles'
        )
    heads = [_title(text) for text in column_titles]
    sides = [_title(text) for text in row_titles]
    widths = [
        max(part.shape[1] for part in column)
        for column in zip(heads, *rows, strict=True)
    ]
    side_width = max(side.shape[1] for side in sides)
    height = max(head.shape[0] for head in heads)
    lines = [
        _line(blank(1, 1), side_width, heads, widths, gap, height, at_the_bottom=True)
    ]
    for side, row in zip(sides, rows, strict=True):
        height = max(part.shape[0] for part in (side, *row))
        lines.append(_line(side, side_width, row, widths, gap, height))
    table = stack(lines, gap)
    head = [letter([(caption, False)], TEXT_SIZE)] if caption else []
    return framed([*head, table, *([] if footer is None else [footer])])


def _title(text: str) -> np.ndarray:
    first, *more = text.split('\n')
    return letter([(first, True), *((line, False) for line in more)], TEXT_SIZE)


def _line(
    side: np.ndarray,
    side_width: int,
    parts: Sequence[np.ndarray],
    widths: Sequence[int],
    gap: int,
    height: int,
    at_the_bottom: bool = False,
) -> np.ndarray:
    """Place a row's title and its parts in their columns."""
    vertical = 1.0 if at_the_bottom else 0.5
    placed = [
        pad(part, height, width, vertical, 0.0)
        for part, width in zip(parts, widths, strict=True)
    ]
    return side_by_side([pad(side, height, side_width + GAP, 0.5, 0.0), *placed], gap)
