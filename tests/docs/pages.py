"""Pages of documentation, and their fenced blocks."""

import os
import re
from collections.abc import Callable
from pathlib import Path

from tests.config_building import ROOT

PATTERNS = (
    '*.md',
    'benchmarks/**/*.md',
    'configs/**/*.md',
    'docs/**/*.md',
    'projects/README.md',
)
GENERATED = ROOT / 'docs' / 'api'  # by the build
PAGES = sorted(
    str(path.relative_to(ROOT))
    for pattern in PATTERNS
    for path in ROOT.glob(pattern)
    if GENERATED not in path.parents
)
# A block is told apart by a comment in front of it, which readers do not see:
# <!-- test: config=PATH -->  lines that go into a config with this base
# <!-- test: model=PATH -->   lines that go into the model of such a config
# <!-- test: run -->          a shell block that is run, not only read
MARK = re.compile(r'<!-- test: (\w+)(?:=(\S+))? -->\n\s*$')
# A block that is a file says so in its first line.
FILE_NAME = re.compile(r'# ([\w/]+\.py)\n')


def parse(path: Path, evaluators: dict[str, Callable]):
    """Return a page with its blocks, in order, that have an evaluator.

    Args:
        path: The page.
        evaluators: What to do with blocks, by language.
    """
    from sybil.document import Document  # not part of every environment
    from sybil.parsers.markdown import CodeBlockParser

    parsers = [CodeBlockParser(name, how) for name, how in evaluators.items()]
    document = Document.parse(str(path), *parsers)
    document.namespace['__name__'] = 'page'
    return document


def evaluate(document) -> int:
    """Evaluate the blocks of a page; return how many there are."""
    number = 0
    for example in document.examples():
        example.evaluate()
        number += 1
    return number


def mark_of(example) -> tuple[str, str | None]:
    """Return name and value of the comment in front of a block; '' if there is none."""
    found = MARK.search(example.document.text[: example.start])
    return (found.group(1), found.group(2)) if found else ('', None)


def file_name_of(source: str) -> str | None:
    """Return the name of the file that a block is, if it says one."""
    found = FILE_NAME.match(source)
    return found.group(1) if found else None


def make_workspace(folder: Path) -> Path:
    """Give a folder what a clone of the repository offers to commands."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ('configs', 'tools', 'docs'):
        os.symlink(ROOT / name, folder / name)
    return folder
