"""A run that is killed again and again ends as one that nobody killed, bit for bit.

``MMATTMASK_CHAINS=40 python -m pytest tests/engine/test_kill_chains.py`` is what
docs/reliability.md reports.
"""

import json
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.fileio import LocalBackend

from mmattmask.scorers import AttentionBank, BankWriter
from tests.processes import Child

from .toy_run import assert_equal_weights, toy_config, train, weights

NUM_CHAINS = int(os.environ.get('MMATTMASK_CHAINS', '3'))
NUM_KILLS = 4
LAST = 'epoch_5.pth'
IN_THE_FIRST_CHECKPOINT = 4  # after three steps and the beginning of the file


def watch(kill_at):
    """Let this process die at the ``kill_at``-th event; return what has happened.

    Events are steps of training, batches of a refresh, and every file that is written
    (at its start and in its middle), renamed or removed.
    """
    events = []

    def event(name):
        if len(events) == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        events.append(name)

    def before(owner, name):
        original = getattr(owner, name)

        def with_event(*args, **kwargs):
            new = Path(args[1]).suffix if name == 'replace' else ''
            event(f'{name} {new}' if new else name)
            return original(*args, **kwargs)

        setattr(owner, name, with_event)

    def put(self, content, path):
        event('put')
        with open(path, 'wb') as file:
            file.write(content[: len(content) // 2])
            file.flush()
            event('put')
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
    cfg = toy_config(work_dir, data_root, resume=True)
    cfg.default_hooks.checkpoint.max_keep_ckpts = 1
    train(cfg)
    Path(f'{work_dir}.json').write_text(json.dumps(events))


def run_once(work_dir, data_root, kill_at=-1):
    """Run in a process of its own; return its exit code."""
    child = Child(f'{work_dir}.txt', run, str(work_dir), data_root, kill_at)
    child.finish((0, -9))
    return child.process.exitcode


@pytest.fixture(scope='module')
def unkilled(tmp_path_factory, data_root):
    """The folder of a run that nobody killed, and its events."""
    folder = tmp_path_factory.mktemp('unkilled') / 'run'
    assert run_once(folder, data_root) == 0
    return folder, json.loads(Path(f'{folder}.json').read_text())


def assert_same_end(work_dir, unkilled):
    assert_equal_weights(weights(unkilled / LAST), weights(work_dir / LAST))
    # a kill before the former checkpoint is removed leaves it there
    assert not list(work_dir.rglob('*.tmp*'))
    for bank in (unkilled / 'attention_bank').iterdir():
        mine = work_dir / 'attention_bank' / bank.name
        assert mine.read_bytes() == bank.read_bytes()


@pytest.mark.parametrize('seed', range(NUM_CHAINS))
def test_killed_again_and_again(tmp_path, data_root, unkilled, seed):
    other, events = unkilled
    assert len(events) > 35  # 15 steps, 8 of refreshes, 16 of files
    work_dir = tmp_path / 'run'
    draw = np.random.default_rng(seed)
    first = IN_THE_FIRST_CHECKPOINT if seed == 0 else int(draw.integers(len(events)))
    assert run_once(work_dir, data_root, first) == -9
    if seed == 0:
        assert not list(work_dir.glob('epoch_*'))  # it is there whole, or not at all
    kills = draw.integers(len(events) // 2, size=NUM_KILLS - 1).tolist()
    codes = [run_once(work_dir, data_root, kill) for kill in kills]
    if 0 not in codes:
        assert run_once(work_dir, data_root) == 0
    assert_same_end(work_dir, other)


@pytest.mark.parametrize(
    ('name', 'number'),
    [
        ('write', 3),  # before the first batch of the second refresh is written
        ('write', 5),
        ('finish', 1),  # when all rows are there
        ('replace .bank', 1),  # before the new file takes its name
        ('step', 9),  # after that
    ],
)
def test_killed_in_the_second_refresh(tmp_path, data_root, unkilled, name, number):
    other, events = unkilled
    kill = [place for place, event in enumerate(events) if event == name][number]
    work_dir = tmp_path / 'run'
    assert run_once(work_dir, data_root, kill) == -9
    banks = sorted((work_dir / 'attention_bank').glob('*.bank'))
    expected = ['epoch_1.bank'] + ['epoch_3.bank'] * (name == 'step')
    assert [bank.name for bank in banks] == expected
    for bank in banks:
        AttentionBank(bank)  # whole: opening checks size and checksum
    assert run_once(work_dir, data_root) == 0
    assert_same_end(work_dir, other)
