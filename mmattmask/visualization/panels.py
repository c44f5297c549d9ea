"""Panels, and figures of panels in rows and columns."""

import dataclasses
import io
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend_handler import HandlerTuple
from matplotlib.patches import Patch, PathPatch
from matplotlib.path import Path
from PIL import Image

from mmattmask.visualization.policies import Membership

PAPER, INK, FAINT_INK = '#ffffff', '#1c1e22', '#60656e'
MASKED, THROWN, THROWN_LINE = '#8ca4c8', '#262930', '#626772'
COLORMAP = 'inferno'  # perceptually uniform
OVERLAY = 0.62  # opacity of a score's colours
DARKENED = 0.9  # brightness of the grey image below them
DPI = 140
SIDE, NARROWEST = 1.6, 1.4  # inches of a panel
GAP = 0.09  # inches between panels
TITLE, NOTE = 11.0, 9.0  # points
LEADING = 1.3  # height of a line, in heights of its letters
LETTER = 0.6 / 72  # inches a point of letters takes in width, on average

UNIT_SQUARE = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)]
SQUARE_CODES = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY]
FAINT: dict[str, Any] = dict(fontsize=NOTE, color=FAINT_INK)
STYLES: dict[int, dict[str, Any]] = {
    Membership.VISIBLE: dict(
        label='visible: pixels',
        facecolor=PAPER,
        edgecolor=FAINT_INK,
        linewidth=0.6,
    ),
    Membership.MASKED: dict(
        label='masked',
        facecolor=MASKED,
        edgecolor='#7386a4',
        linewidth=0.3,
    ),
    Membership.THROWN: dict(
        label='thrown',
        facecolor=THROWN,
        edgecolor=THROWN_LINE,
        hatch='//////',
        linewidth=0.0,
    ),
}


@dataclasses.dataclass(frozen=True)
class Panel:
    """An image with what is laid over it, a title and a fainter note.

    Attributes:
        image: (H, W, 3) uint8.
        score: (h, w), large = attended, any scale; laid over the grey image in colours
            from the smallest to the largest value.
        sets: Each patch's :class:`Membership`, (h, w): visible patches stay as they
            are, masked ones are flat, thrown ones dark and hatched.
        prediction: (H, W, 3) uint8, shown in place of masked patches.
        title: What it shows.
        note: What to know about it.
    """

    image: np.ndarray
    score: np.ndarray | None = None
    sets: np.ndarray | None = None
    prediction: np.ndarray | None = None
    title: str = ''
    note: str = ''

    def draw(self, axes: Axes) -> None:
        """Draw on axes; coordinates are pixels of the image."""
        height, width = self.image.shape[:2]
        whole: Any = dict(extent=(0, width, height, 0))
        axes.set(xticks=[], yticks=[])
        axes.set_frame_on(False)
        axes.set_anchor('SW')
        if self.score is not None:
            grey = self.image @ (0.299, 0.587, 0.114) * DARKENED
            axes.imshow(grey, cmap='gray', vmin=0, vmax=255, **whole)
            whole |= dict(cmap=COLORMAP, alpha=OVERLAY, interpolation='nearest')
            axes.imshow(np.asarray(self.score, np.float64), **whole)
            return
        axes.imshow(self.image, **whole)
        if self.sets is None:
            return
        cell = width / self.sets.shape[1], height / self.sets.shape[0]
        for member in set(self.sets.flat) - {Membership.VISIBLE}:
            first = np.argwhere(self.sets == member)[:, None, ::-1]
            corners = (first + UNIT_SQUARE).reshape(-1, 2) * cell
            cells = Path(corners, np.tile(SQUARE_CODES, len(first)))
            if self.prediction is not None and member == Membership.MASKED:
                picture = axes.imshow(self.prediction, **whole)
                picture.set_clip_path(cells, axes.transData)
            else:
                axes.add_patch(PathPatch(cells, **STYLES[member]))


def rank_map(score: np.ndarray) -> np.ndarray:
    """Return each patch's place in the ranking: 1 = most attended, 0 = least.

    Patches of equal score share the mean of their places, 0.5 if the score is constant.

    Args:
        score: (h, w), large = attended, any scale.
    """
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mean_place = np.cumsum(counts) - (counts + 1) / 2
    return mean_place[inverse].reshape(score.shape) / max(1, score.size - 1)


def draw_attention(image: np.ndarray, attention_map: np.ndarray) -> np.ndarray:
    """Draw :attr:`Panel.score` alone, at least as large as the image; uint8 RGB."""
    return draw_panel(Panel(image, score=attention_map))


def draw_ranking(image: np.ndarray, score: np.ndarray) -> np.ndarray:
    """As :func:`draw_attention`; colours are places in the ranking, not scores."""
    return draw_panel(Panel(image, score=rank_map(score)))


def draw_partition(image: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Draw :attr:`Panel.sets` alone, at least as large as the image; uint8 RGB."""
    return draw_panel(Panel(image, sets=sets))


def draw_panel(panel: Panel) -> np.ndarray:
    """Draw a panel without lettering.

    Returns:
        uint8 RGB of the image's size, or of a whole multiple if that is small.
    """
    height, width = panel.image.shape[:2]
    factor = max(1, round(SIDE * DPI / (height * width) ** 0.5))
    figure = Figure((factor * width / DPI, factor * height / DPI), dpi=DPI)
    panel.draw(figure.add_axes((0, 0, 1, 1)))
    return to_array(figure)


def draw_panels(
    panels: Sequence[Panel] | Sequence[Sequence[Panel]],
    caption: str = '',
    row_titles: Sequence[str] = (),
    columns: int = 4,
    side: float = SIDE,
) -> np.ndarray:
    """Draw panels in rows and columns, with their texts and one legend; uint8 RGB.

    Args:
        panels: All of images of one size; rows, of which the first has the titles of
            the columns, or one list to break into rows.
        caption: A line above all.
        row_titles: Left of each row.
        columns: Panels in a row of a list.
        side: Of a panel in inches, about; images keep their proportions.

    Raises:
        ValueError: If there is no panel, or not one title for each row.
    """
    rows: list[Any] = list(panels)
    if rows and isinstance(rows[0], Panel):
        rows = [rows[i : i + columns] for i in range(0, len(rows), columns)]
    else:
        rows[1:] = [[dataclasses.replace(p, title='') for p in row] for row in rows[1:]]
    if not rows or not rows[0] or len(row_titles) not in (0, len(rows)):
        raise ValueError(
            'a figure needs panels and no row titles or one for each row, got '
            f'{len(rows)} rows and {len(row_titles)} titles'
        )
    height, width = rows[0][0].image.shape[:2]
    scale = side / (height * width) ** 0.5
    height, width = height * scale, max(width * scale, min(side, NARROWEST))
    rows = [[_fill(panel, width) for panel in row] for row in rows]
    titles, notes = (
        [max(len(getattr(panel, name).splitlines()) for panel in row) for row in rows]
        for name in ('title', 'note')
    )
    between = (
        max(titles[1:], default=0) * TITLE
        + max(notes[:-1], default=0) * NOTE
        + 6 / LEADING
    )
    between *= LEADING / 72
    shape = (len(rows), max(map(len, rows)))
    size = (shape[1] * (width + GAP) - GAP, shape[0] * (height + between) - between)
    figure = Figure(size, dpi=DPI)
    # the axes fill the figure; all texts lie outside and are cut out with it
    space = dict(left=0, right=1, bottom=0, top=1)
    space |= dict(wspace=GAP / width, hspace=between / height)
    all_axes = figure.subplots(*shape, squeeze=False, gridspec_kw=space)
    for row, line in zip(rows, all_axes, strict=True):
        for panel, axes in zip(row, line, strict=False):
            panel.draw(axes)
            bold: Any = dict(fontsize=TITLE, color=INK, fontweight='bold', pad=4)
            axes.set_title(panel.title, loc='left', **bold)
            at: Any = dict(xycoords='axes fraction', textcoords='offset points')
            axes.annotate(panel.note, (0, 0), (0, -4), va='top', **at, **FAINT)
        for axes in line[len(row) :]:
            axes.remove()
    for line, title in zip(all_axes, row_titles, strict=False):
        place = dict(rotation=0, ha='right', va='center', color=INK)
        line[0].set_ylabel(title, fontsize=NOTE, **place)
    above, below = titles[0] * TITLE + NOTE, notes[-1] * NOTE + NOTE
    above, below = (points * LEADING / 72 / size[1] for points in (above, below))
    caption = fill(caption, int(max(size[0], 3) / (NOTE * LETTER)))
    figure.text(0, 1 + above, caption, va='bottom', **FAINT)
    if handles := _legend([panel for row in rows for panel in row]):
        figure.legend(
            *zip(*handles, strict=True),
            loc='upper left',
            bbox_to_anchor=(0, -below),
            borderaxespad=0,
            borderpad=0,
            ncols=4 if size[0] > 4 else 2,
            fontsize=NOTE,
            labelcolor=INK,
            frameon=False,
            handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
        )
    return to_array(figure, bbox_inches='tight', pad_inches=0.1)


def to_array(figure: Figure, **options: Any) -> np.ndarray:
    """Render a figure, which belongs to no pyplot, to uint8 RGB."""
    file = io.BytesIO()
    fast = dict(compress_level=1)
    FigureCanvasAgg(figure).print_figure(file, pil_kwargs=fast, **options)
    return np.asarray(Image.open(file).convert('RGB'))


def _fill(panel: Panel, width: float) -> Panel:
    """Break title and note to a width in inches."""
    title, note = (
        fill(text, max(1, int(width / (size * LETTER))))
        for text, size in ((panel.title, TITLE), (panel.note, NOTE))
    )
    return dataclasses.replace(panel, title=title, note=note)


def _legend(panels: Sequence[Panel]) -> list[tuple[object, str]]:
    """Return handles and labels for what is in any of the panels."""
    members = {member for p in panels if p.sets is not None for member in p.sets.flat}
    styles = [STYLES[member] for member in Membership if member in members]
    handles: list[tuple[object, str]] = [(Patch(**s), s['label']) for s in styles]
    if any(panel.score is not None for panel in panels):
        colors = matplotlib.colormaps[COLORMAP](np.linspace(0, 1, 9))
        ramp = tuple(Patch(facecolor=color) for color in colors)
        handles.append((ramp, 'score, low to high'))
    return handles
