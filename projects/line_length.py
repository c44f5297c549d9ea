"""Docstrings, comments and strings in lines of 79 columns, which yapf leaves alone."""

import ast
import io
import re
import textwrap
import tokenize

COLUMNS = 79
ENTRY = re.compile(r'(\*{0,2}\w+:|[-*] |\d+\. )')  # of Args:, of lists
VERBATIM = ('>>> ', '... ')


def wrap_texts(source: str) -> str:
    """Wrap the docstrings and comments that are too wide."""
    lines = source.splitlines()
    for first, last in reversed(docstring_lines(source)):
        text = lines[first:last]
        if any(len(line) > COLUMNS for line in text):
            lines[first:last] = wrap_docstring(text)
    return '\n'.join(wrap_comments(lines)) + '\n'


def wrap_summaries(source: str) -> str:
    """Wrap the summaries that docformatter takes for lists and leaves alone."""
    lines = source.splitlines()
    for first, _ in reversed(docstring_lines(source)):
        if len(lines[first]) > COLUMNS:
            indent = indent_of(lines[first])
            lines[first : first + 1] = fill([lines[first]], indent, indent)
    return '\n'.join(lines) + '\n'


def docstring_lines(source: str) -> list[tuple[int, int]]:
    """Return the first line of every docstring and the one after it, from 0."""
    found = []
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, kinds) and ast.get_docstring(node, clean=False):
            found.append((node.body[0].lineno - 1, node.body[0].end_lineno))
    return sorted(found)


def wrap_docstring(lines: list[str]) -> list[str]:
    """Wrap the blocks of a docstring: paragraphs, list entries, arguments.

    The summary keeps its line: docformatter knows how to break it.
    """
    wrapped = lines[:1]
    for block in blocks_of(lines[1:]):
        verbatim = block[0].lstrip().startswith(VERBATIM)
        if verbatim or all(len(line) <= COLUMNS for line in block):
            wrapped += block
            continue
        indent = indent_of(block[0])
        hanging = indent_of(block[1]) if len(block) > 1 else indent
        if len(block) == 1 and ENTRY.match(block[0].lstrip()):
            hanging += ' ' * 4
        wrapped += fill(block, indent, hanging)
    return wrapped


def blocks_of(lines: list[str]) -> list[list[str]]:
    """Split the lines of a docstring into blocks that are wrapped on their own."""
    blocks: list[list[str]] = []
    for line in lines:
        if not blocks or not continues(blocks[-1], line):
            blocks.append([])
        blocks[-1].append(line)
    return blocks


def continues(block: list[str], line: str) -> bool:
    """Return whether a line goes on with the sentence of a block."""
    text, before = line.strip(), block[-1].strip()
    if not text or not before or text == '"""' or text.startswith(VERBATIM):
        return False
    if before.startswith(VERBATIM) or re.fullmatch(r'[A-Z]\w+:', before):
        return False
    first, depth = indent_of(block[0]), indent_of(line)
    if len(block) > 1:
        return depth == indent_of(block[1])
    if ENTRY.match(before):
        return len(depth) > len(first)
    return depth == first and not ENTRY.match(text)


def wrap_comments(lines: list[str]) -> list[str]:
    """Wrap blocks of comments; one behind code goes above it."""
    wrapped: list[str] = []
    index = 0
    while index < len(lines):
        block = [lines[index]]
        while is_comment(block[0]) and index + len(block) < len(lines):
            following = lines[index + len(block)]
            if not is_comment(following) or indent_of(following) != indent_of(block[0]):
                break
            block.append(following)
        index += len(block)
        wide = any(len(line) > COLUMNS for line in block)
        if wide and is_comment(block[0]):
            texts = [line.strip().lstrip('#') for line in block]
            start = f'{indent_of(block[0])}# '
            wrapped += fill(texts, start, start)
        elif wide and (found := comment_of(block[0])):
            start = f'{indent_of(block[0])}# '
            wrapped += fill([found.lstrip('#')], start, start)
            wrapped.append(block[0][: -len(found)].rstrip())
        else:
            wrapped += block
    return wrapped


def is_comment(line: str) -> bool:
    """Return whether a line is a comment and nothing else."""
    return line.lstrip().startswith('#')


def comment_of(line: str) -> str:
    """Return the comment at the end of a line of code, or ''."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(line).readline))
    except tokenize.TokenError as error:  # an open bracket is no obstacle
        if 'multi-line statement' not in str(error):
            return ''
        return line[line.index('  # ') + 2 :] if '  # ' in line else ''
    return next((t.string for t in tokens if t.type == tokenize.COMMENT), '')


def indent_of(line: str) -> str:
    """Return the spaces a line begins with."""
    return line[: len(line) - len(line.lstrip())]


def fill(lines: list[str], first: str, others: str) -> list[str]:
    """Return the words of some lines in lines that are short enough."""
    return textwrap.wrap(
        ' '.join(line.strip() for line in lines),
        COLUMNS,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
