"""Pictures of any kind as the bytes inside of a page."""

import base64
import dataclasses
import io
import re
from html import escape
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from mmattmask.files import whole_file

Image = str | Path | bytes | Figure | np.ndarray

MIME = {
    'PNG': 'image/png',
    'JPEG': 'image/jpeg',
    'GIF': 'image/gif',
    'WEBP': 'image/webp',
}
SVG = 'image/svg+xml'
SVG_TAG = '{http://www.w3.org/2000/svg}svg'
# The same figure is the same file: no date, and ids that do not change.
SVG_SETTINGS = {'svg.hashsalt': 'mmattmask', 'svg.fonttype': 'path'}
PX_PER = {'': 1.0, 'px': 1.0, 'pt': 96 / 72, 'in': 96.0, 'mm': 96 / 25.4}


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture that needs no other file.

    Attributes:
        content: The bytes of the file.
        mime: Its type.
        width: In px.
        height: In px.
    """

    content: bytes
    mime: str
    width: int
    height: int

    @classmethod
    def read(cls, image: Image) -> 'Picture':
        """Read a picture of any kind; see ``Page.figure`` for kinds and errors."""
        if isinstance(image, Figure):
            content = figure_bytes(image, 'svg')
        elif isinstance(image, np.ndarray):
            content = array_bytes(image)
        elif isinstance(image, bytes):
            content = image
        else:
            content = Path(image).read_bytes()
        source = str(image) if isinstance(image, str | Path) else 'the picture'
        if content.lstrip()[:1] == b'<':
            return cls(content, SVG, *_svg_size(content, source))
        try:
            with PillowImage.open(io.BytesIO(content)) as opened:
                opened.verify()
                form, size = opened.format or '', opened.size
        except (UnidentifiedImageError, OSError, SyntaxError) as error:
            raise ValueError(
                f'{source} ({len(content)} bytes) is no picture: {error}'
            ) from error
        if form not in MIME:
            raise ValueError(
                f'{source} is a {form}, browsers show {", ".join(MIME)} and SVG'
            )
        return cls(content, MIME[form], *size)

    def tag(self, alt: str, width: int | None = None, min_width: int = 0) -> str:
        """Return the HTML of the picture.

        An SVG is an image too: its ids, styles and scripts stay inside of it.

        Args:
            alt: What the picture shows.
            width: On the page in px. Defaults to the picture's own.
            min_width: On screens that are narrower, in px.
        """
        shown = width or self.width
        height = max(1, round(self.height * shown / max(self.width, 1)))
        coarse = self.mime != SVG and shown > self.width
        kind = ' class="coarse"' if coarse else ''
        least = f' style="min-width:{min(min_width, shown)}px"' if min_width else ''
        data = base64.b64encode(self.content).decode('ascii')
        return (
            f'<img{kind} src="data:{self.mime};base64,{data}" alt="{escape(alt)}" '
            f'width="{shown}" height="{height}"{least}>'
        )


def figure_bytes(figure: Figure, form: str, dpi: int = 200) -> bytes:
    """Return the bytes of a figure's file, the same each time.

    Args:
        figure: A matplotlib figure.
        form: ``'svg'`` or ``'png'``.
        dpi: Of a PNG.
    """
    file = io.BytesIO()
    metadata = {'Date': None} if form == 'svg' else {'Software': None}
    with matplotlib.rc_context(SVG_SETTINGS):
        figure.savefig(file, format=form, dpi=dpi, metadata=metadata)
    return file.getvalue()


def save_figure(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Write a figure as SVG and as PNG, each complete or not at all.

    Args:
        figure: A matplotlib figure.
        stem: Path without an ending.

    Returns:
        The two paths.
    """
    paths = []
    for form in ('svg', 'png'):
        path = Path(f'{stem}.{form}')
        with whole_file(path) as temporary:
            temporary.write_bytes(figure_bytes(figure, form))
        paths.append(path)
    return paths[0], paths[1]


def array_bytes(image: np.ndarray) -> bytes:
    """Return an array as the bytes of a PNG.

    Raises:
        ValueError: If it is not uint8, (H, W, 3) or (H, W).
    """
    is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if image.dtype != np.uint8 or not is_image or not image.size:
        raise ValueError(
            f'an array must be (H, W, 3) or (H, W) of uint8, got {image.shape} of '
            f'{image.dtype}'
        )
    file = io.BytesIO()
    PillowImage.fromarray(image).save(file, 'PNG')
    return file.getvalue()


def _svg_size(content: bytes, source: str) -> tuple[int, int]:
    """Return width and height of an SVG in px: its own, or those of its view box."""
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise ValueError(f'{source} is no picture: {error}') from error
    if root.tag != SVG_TAG:
        raise ValueError(f'{source} is XML of another kind: {root.tag}')
    lengths = [
        re.fullmatch(r'([\d.]+)(px|pt|in|mm)?', root.get(name, ''))
        for name in ('width', 'height')
    ]
    if all(lengths):
        sizes = [float(m[1]) * PX_PER[m[2] or ''] for m in lengths if m]
    else:
        box = root.get('viewBox', '').replace(',', ' ').split()
        if len(box) != 4:
            raise ValueError(f'{source} has neither a size nor a view box')
        sizes = [float(side) for side in box[2:]]
    return max(1, round(sizes[0])), max(1, round(sizes[1]))
