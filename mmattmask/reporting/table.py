"""Tables of a report: numbers aligned, the best of a column highlighted."""

import math
import re
from collections.abc import Mapping, Sequence
from html import escape

Cell = str | int | float | None

NOTHING = '\N{EN DASH}'  # a cell that was not measured
MINUS = '\N{MINUS SIGN}'
NUMBER = rf'[-+{MINUS}]?\d+(?:,\d{{3}})*(?:\.\d+)?(?:e[-+]?\d+)?'
# '71.2', '71.2 ± 0.3', '0.58 [0.55, 0.61]', '12 ms'
NUMERIC = re.compile(
    rf'(?P<first>{NUMBER})(?: ?± ?{NUMBER}| ?\[{NUMBER}, {NUMBER}\])?'
    r'(?: ?(?:%|µs|ms|s|min|h|px|k|M|G|kB|MB|GB|MiB|GiB|x|\N{MULTIPLICATION SIGN}))?'
)
DIRECTIONS = {'max': max, 'min': min}


def render_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    caption: str,
    best: Mapping[str, str],
    digits: int,
) -> str:
    """Return the HTML of a table; see ``Page.table`` for arguments and errors."""
    for number, row in enumerate(rows):
        if len(row) != len(columns):
            raise ValueError(
                f'row {number} has {len(row)} cells, there are {len(columns)} columns'
            )
    texts = [[as_text(cell, digits) for cell in row] for row in rows]
    numeric = [
        is_numeric([row[column] for row in texts]) for column in range(len(columns))
    ]
    winners = _winners(columns, texts, best)
    kinds = [' class="number"' * is_number for is_number in numeric]
    head = ''.join(
        f'<th scope="col"{kind}>{escape(name)}</th>'
        for kind, name in zip(kinds, columns, strict=True)
    )
    body = '\n'.join(
        _row(row, kinds, winners.get(number, set())) for number, row in enumerate(texts)
    )
    parts = [caption and f'{caption.rstrip(".")}.', winners and 'Best in bold.']
    text = escape(' '.join(part for part in parts if part))
    # not a <caption>, which would scroll with a wide table
    title = f'<figcaption>{text}</figcaption>' if text else ''
    label = text or escape(', '.join(columns))
    return (
        f'<figure>{title}'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">'
        f'<table aria-label="{label}">\n<thead><tr>{head}</tr></thead>\n'
        f'<tbody>\n{body}\n</tbody></table></div></figure>'
    )


def as_text(cell: Cell, digits: int) -> str:
    """Return what a cell shows; floats get a fixed number of decimals."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return NOTHING
    if isinstance(cell, float):
        return f'{cell:.{digits}f}'
    return str(cell)


def is_numeric(texts: Sequence[str]) -> bool:
    """Whether all cells of a column that hold anything hold a number."""
    filled = [text for text in texts if text not in ('', NOTHING)]
    return bool(filled) and all(NUMERIC.fullmatch(text) for text in filled)


def number_of(text: str) -> float | None:
    """Return the first number of a numeric cell, None for other cells."""
    match = NUMERIC.fullmatch(text)
    if match is None:
        return None
    return float(match['first'].replace(',', '').replace(MINUS, '-'))


def _winners(
    columns: Sequence[str], texts: Sequence[Sequence[str]], best: Mapping[str, str]
) -> dict[int, set[int]]:
    """Return the columns to highlight by row; equal cells win together.

    Nothing wins where all are equal.
    """
    winners: dict[int, set[int]] = {}
    for name, direction in best.items():
        if name not in columns or direction not in DIRECTIONS:
            raise ValueError(
                f'best={{{name!r}: {direction!r}}} is not one of the columns '
                f"{', '.join(columns)} with 'max' or 'min'"
            )
        column = list(columns).index(name)
        numbers = [number_of(row[column]) for row in texts]
        known = [number for number in numbers if number is not None]
        if not known or len(known) > 1 == len(set(known)):
            continue
        winner = DIRECTIONS[direction](known)
        for row, number in enumerate(numbers):
            if number == winner:
                winners.setdefault(row, set()).add(column)
    return winners


def _row(row: Sequence[str], kinds: Sequence[str], winners: set[int]) -> str:
    cells = []
    for column, (text, kind) in enumerate(zip(row, kinds, strict=True)):
        text = escape(text)
        if column in winners:
            text = f'<strong>{text}</strong>'
        if column == 0:
            cells.append(f'<th scope="row"{kind}>{text}</th>')
        else:
            cells.append(f'<td{kind}>{text}</td>')
    return f'<tr>{"".join(cells)}</tr>'
