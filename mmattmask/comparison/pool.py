"""Run what is ready, as many at once as there is room for, and say how long is left."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmattmask.comparison.plan import Run
from mmattmask.comparison.study import Study

POLL_SECONDS = 0.5
LOG = 'log.txt'


class Pool:
    """Worker processes, one per slot.

    Args:
        devices: One slot for each: a number is a GPU, ``'cpu'`` none.
        threads: Of each process on a CPU.
    """

    def __init__(self, devices: Sequence[str], threads: int) -> None:
        self.devices = list(devices)
        self.threads = threads
        self._working: dict[int, tuple[Run, subprocess.Popen, float, Path]] = {}
        self._seconds: list[float] = []

    def work(self, runs: Sequence[Run], study: Study) -> dict[Run, str]:
        """Run everything, in order of preference; say why, for each run that failed.

        An error while a run is prepared counts as its failure.
        """
        waiting, failures = list(runs), dict[Run, str]()
        try:
            while waiting or self._working:
                failures |= self._collect(len(runs), len(waiting))
                waiting = [run for run in waiting if not study.is_done(run)]
                number = len(waiting)
                failures |= self._start_ready(waiting, study)
                if waiting and len(waiting) == number and not self._working:
                    failures |= dict.fromkeys(waiting, 'what it needs has failed')
                    break
                time.sleep(POLL_SECONDS)
        finally:
            self.stop()
        return failures

    def _start_ready(self, waiting: list[Run], study: Study) -> dict[Run, str]:
        """Fill free slots; return why, for each run that can never start."""
        failures = {}
        free = [n for n in range(len(self.devices)) if n not in self._working]
        for run in list(waiting) if free else ():
            try:
                folder = study.prepare(run)
            except (ValueError, FileNotFoundError) as error:
                waiting.remove(run)
                failures[run] = str(error)
                continue
            if folder is not None:
                waiting.remove(run)
                self._start(free.pop(0), run, folder)
            if not free:
                break
        return failures

    def _start(self, slot: int, run: Run, folder: Path) -> None:
        device = self.devices[slot]
        environment = dict(
            os.environ,
            OMP_NUM_THREADS=str(self.threads),
            CUDA_VISIBLE_DEVICES='' if device == 'cpu' else device,
        )
        command = [sys.executable, '-m', 'mmattmask.comparison.worker', str(folder)]
        with (folder / LOG).open('a') as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
        print_log(f'{run}: started ({folder / LOG})', logger='current')
        self._working[slot] = (run, process, time.monotonic(), folder)

    def _collect(self, total: int, waiting: int) -> dict[Run, str]:
        """Take finished processes out; return why, for each that failed."""
        failures = {}
        for slot, (run, process, start, folder) in list(self._working.items()):
            if process.poll() is None:
                continue
            del self._working[slot]
            if process.returncode:
                log = folder / LOG
                text = f'exit {process.returncode}: {last_line(log)} ({log})'
                failures[run] = text
            else:
                self._seconds.append(time.monotonic() - start)
                left = waiting + len(self._working)
                mean = sum(self._seconds) / len(self._seconds)
                eta = mean * left / len(self.devices)
                text = f'done in {self._seconds[-1]:.0f} s, {total - left}/{total} runs'
                text += f', eta {eta / 60:.0f} min'
            print_log(f'{run}: {text}', logger='current')
        return failures

    def stop(self) -> None:
        """End processes that still work; what they have done is not lost."""
        for _, process, _, _ in self._working.values():
            process.terminate()
        for _, process, _, _ in self._working.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._working.clear()


def last_line(log: Path) -> str:
    """Return the last line of a log that says something: a traceback's reason."""
    lines = log.read_text(errors='replace').splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), 'no output')
