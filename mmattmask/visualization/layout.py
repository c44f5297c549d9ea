"""Put panels and lettering on paper."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from mmattmask.visualization.palette import FAINT_INK, INK, PAPER, RGB, font

Line = tuple[str, bool]  # text, and whether it is a title (bold, dark)


def enlarge(image: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge (H, W, 3) by a whole factor, smoothly."""
    if factor == 1:
        return image
    size = (image.shape[1] * factor, image.shape[0] * factor)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BICUBIC))


def blank(height: int, width: int, color: RGB = PAPER) -> np.ndarray:
    """Return an empty area, (H, W, 3) uint8."""
    area = np.empty((height, width, 3), dtype=np.uint8)
    area[:] = color
    return area


def side_by_side(parts: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Join parts from left to right, centred vertically."""
    height = max(part.shape[0] for part in parts)
    row: list[np.ndarray] = []
    for part in parts:
        if row:
            row.append(blank(height, gap))
        row.append(pad(part, height, part.shape[1], 0.5, 0.5))
    return np.concatenate(row, axis=1)


def stack(parts: Sequence[np.ndarray], gap: int) -> np.ndarray:
    """Join parts from top to bottom, aligned left."""
    width = max(part.shape[1] for part in parts)
    column: list[np.ndarray] = []
    for part in parts:
        if column:
            column.append(blank(gap, width))
        column.append(pad(part, part.shape[0], width, 0.5, 0.0))
    return np.concatenate(column)


def pad(
    part: np.ndarray, height: int, width: int, vertical: float, horizontal: float
) -> np.ndarray:
    """Place a part on an area; 0 is top or left, 0.5 the middle, 1 bottom or right."""
    area = blank(max(height, part.shape[0]), max(width, part.shape[1]))
    top = int((area.shape[0] - part.shape[0]) * vertical)
    left = int((area.shape[1] - part.shape[1]) * horizontal)
    area[top : top + part.shape[0], left : left + part.shape[1]] = part
    return area


def letter(lines: Sequence[Line], size: int) -> np.ndarray:
    """Write lines of text, aligned left, on an area as large as they need.

    Args:
        lines: Text and whether it is a title; other lines are smaller and faint.
        size: Height of a title's letters in px.
    """
    fonts = [font(size if bold else round(size * 0.85), bold) for _, bold in lines]
    heights = [round(item.size * 1.35) for item in fonts]
    widths = [
        item.getlength(text) for item, (text, _) in zip(fonts, lines, strict=True)
    ]
    area = Image.fromarray(blank(sum(heights), int(max(widths)) + 2))
    draw = ImageDraw.Draw(area)
    top = 0
    for (text, bold), item, height in zip(lines, fonts, heights, strict=True):
        draw.text((0, top), text, fill=INK if bold else FAINT_INK, font=item)
        top += height
    return np.asarray(area)
