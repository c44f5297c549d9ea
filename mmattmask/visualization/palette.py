"""Colours, hatching and lettering of all pictures."""

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import ImageFont

RGB = tuple[int, int, int]

PAPER: RGB = (255, 255, 255)
INK: RGB = (28, 30, 34)
FAINT_INK: RGB = (96, 101, 110)
MASKED: RGB = (140, 164, 200)
THROWN: RGB = (38, 41, 48)
THROWN_LINE: RGB = (98, 103, 114)

# Curves; Okabe and Ito's colours for every reader, without black and pale yellow.
SERIES: tuple[RGB, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
)

COLORMAP = 'inferno'  # perceptually uniform


@cache
def _table(name: str) -> np.ndarray:
    colors = matplotlib.colormaps[name](np.linspace(0, 1, 256))
    return np.rint(colors[:, :3] * 255).astype(np.uint8)


def colorize(values: np.ndarray, name: str = COLORMAP) -> np.ndarray:
    """Colour numbers by a perceptually uniform map.

    Args:
        values: Any shape, in [0, 1]; what is outside gets the nearest colour.
        name: Matplotlib's name of the map.

    Returns:
        uint8 RGB, the shape of ``values`` and 3.
    """
    index = np.rint(np.clip(np.nan_to_num(values), 0, 1) * 255).astype(np.int64)
    colors: np.ndarray = _table(name)[index]
    return colors


def hatch(height: int, width: int) -> np.ndarray:
    """Return the dark, diagonally hatched ground of thrown patches, (H, W, 3) uint8.

    The lines are as far apart on small panels as on large ones, relative to them.
    """
    period = max(4, round(min(height, width) / 28))
    thickness = max(1, round(period / 5))
    rows, columns = np.indices((height, width))
    lines = (rows + columns) % period < thickness
    return np.where(lines[..., None], THROWN_LINE, THROWN).astype(np.uint8)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Return the font that matplotlib ships, ``size`` px high."""
    folder = Path(matplotlib.get_data_path()) / 'fonts' / 'ttf'
    name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
    return ImageFont.truetype(str(folder / name), size)
