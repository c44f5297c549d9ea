"""Strips of panels: image | attention | visible, masked, thrown | reconstruction."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from mmattmask.visualization.layout import (
    blank,
    enlarge,
    letter,
    pad,
    side_by_side,
    stack,
)
from mmattmask.visualization.palette import (
    FAINT_INK,
    MASKED,
    PAPER,
    colorize,
    hatch,
)
from mmattmask.visualization.panels import (
    Membership,
    draw_attention,
    draw_partition,
    draw_reconstruction,
)

PANEL_SIDE = 208  # px; smaller images are enlarged to about this
GAP = 10
MARGIN = 14


@dataclasses.dataclass(frozen=True)
class Strip:
    """What one strip shows.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        sets: Each patch's :class:`Membership`, (h, w).
        attention_map: (h', w'), large = attended; None leaves the panel out.
        prediction: The predicted pixels, (H, W, 3) uint8 RGB; None leaves the panel
            out.
        attention_note: Where the map is from.
        partition_note: Where the partition is from.
        prediction_note: What to know about the prediction.
    """

    image: np.ndarray
    sets: np.ndarray
    attention_map: np.ndarray | None = None
    prediction: np.ndarray | None = None
    attention_note: str = ''
    partition_note: str = ''
    prediction_note: str = ''

    @property
    def factor(self) -> int:
        """How many times the image is enlarged."""
        side = (self.image.shape[0] * self.image.shape[1]) ** 0.5
        return max(1, round(PANEL_SIDE / side))

    @property
    def letter_size(self) -> int:
        """Height of the titles' letters in px."""
        return int(np.clip(self.image.shape[1] * self.factor / 16, 13, 40))

    def panels(self) -> list[np.ndarray]:
        """Draw the panels, enlarged."""
        image = enlarge(self.image, self.factor)
        panels = [image]
        if self.attention_map is not None:
            panels.append(draw_attention(image, self.attention_map))
        panels.append(draw_partition(image, self.sets))
        if self.prediction is not None:
            prediction = enlarge(self.prediction, self.factor)
            panels.append(draw_reconstruction(image, prediction, self.sets))
        return panels

    def titles(self) -> list[np.ndarray]:
        """Letter the panels' titles and notes."""
        texts = [('image', f'{self.image.shape[0]} x {self.image.shape[1]} px')]
        if self.attention_map is not None:
            texts.append(('attention', self.attention_note))
        texts.append(('partition', self.partition_note))
        if self.prediction is not None:
            texts.append(('reconstruction', self.prediction_note))
        return [
            letter([(title, True), (note or ' ', False)], self.letter_size)
            for title, note in texts
        ]

    def columns(self) -> list[int]:
        """Return the widths of the columns in px: panels and titles fit."""
        width = self.image.shape[1] * self.factor
        return [max(width, title.shape[1]) for title in self.titles()]


def draw_strip(strip: Strip, caption: str = '') -> np.ndarray:
    """Draw one strip with titles and legend.

    Args:
        strip: What to show.
        caption: One line above all.

    Returns:
        uint8 RGB; its size depends only on the image's size and the lettering.
    """
    columns = strip.columns()
    parts = [in_columns(strip.titles(), columns), in_columns(strip.panels(), columns)]
    if caption:
        parts.insert(0, letter([(caption, False)], strip.letter_size))
    return framed([*parts, legend([strip], strip.letter_size)])


def legend(strips: Sequence[Strip], size: int) -> np.ndarray:
    """Explain colours and hatching.

    Args:
        strips: Where they all have the same counts, these are named, and sets without
            a patch are left out. None at all explains everything.
        size: Height of the letters in px.
    """
    side = round(size * 1.3)
    outline = blank(side, side, FAINT_INK)
    outline[1:-1, 1:-1] = PAPER
    swatches = {
        Membership.VISIBLE: ('visible: pixels', outline),
        Membership.MASKED: ('masked', blank(side, side, MASKED)),
        Membership.THROWN: ('thrown', hatch(7 * side, 7 * side)[:side, :side]),
    }
    items = []
    for member, (text, swatch) in swatches.items():
        counts = {int((strip.sets == member).sum()) for strip in strips}
        if counts == {0}:
            continue
        number = f' ({counts.pop()})' if len(counts) == 1 else ''
        items.append(_item(swatch, text + number, size))
    if not strips or any(strip.attention_map is not None for strip in strips):
        ramp = np.tile(np.linspace(0, 1, 6 * side), (side, 1))
        items.append(_item(colorize(ramp), 'attention, low to high', size))
    return side_by_side(items, 2 * GAP)


def _item(swatch: np.ndarray, text: str, size: int) -> np.ndarray:
    return side_by_side([swatch, letter([(text, False)], size)], GAP // 2)


def in_columns(parts: Sequence[np.ndarray], widths: Sequence[int]) -> np.ndarray:
    """Place parts beside each other in columns of given widths."""
    placed = [
        pad(part, part.shape[0], width, 0.0, 0.0)
        for part, width in zip(parts, widths, strict=True)
    ]
    return side_by_side(placed, GAP)


def framed(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Stack parts and leave a margin around them."""
    page = stack(parts, GAP)
    height, width = page.shape[0] + 2 * MARGIN, page.shape[1] + 2 * MARGIN
    return pad(page, height, width, 0.5, 0.5)
