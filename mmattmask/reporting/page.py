"""One HTML file that opens in any browser, today and in ten years.

Styles and pictures are inside the file, nothing is loaded from elsewhere (the page's
own content security policy forbids it), and there are no scripts.
"""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from mmattmask.files import write_text
from mmattmask.reporting.pictures import Image, Picture
from mmattmask.reporting.style import STYLE
from mmattmask.reporting.table import Cell, render_table

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
MIN_CONTENTS = 3  # sections from which on a list of them helps
WIDE = 2.2  # width over height from which on a picture scrolls on small screens
LEGIBLE = 720  # px; wide pictures are not made smaller


class Page:
    """A report, written from top to bottom; each method adds to its end.

    All text is shown as it is: nothing in it is read as HTML.

    Args:
        title: Of the page, and its first heading.
        summary: One sentence below the title.

    Example:
        >>> page = Page('Study', 'Four policies at one budget.')
        >>> page.section('Accuracy')
        >>> page.table(['policy', 'k-NN'], [['AMT', 71.2], ['random', 70.3]])
        >>> page.write('report.html')
    """

    def __init__(self, title: str, summary: str = '') -> None:
        self.title = title
        self.summary = summary
        self._parts: list[str] = []
        self._sections: list[str] = []

    def section(self, heading: str) -> None:
        """Begin a section."""
        self._sections.append(heading)
        name = f'section-{len(self._sections)}'
        self._parts.append(f'<h2 id="{name}">{escape(heading)}</h2>')

    def text(self, text: str) -> None:
        """Add paragraphs; an empty line separates them."""
        for paragraph in text.strip().split('\n\n'):
            if paragraph.strip():
                self._parts.append(f'<p>{escape(" ".join(paragraph.split()))}</p>')

    def table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Cell]],
        caption: str = '',
        best: Mapping[str, str] | None = None,
        digits: int = 2,
    ) -> None:
        """Add a table; the first column names the rows, numbers are aligned right.

        Args:
            columns: Headings.
            rows: Cells: text, numbers, or None for what was not measured.
            caption: A sentence above the table.
            best: ``'max'`` or ``'min'`` by the column whose best cells are highlighted.
            digits: Decimals of floats.

        Raises:
            ValueError: If a row has another number of cells than there are columns, or
                ``best`` names no column or no direction.
        """
        self._parts.append(render_table(columns, rows, caption, best or {}, digits))

    def figure(self, image: Image, caption: str, alt: str = '') -> None:
        """Add a picture.

        Args:
            image: A path or the bytes of a PNG, JPEG, GIF, WebP or SVG, a matplotlib
                figure, or an (H, W, 3) uint8 array.
            caption: A sentence below the picture.
            alt: What the picture shows, for those who cannot see it. Defaults to the
                caption.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If it is no picture of a known kind.
        """
        picture = Picture.read(image)
        is_wide = picture.width > WIDE * picture.height
        tag = picture.tag(alt or caption, min_width=LEGIBLE if is_wide else 0)
        if is_wide:
            tag = scrollable(tag, alt or caption)
        self._parts.append(
            f'<figure>{tag}<figcaption>{escape(caption)}</figcaption></figure>'
        )

    def strip(
        self, images: Sequence[tuple[str, Image]], caption: str = '', width: int = 160
    ) -> None:
        """Add pictures side by side, as many in a row as fit.

        Args:
            images: Label and picture, as :meth:`figure` takes them.
            caption: A sentence below them all.
            width: Of each on the page in px; pictures of fewer pixels are enlarged
                without smoothing.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If one is no picture of a known kind.
        """
        items = []
        for label, image in images:
            tag = Picture.read(image).tag(label, width)
            items.append(f'<li>{tag}<span>{escape(label)}</span></li>')
        self._parts.append(
            f'<figure><ul class="strip">{"".join(items)}</ul>'
            f'<figcaption>{escape(caption)}</figcaption></figure>'
        )

    def details(self, heading: str, text: str, is_open: bool = False) -> None:
        """Add preformatted text that opens on demand, such as a config or a log."""
        self._parts.append(
            f'<details{" open" * is_open}><summary>{escape(heading)}</summary>'
            f'<pre tabindex="0">{escape(text)}</pre></details>'
        )

    def html(self) -> str:
        """Return the whole page."""
        title = escape(self.title)
        summary = f'<p class="summary">{escape(self.summary)}</p>\n' * bool(
            self.summary
        )
        return (
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<meta name="color-scheme" content="light dark">\n'
            f'<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n'
            f'<header><h1>{title}</h1>\n{summary}</header>\n{self._contents()}<main>\n'
            + '\n'.join(self._parts)
            + '\n</main>\n</body>\n</html>\n'
        )

    def write(self, path: str | Path) -> Path:
        """Write the page; it appears complete or not at all.

        Returns:
            The path.
        """
        write_text(path, self.html())
        return Path(path)

    def _contents(self) -> str:
        if len(self._sections) < MIN_CONTENTS:
            return ''
        items = ''.join(
            f'<li><a href="#section-{number}">{escape(heading)}</a></li>'
            for number, heading in enumerate(self._sections, 1)
        )
        return f'<nav aria-label="Contents"><ul>{items}</ul></nav>\n'


def scrollable(content: str, label: str) -> str:
    """Wrap HTML that may be wider than the screen; the keyboard scrolls it too."""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">'
        f'{content}</div>'
    )
