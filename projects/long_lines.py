"""Lines of code that yapf cannot break: they get parentheses or shorter strings."""

import ast
import re

import libcst as cst
from libcst import matchers as m
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
    inside = {part for node in positions for part in strings_inside(node)}
    for node, place in sorted(positions.items(), key=last_first):
        row, start = place.start.line - 1, place.start.column
        end_row, end = place.end.line - 1, place.end.column
        if wide.isdisjoint(range(row, end_row + 1)) or node in inside:
            continue
        if literals_of(node):
            texts = [wrapper.module.code_for_node(part) for part in literals_of(node)]
            parts = filled(texts, COLUMNS - start)
            if parts != texts:
                lines[row] = f'{lines[row][:start]}{lines[end_row][end:]}'
                del lines[row + 1 : end_row + 1]
                put_strings(lines, row, start, parts)
                wide.difference_update(range(row, end_row + 1))
        elif row not in wide:
            continue
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


def literals_of(node: cst.CSTNode) -> list[cst.CSTNode]:
    """Return the strings that a string is written as; none for other nodes."""
    if isinstance(node, cst.ConcatenatedString):
        return [*literals_of(node.left), *literals_of(node.right)]
    return [node] if isinstance(node, cst.SimpleString | cst.FormattedString) else []


def strings_inside(node: cst.CSTNode) -> list[cst.CSTNode]:
    """Return the strings that a string consists of or reads in replacement fields."""
    if not literals_of(node):
        return []
    kinds = m.SimpleString() | m.FormattedString() | m.ConcatenatedString()
    return [part for part in m.findall(node, kinds) if part is not node]


def put_strings(lines: list[str], row: int, start: int, parts: list[str]) -> None:
    """Put strings into a line, one below the other, in brackets if need be."""
    line = lines[row]
    lines[row] = line[:start] + f'\n{" " * start}'.join(parts) + line[start:]
    if not parses(lines):
        lines[row] = f'{line[:start]}({" ".join(parts)}){line[start:]}'


def filled(literals: list[str], room: int) -> list[str]:
    """Write strings that follow each other anew, each as long as it can be."""
    parts = []
    for literal in joined(literals):
        parts.append(literal)
        while len(parts[-1]) > room and len(halves(parts[-1], room)) == 2:
            parts[-1:] = halves(parts[-1], room)
    return parts


def joined(literals: list[str]) -> list[str]:
    """Return strings that follow each other as one, or as they are if quotes clash."""
    found = [LITERAL.fullmatch(literal) for literal in literals]
    if not all(found) or any('r' in match['prefix'] for match in found):
        return [*literals]
    quotes = {match['quote'] for match in found}
    bodies = [match['body'] for match in found]
    if len(quotes) > 1 and any('"' in body or '\\' in body for body in bodies):
        return [*literals]
    prefix = 'f' if any('f' in match['prefix'] for match in found) else ''
    if prefix:
        bodies = [
            body if 'f' in match['prefix'] else re.sub(r'([{}])', r'\1\1', body)
            for match, body in zip(found, bodies, strict=True)
        ]
    quote = quotes.pop() if len(quotes) == 1 else '"'
    return [f'{prefix}{quote}{"".join(bodies)}{quote}']


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
        fields = [
            field.span()
            for field in re.finditer(r'\{[^{}]*(\{[^{}]*\}[^{}]*)*\}', body)
        ]
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
