"""The pool: order, dependencies, failures, and the end of its processes."""

import time
from types import SimpleNamespace

import pytest

from mmattmask.comparison import pool as pool_module
from mmattmask.comparison.plan import Run
from mmattmask.comparison.pool import Pool

RUNS = [Run('teacher', 'tokens', 0), Run('student', 'tokens', 0), Run('o', 'tokens', 0)]
# What the worker of the tests does: it leaves a row, or fails.
SCRIPT = """
import pathlib, sys, time
folder = pathlib.Path(sys.argv[-1])
(folder / 'started').write_text(str(time.time()))
time.sleep(float((folder / 'seconds').read_text()))
if (folder / 'fails').exists():
    print('ValueError: no luck\\n')
    sys.exit(3)
(folder / 'row').write_text(str(time.time()))
"""


class Work:
    """Runs that are done when a file is there; the student waits for the teacher."""

    def __init__(self, folder, fails=(), seconds=0.2):
        self.folder, self.fails, self.seconds = folder, fails, seconds

    def place(self, run):
        return self.folder / run.entry

    def is_done(self, run):
        return (self.place(run) / 'row').exists()

    def prepare(self, run):
        if run.entry == 'student' and not self.is_done(RUNS[0]):
            return None
        if 'refused' in self.fails and run.entry == 'o':
            raise ValueError('cannot start')
        place = self.place(run)
        place.mkdir(exist_ok=True)
        (place / 'seconds').write_text(str(self.seconds))
        if run.entry in self.fails:
            (place / 'fails').touch()
        return place

    def time_of(self, run, name):
        return float((self.place(run) / name).read_text())


@pytest.fixture(autouse=True)
def script(tmp_path, monkeypatch):
    path = tmp_path / 'script.py'
    path.write_text(SCRIPT)
    popen = pool_module.subprocess.Popen

    def start(command, **options):
        return popen([command[0], str(path), command[-1]], **options)

    monkeypatch.setattr(pool_module.subprocess, 'Popen', start)


@pytest.mark.parametrize('slots', [1, 2, 3])
def test_students_wait_for_teachers(tmp_path, slots):
    work = Work(tmp_path)
    assert Pool(['cpu'] * slots, 1).work(RUNS[::-1], work) == {}
    assert all(work.is_done(run) for run in RUNS)
    teacher, student = RUNS[:2]
    assert work.time_of(student, 'started') >= work.time_of(teacher, 'row')


def test_two_work_at_once(tmp_path):
    work = Work(tmp_path, seconds=1.5)
    Pool(['cpu', 'cpu'], 1).work([RUNS[0], RUNS[2]], work)
    assert work.time_of(RUNS[2], 'started') < work.time_of(RUNS[0], 'row')


def test_failure_stops_only_what_needs_it(tmp_path):
    work = Work(tmp_path, fails=('teacher',))
    failures = Pool(['cpu'], 1).work(RUNS, work)
    assert work.is_done(RUNS[2])
    assert list(failures) == RUNS[:2]
    log = tmp_path / 'teacher' / 'log.txt'
    assert failures[RUNS[0]] == f'exit 3: ValueError: no luck ({log})'
    assert failures[RUNS[1]] == 'what it needs has failed'


def test_refused_runs_are_named(tmp_path):
    work = Work(tmp_path, fails=('refused',))
    assert Pool(['cpu'], 1).work(RUNS, work) == {RUNS[2]: 'cannot start'}


def test_processes_end_with_the_pool(tmp_path, monkeypatch):
    work, pool, processes = Work(tmp_path, seconds=60), Pool(['cpu'], 1), []

    def interrupt(_):
        processes.extend(process for _, process, *_ in pool._working.values())
        if (tmp_path / 'teacher' / 'started').exists():
            raise KeyboardInterrupt
        time.sleep(0.05)

    fake = SimpleNamespace(sleep=interrupt, monotonic=time.monotonic)
    monkeypatch.setattr(pool_module, 'time', fake)  # subprocess sleeps, too
    with pytest.raises(KeyboardInterrupt):
        pool.work(RUNS, work)
    assert processes
    assert all(process.poll() is not None for process in processes)
