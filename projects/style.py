"""MMPretrain's style: the tools of its pre-commit hooks, with its settings.

``setup.cfg`` beside this file holds those sections of MMPretrain's own.
"""

import functools
import importlib.util
from pathlib import Path

from projects.line_length import wrap_summaries, wrap_texts
from projects.long_lines import break_long_lines

SETTINGS = Path(__file__).with_name('setup.cfg')
HEADER = '# Copyright (c) OpenMMLab. All rights reserved.\n'
TOOLS = ('docformatter', 'isort', 'yapf')
MAX_ROUNDS = 8


def missing_tools() -> list[str]:
    """Return the formatters that are not installed."""
    return [name for name in TOOLS if importlib.util.find_spec(name) is None]


@functools.lru_cache(None)
def styled(source: str) -> str:
    """Return a module in MMPretrain's style, with its header.

    Raises:
        RuntimeError: If the formatters do not come to an end.
    """
    import isort

    source = source.replace('  # type: ignore[misc]', '')
    # isort finds `projects` by itself where that folder is, as in MMPretrain's root
    config = isort.Config(str(SETTINGS), known_first_party=('mmpretrain', 'projects'))
    source = isort.code(wrap_texts(source), config=config)
    source = HEADER + with_short_summaries(source)
    for _ in range(MAX_ROUNDS):
        before, source = source, break_long_lines(with_yapf(source))
        if source == before:
            return source
    raise RuntimeError(f'still changing after {MAX_ROUNDS} rounds:\n{source}')


def with_short_summaries(source: str) -> str:
    """Break the summaries of docstrings as the hook does."""
    import docformatter

    source = docformatter.format_code(
        source, summary_wrap_length=79, description_wrap_length=79
    )
    return wrap_summaries(source)


def with_yapf(source: str) -> str:
    """Format the code."""
    from yapf.yapflib.yapf_api import FormatCode

    return FormatCode(source, style_config=str(SETTINGS))[0]
