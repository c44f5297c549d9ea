"""The command ``mmattmask`` in this process."""

from mmattmask.__main__ import parser_of, run


def arguments(name, *argv):
    """Return what a command makes of its arguments."""
    return parser_of(name).parse_args([str(word) for word in argv])


def mmattmask(name, *argv):
    """Run a command; return what it prints, or raise what it ends with."""
    text, code = run(name, [str(word) for word in argv])
    if code:
        raise SystemExit(text)
    return text


def table_of(text):
    """Return the cells of the Markdown tables in a text."""
    rows = [line.split('|')[1:-1] for line in text.splitlines() if '|' in line]
    return [[cell.strip() for cell in row] for row in rows]
