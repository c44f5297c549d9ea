"""Importing other packages without their talk."""

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator
from typing import Any

# About parts that nobody asked for; ``mmattmask doctor`` says what is missing.
NOISE = re.compile('Could not import OneDL|Line NMS is not compiled')


class _WithoutNoise:
    """A stream that drops these lines and passes everything else on.

    Loggers that are made meanwhile keep it: it must not swallow what they say.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._dropped = False

    def write(self, text: str) -> int:
        """Write a text, unless it is noise or the end of its line."""
        ends, self._dropped = self._dropped and text == '\n', False
        if ends or NOISE.match(text):
            self._dropped = not ends
            return len(text)
        return int(self._stream.write(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Import other packages without what they say about extensions that are missing."""
    with (
        contextlib.redirect_stdout(_WithoutNoise(sys.stdout)),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings('ignore', message='Fail to import ')
        yield
