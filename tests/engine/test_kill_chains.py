"""A run that is killed again and again ends as one that nobody killed, bit for bit.

``MMATTMASK_CHAINS=40 python -m pytest tests/engine/test_kill_chains.py`` is what
docs/reliability.md reports.
"""

import os
import signal
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.fileio import LocalBackend

from mmattmask.scorers import BankWriter
from tests.processes import Child

from .toy_run import assert_equal_weights, toy_config, train, weights, write_images

NUM_CHAINS = int(os.environ.get('MMATTMASK_CHAINS', '3'))
NUM_KILLS = 4
LAST = 'epoch_5.pth'
IN_THE_FIRST_CHECKPOINT = 4  # after three steps and the beginning of the file


def watch(kill_at):
    """Let this process die at the ``kill_at``-th event; return how many there were.

    Events are steps of training, batches of a refresh, and every file that is written
    (at its start and in its middle), renamed or removed.
    """
    events = count()

    def event():
        if next(events) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(owner, name):
        original = getattr(owner, name)

        def with_event(*args, **kwargs):
            event()
            return original(*args, **kwargs)

        setattr(owner, name, with_event)

    def put(self, content, path):
        event()
        with open(path, 'wb') as file:
            file.write(content[: len(content) // 2])
            file.flush()
            event()
            file.write(content[len(content) // 2 :])

    LocalBackend.put = put
    for name in ('replace', 'rename', 'remove', 'unlink'):
        before(os, name)
    before(BankWriter, 'write')
    before(BankWriter, 'finish')
    before(torch.optim.AdamW, 'step')
    return events


def run(work_dir, data_root, kill_at):
    """Train in this process, from the newest checkpoint if there is one."""
    events = watch(kill_at)
    checkpoint = dict(type='CheckpointHook', interval=1, max_keep_ckpts=1)
    train(
        toy_config(
            work_dir, data_root, resume=True, default_hooks__checkpoint=checkpoint
        )
    )
    Path(f'{work_dir}.events').write_text(str(next(events)))


def run_once(work_dir, data_root, kill_at=-1):
    """Run in a process of its own; return its exit code."""
    child = Child(f'{work_dir}.txt', run, str(work_dir), data_root, kill_at)
    child.finish((0, -9))
    return child.process.exitcode


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """Images, a run that nobody killed, and its number of events."""
    folder = tmp_path_factory.mktemp('whole')
    data_root = write_images(folder / 'images')
    assert run_once(folder / 'run', data_root) == 0
    return data_root, folder / 'run', int((folder / 'run.events').read_text())


@pytest.mark.parametrize('seed', range(NUM_CHAINS))
def test_killed_again_and_again(tmp_path, whole, seed):
    data_root, other, events = whole
    assert events > 35  # 15 steps, 8 of refreshes, 16 of files
    work_dir = tmp_path / 'run'
    draw = np.random.default_rng(seed)
    first = IN_THE_FIRST_CHECKPOINT if seed == 0 else int(draw.integers(events))
    assert run_once(work_dir, data_root, first) == -9
    if seed == 0:
        assert not list(work_dir.glob('epoch_*'))  # it is there whole, or not at all
    kills = draw.integers(events // 2, size=NUM_KILLS - 1).tolist()
    codes = [run_once(work_dir, data_root, kill) for kill in kills]
    if 0 not in codes:
        assert run_once(work_dir, data_root) == 0
    assert_equal_weights(weights(other / LAST), weights(work_dir / LAST))
    # a kill before the former checkpoint is removed leaves it there
    assert not list(work_dir.glob('.*.tmp*'))
    for bank in (other / 'attention_bank').iterdir():
        mine = work_dir / 'attention_bank' / bank.name
        assert mine.read_bytes() == bank.read_bytes()
