"""The clock of training: who is timed, who is not, and how it goes on."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook

from mmattmask.engine import ClockHook, clock_hook


class Time:
    """A clock that only hooks turn."""

    now = 0.0


class Work(Hook):
    """Training: ten seconds an iteration."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        Time.now += 10


class AttentionRefreshHook(Hook):
    """Guidance: a hundred seconds before an epoch."""

    def before_train_epoch(self, runner):
        Time.now += 100


class KNNHook(Hook):
    """An observer: a thousand seconds, before an epoch and after an iteration."""

    def before_train_epoch(self, runner):
        Time.now += 1000

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        Time.now += 1000


@pytest.fixture(autouse=True)
def fake_time(monkeypatch):
    Time.now = 0.0
    monkeypatch.setattr(clock_hook, 'now', lambda: Time.now)


def train(folder, first, last, iterations=3):
    clock = ClockHook()
    hooks = [clock, AttentionRefreshHook(), KNNHook(), Work()]
    runner = SimpleNamespace(work_dir=folder, epoch=first, hooks=hooks)
    clock.before_train(runner)
    for epoch in range(first, last):
        runner.epoch = epoch
        for hook in hooks:
            hook.before_train_epoch(runner)
        for batch in range(iterations):
            for hook in hooks:
                hook.before_train_iter(runner, batch)
                hook.after_train_iter(runner, batch)
        for hook in hooks:
            hook.after_train_epoch(runner)
    return json.loads((folder / 'clock.json').read_text())


def test_training_and_refreshes_count_and_observers_do_not(tmp_path):
    assert train(tmp_path, 0, 2) == [130.0, 130.0]


def test_a_resumed_run_goes_on_with_its_epochs(tmp_path):
    train(tmp_path, 0, 3, iterations=1)
    # the third epoch is done again, from the checkpoint of the second
    assert train(tmp_path, 2, 4) == [110.0, 110.0, 130.0, 130.0]


def test_a_new_run_begins_at_zero(tmp_path):
    train(tmp_path, 0, 3)
    assert train(tmp_path, 0, 1) == [130.0]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    monkeypatch.setattr(clock_hook, 'get_rank', lambda: 1)
    with pytest.raises(FileNotFoundError):
        train(tmp_path, 0, 1)


def test_time_of_this_process_grows(monkeypatch):
    monkeypatch.undo()
    first = clock_hook.now()
    sum(range(100_000))
    assert clock_hook.now() > first


def test_a_gpu_is_waited_for_once_an_epoch(tmp_path, monkeypatch):
    waits = []

    class Event:
        """Seconds by the clock that hooks turn; read only when it is waited for."""

        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            self.at = Time.now

        def synchronize(self):
            waits.append(self.at)

        def elapsed_time(self, end):
            assert max(waits) >= end.at
            return 1000 * (end.at - self.at)

    monkeypatch.undo()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'Event', Event)
    monkeypatch.setattr(
        torch.cuda, 'synchronize', lambda *args: pytest.fail('waits for the GPU')
    )
    assert train(tmp_path, 0, 2) == [130.0, 130.0]
    assert len(waits) == 2
