"""How fast the images of a config are loaded, and how many workers that takes."""

import os
import time
from math import ceil
from typing import Any

NUM_TIMED, MOST_SECONDS = 32, 2.0
GOAL = 1000  # images per second on a GPU, to count workers for


def measured_rate(dataset: Any) -> float | None:
    """Return the images per second that one core of this machine loads.

    By the process's own time, of the first images but the first, for two seconds at
    most. None where there are fewer than three, or one cannot be loaded.
    """
    number, start = 0, 0.0
    try:
        for index in range(min(len(dataset), NUM_TIMED)):
            dataset[index]
            if index == 0:  # whatever comes with a first time
                start = time.process_time()
                continue
            number += 1
            if time.process_time() - start > MOST_SECONDS:
                break
    except Exception:  # of any transform; findings say which
        return None
    return number / max(time.process_time() - start, 1e-9) if number > 1 else None


def num_cores() -> int:
    """Return the cores that this process may use."""
    known = hasattr(os, 'sched_getaffinity')
    return len(os.sched_getaffinity(0)) if known else os.cpu_count() or 1


def wanted_workers(rate: float) -> int:
    """Return the workers that load ``GOAL`` images per second."""
    return ceil(GOAL / rate)
