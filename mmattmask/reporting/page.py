"""One HTML file that opens in any browser, today and in ten years.

Styles and pictures are inside the file, nothing is loaded from elsewhere (the page's
own content security policy forbids it), and there are no scripts.
"""

import base64
import mimetypes
import re
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader

from mmattmask.files import write_text

TEMPLATE = 'page.html.jinja'
NUMBER = re.compile(r'[-+]?\d[\d.,]*(e[-+]?\d+)?( ± [\d.]+)?|-?')


class Page:
    """A report, written from top to bottom; each method adds to its end.

    All text is shown as it is: nothing in it is read as HTML.

    Args:
        title: Of the page, and its first heading.
        summary: One sentence below the title.

    Example:
        >>> page = Page('Study', 'Two policies at one budget.')
        >>> page.section('Accuracy')
        >>> page.table(pandas.DataFrame({'policy': ['AMT'], 'k-NN': [71.2]}))
        >>> page.write('report.html')
    """

    def __init__(self, title: str, summary: str = '') -> None:
        self.title = title
        self.summary = summary
        self._parts: list[dict[str, Any]] = []

    def section(self, heading: str) -> None:
        """Begin a section."""
        self._parts.append(dict(kind='section', text=heading))

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self._parts.append(dict(kind='text', text=text))

    def table(self, frame: pd.DataFrame, caption: str = '') -> None:
        """Add a table, without its index; the first column names the rows."""
        cells = frame.astype(object).where(frame.notna(), '').astype(str)
        head, rows = list(cells), cells.to_numpy().tolist()
        columns = [cells.iloc[:, place] for place in range(len(head))]
        numeric = [all(map(NUMBER.fullmatch, column)) for column in columns]
        part = dict(kind='table', caption=caption, head=head, numeric=numeric)
        self._parts.append(dict(part, rows=rows))

    def figure(self, image: str | Path, caption: str) -> None:
        """Add a chart (SVG, as wide as the page) or a picture (at most so wide).

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file's ending is not that of a picture.
        """
        kind = mimetypes.guess_type(image)[0] or ''
        if not kind.startswith('image/'):
            raise ValueError(f'{image} has no ending of a picture')
        content = Path(image).read_bytes()
        source = f'data:{kind};base64,{base64.b64encode(content).decode()}'
        look = 'chart' if kind == 'image/svg+xml' else 'picture'
        self._parts.append(
            dict(kind='figure', source=source, look=look, caption=caption)
        )

    def details(self, heading: str, text: str) -> None:
        """Add preformatted text that opens on demand, such as a config or a log."""
        self._parts.append(dict(kind='details', heading=heading, text=text))

    def html(self) -> str:
        """Return the page."""
        loader = PackageLoader('mmattmask', 'reporting')
        environment = Environment(
            loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True
        )
        template = environment.get_template(TEMPLATE)
        return template.render(
            title=self.title, summary=self.summary, parts=self._parts
        )

    def write(self, path: str | Path) -> Path:
        """Write the page, complete or not at all; return the path."""
        write_text(path, self.html())
        return Path(path)
