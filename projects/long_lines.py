"""Lines of code that yapf cannot break: they get parentheses or shorter strings."""

import ast
import re

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider

from projects.line_length import COLUMNS

LITERAL = re.compile(r"""(?P<prefix>[rf]*)(?P<quote>['"])(?P<body>.*)(?P=quote)""")


def break_long_lines(source: str) -> str:
    """Make it possible to break every line that is too wide.

    Strings become two, one below the other; other values get parentheses.

    Returns:
        The same program; indentation is left to yapf.
    """
    lines = source.splitlines()
    wide = {row for row, line in enumerate(lines) if len(line) > COLUMNS}
    if not wide:
        return source
    wrapper = MetadataWrapper(cst.parse_module(source))
    positions = wrapper.resolve(PositionProvider)
    for node, place in sorted(positions.items(), key=last_first):
        row, start = place.start.line - 1, place.start.column
        end_row, end = place.end.line - 1, place.end.column
        if row not in wide:
            continue
        if isinstance(node, cst.SimpleString | cst.FormattedString):
            parts = halves(lines[row][start:end], COLUMNS - start)
            if row == end_row and len(parts) == 2:
                split_string(lines, row, start, end, parts)
                wide.remove(row)
        elif isinstance(node, cst.Assign | cst.Return) and not node.value.lpar:
            place = positions[node.value]
            end_row, end = place.end.line - 1, place.end.column
            lines[end_row] = f'{lines[end_row][:end]}){lines[end_row][end:]}'
            start = place.start.column
            lines[row] = f'{lines[row][:start]}({lines[row][start:]}'
            wide.remove(row)
    return '\n'.join(lines) + '\n'


def last_first(item: tuple[cst.CSTNode, CodeRange]) -> tuple[int, int]:
    """Sort nodes from the last to the first, so that no edit moves another place."""
    start = item[1].start
    return -start.line, -start.column


def split_string(
    lines: list[str], row: int, start: int, end: int, parts: list[str]
) -> None:
    """Put the parts of a string in its place."""
    line = lines[row]
    lines[row] = line[:start] + f'\n{" " * start}'.join(parts) + line[end:]
    if not parses(lines):
        lines[row] = f'{line[:start]}({" ".join(parts)}){line[end:]}'


def parses(lines: list[str]) -> bool:
    """Return whether lines are a program."""
    try:
        ast.parse('\n'.join(lines))
    except SyntaxError:
        return False
    return True


def halves(literal: str, room: int) -> list[str]:
    """Split a literal behind the last space that leaves it ``room`` columns.

    A replacement field of an f-string is not split. A literal without a place to split
    is returned as it is.
    """
    found = LITERAL.fullmatch(literal)
    if found is None or literal.endswith('"""'):
        return [literal]
    prefix, quote, body = found['prefix'], found['quote'], found['body']
    longest = room - len(prefix) - 2 * len(quote)
    fields = []
    if 'f' in prefix:
        fields = [m.span() for m in re.finditer(r'\{[^{}]*(\{[^{}]*\}[^{}]*)*\}', body)]
    places = [
        match.end()
        for match in re.finditer(' ', body)
        if match.end() <= longest
        and match.end() < len(body)
        and not any(start < match.end() < end for start, end in fields)
    ]
    if not places:
        return [literal]
    texts = body[: places[-1]], body[places[-1] :]
    return [literal_of(prefix, quote, text) for text in texts]


def literal_of(prefix: str, quote: str, text: str) -> str:
    """Write a part of a literal: no ``f`` and no double quotes without need."""
    if '{' not in text:
        prefix = prefix.replace('f', '')
    if "'" not in text and '\\' not in text:
        quote = "'"
    return f'{prefix}{quote}{text}{quote}'
