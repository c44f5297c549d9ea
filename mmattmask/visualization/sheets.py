"""Contact sheets: strips of the same images over time, one row per drawing."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mmattmask.visualization.layout import blank, letter, pad, side_by_side
from mmattmask.visualization.strips import GAP, Strip, framed, in_columns, legend

LABEL_LETTERS = 8.5  # width of the row titles, in letter sizes


def draw_row(strips: Sequence[Strip], title: str, note: str = '') -> np.ndarray:
    """Draw strips beside each other, for :func:`draw_sheet`.

    Args:
        strips: At least one; all have the same panels.
        title: Left of the row, such as ``'epoch 40'``.
        note: A line below it.

    Returns:
        uint8 RGB; as wide for every drawing of the same images.
    """
    size = strips[0].letter_size
    label = letter([(title, True), (note or ' ', False)], size)
    parts = [in_columns(strip.panels(), _columns(strip)) for strip in strips]
    return side_by_side([_label(label, strips), *parts], 2 * GAP)


def draw_sheet(rows: Sequence[np.ndarray], strips: Sequence[Strip]) -> np.ndarray:
    """Put rows below each other under the titles of their columns.

    Args:
        rows: From :func:`draw_row`, in the order of time.
        strips: Those of any row.

    Returns:
        uint8 RGB.

    Raises:
        ValueError: If there is no row.
    """
    if not rows:
        raise ValueError('a sheet needs at least one row, got 0')
    titles = [in_columns(_plain(strip).titles(), _columns(strip)) for strip in strips]
    header = side_by_side([_label(blank(1, 1), strips), *titles], 2 * GAP)
    return framed([header, *rows, legend([], strips[0].letter_size)])


def _plain(strip: Strip) -> Strip:
    """Leave out what differs between rows."""
    return dataclasses.replace(strip, attention_note='', partition_note='')


def _columns(strip: Strip) -> list[int]:
    return _plain(strip).columns()


def _label(label: np.ndarray, strips: Sequence[Strip]) -> np.ndarray:
    width = round(strips[0].letter_size * LABEL_LETTERS)
    return pad(label, label.shape[0], width, 0.0, 0.0)
