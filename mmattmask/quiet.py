"""Importing other packages without their talk."""

import contextlib
import io
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Import other packages without what they say about extensions that are missing.

    Their lines ("Could not import OneDL", "Line NMS is not compiled") are about
    parts that nobody asked for; ``mmattmask doctor`` says what is missing.
    """
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.filterwarnings('ignore', message='Fail to import ')
        yield
