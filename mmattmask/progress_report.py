"""Progress of long passes: a bar on a terminal, lines with an ETA in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from mmengine.logging import print_log
from rich.progress import track

T = TypeVar('T')
LOG_SECONDS = 60.0


def report_progress(items: Iterable[T], total: int, description: str) -> Iterator[T]:
    """Yield ``items`` and say how far the pass is and how long it will still take."""
    if sys.stdout.isatty():
        yield from track(items, description=description, total=total, transient=True)
        return
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last > LOG_SECONDS and done < total:
            last = now
            eta = (now - start) / done * (total - done)
            text = f'{description}: {done}/{total} batches, eta {eta:.0f} s'
            print_log(text, logger='current')
