"""The time that training takes, without evaluation and drawing, over all sessions."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook

from mmattmask.files import write_text
from mmattmask.registry import HOOKS

# Hooks of observers: what they cost is not the policy's.
OBSERVERS = ('KNNHook', 'MaskStripHook', 'GuidanceScalarsHook', 'LoggerHook')
FILE = 'clock.json'


@HOOKS.register_module()
class ClockHook(Hook):
    """Write the seconds of every epoch to ``<work_dir>/clock.json``.

    Loading, augmentation, steps, refreshes and teachers count; hooks that only observe
    and checkpoints do not. Where there is no GPU, the process's CPU time is taken,
    which other processes on the machine hardly change; it needs ``num_workers=0`` to be
    all. On a GPU, times are of events in its queue, read once an epoch: training waits
    for nothing else. A resumed run goes on with the epochs it has.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Read earlier sessions; stop the clock for those who observe."""
        self.file = Path(runner.work_dir) / FILE
        self.seconds: list[float] = []
        self._pauses: list[tuple[Any, Any]] = []
        if runner.epoch and self.file.exists():
            self.seconds = json.loads(self.file.read_text())[: runner.epoch]
        for hook in runner.hooks:
            if type(hook).__name__ not in OBSERVERS:
                continue
            for stage in Hook.stages:
                if getattr(type(hook), stage) is not getattr(Hook, stage):
                    setattr(hook, stage, self._paused(getattr(hook, stage)))

    def before_train_epoch(self, runner: Any) -> None:
        """Start."""
        self._pauses.clear()
        self._start = now()

    def after_train_epoch(self, runner: Any) -> None:
        """Stop, before checkpoints are written."""
        end = now()
        if isinstance(end, torch.cuda.Event):
            end.synchronize()
        paused = sum(seconds(*pause) for pause in self._pauses)
        self.seconds.append(seconds(self._start, end) - paused)
        if get_rank() == 0:  # the processes of a run take as long as each other
            write_text(self.file, json.dumps(self.seconds))

    def _paused(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = now()
            try:
                return method(*args, **kwargs)
            finally:
                self._pauses.append((start, now()))

        return call


def now() -> Any:
    """Return this moment: an event in the GPU's queue, or the process's CPU time."""
    if not torch.cuda.is_available():
        return time.process_time()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds(start: Any, end: Any) -> float:
    """Return the time in s between two moments that have passed."""
    if isinstance(end, torch.cuda.Event):
        return start.elapsed_time(end) / 1000
    return end - start
