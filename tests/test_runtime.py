"""The runtime check, and resuming a real run under torch's safe loader."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.evaluator import BaseMetric
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch.utils.data import DataLoader

import mmattmask.registry  # noqa: F401  registers the safe globals, as in any run
from mmattmask import runtime
from mmattmask.runtime import check_runtime
from mmattmask.safe_globals import safe_globals, statistics_method


class Line(BaseModel):
    """One weight and a bias, fitted to y = 2x."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.linear.weight, 0.5)
        torch.nn.init.zeros_(self.linear.bias)

    def forward(self, inputs, targets, mode='tensor'):
        difference = self.linear(inputs) - targets
        if mode == 'loss':
            return dict(loss=difference.square().mean())
        return [difference.detach().abs()]


class Score(BaseMetric):
    """A numpy float, as most metrics return: it becomes the run's best score."""

    def process(self, data_batch, data_samples):
        self.results.append(float(data_samples[0].mean()))

    def compute_metrics(self, results):
        return dict(error=np.float64(np.mean(results)))


def line_runner(work_dir: Path, max_epochs: int, resume: bool = False) -> Runner:
    x = torch.arange(8.0).view(8, 1) / 8
    dataset = list(zip(x, 2 * x, strict=True))

    def loader(shuffle):
        sampler = DefaultSampler(dataset, shuffle, seed=0)
        return DataLoader(dataset, batch_size=2, sampler=sampler)

    checkpoint = dict(interval=1, save_best='error', rule='less')
    return Runner(
        model=Line(),
        work_dir=str(work_dir),
        train_dataloader=loader(shuffle=True),
        val_dataloader=loader(shuffle=False),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        val_cfg=dict(),
        val_evaluator=[Score()],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=4, end=4),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', **checkpoint)),
        resume=resume,
        default_scope='mmpretrain',
        experiment_name=f'{work_dir.name}_{max_epochs}_{resume}',
    )


@pytest.fixture
def line_checkpoint(tmp_path) -> Path:
    """Work dir of a run of one epoch, with its checkpoint."""
    line_runner(tmp_path, max_epochs=1).train()
    return tmp_path


def test_resume_goes_on_and_never_leaves_the_safe_loader(line_checkpoint, monkeypatch):
    loads, load = [], torch.load

    def record(*args, **kwargs):
        loads.append(kwargs.get('weights_only'))
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', record)
    resumed = line_runner(line_checkpoint, max_epochs=3, resume=True)
    resumed.train()
    assert loads
    assert False not in loads
    straight = line_runner(line_checkpoint / 'straight', max_epochs=3)
    straight.train()
    assert torch.equal(resumed.model.linear.weight, straight.model.linear.weight)
    losses = [
        run.message_hub.log_scalars['train/loss'].data[0] for run in (resumed, straight)
    ]
    assert len(losses[1]) == 12
    np.testing.assert_array_equal(*losses)


def test_checkpoint_needs_nothing_beyond_our_list(line_checkpoint):
    path = line_checkpoint / 'epoch_1.pth'
    with torch.serialization.safe_globals(safe_globals()):
        checkpoint = torch.load(path, weights_only=True)
        assert torch.serialization.get_unsafe_globals_in_checkpoint(path) == []
    history = checkpoint['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.statistics('mean', 4) == pytest.approx(history.data[0].mean())
    assert isinstance(
        checkpoint['message_hub']['runtime_info']['best_score'], np.float64
    )


class Attack:
    """Pickles as a call of `function(*args)`."""

    def __init__(self, function, *args) -> None:
        self.call = (function, args)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('wrap', [lambda x: x, lambda x: [HistoryBuffer(), x]])
def test_foreign_call_is_refused_and_not_run(tmp_path, wrap):
    path, trace = tmp_path / 'attack.pth', tmp_path / 'trace'
    torch.save(wrap(Attack(os.mkdir, str(trace))), path)
    runtime.register_safe_globals()
    with torch.serialization.safe_globals(safe_globals()):
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path, weights_only=True)
        assert not trace.exists()
    # The attack is a real one: the unsafe loader runs it.
    torch.load(path, weights_only=False)
    assert trace.exists()


@pytest.mark.parametrize(
    ('owner', 'name'),
    [
        (HistoryBuffer, 'register_statistics'),
        (HistoryBuffer, '__init__'),
        (np.ndarray, 'tofile'),
        (np.ndarray, 'min'),
        (dict, '__class__'),
    ],
)
def test_getattr_reaches_nothing_but_statistics(tmp_path, owner, name):
    with pytest.raises(pickle.UnpicklingError, match=name):
        statistics_method(owner, name)
    path = tmp_path / 'attack.pth'
    torch.save(Attack(getattr, owner, name), path)
    allowed = torch.serialization.safe_globals(safe_globals())
    with allowed, pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


def test_registering_is_idempotent_and_spares_a_runtime_with_its_own_list():
    checkpoint = pytest.importorskip('mmengine.runner.checkpoint')
    runtime.register_safe_globals()
    before = torch.serialization.get_safe_globals()
    runtime.register_safe_globals()
    assert set(torch.serialization.get_safe_globals()) == set(before)
    has_own_list = hasattr(checkpoint, 'get_torch_safe_globals')
    assert (HistoryBuffer in before) is not has_own_list


def test_installed_runtime_is_accepted():
    check_runtime()


def test_missing_runtime_names_the_modules_and_one_command(monkeypatch):
    present = dict(mmengine=True)
    monkeypatch.setattr(runtime, 'find_spec', present.get)
    with pytest.raises(ImportError, match='mmcv, mmpretrain') as error:
        check_runtime()
    assert str(error.value).count('pip install') == 1


def test_mmengine_that_cannot_inherit_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, '_installed_version', lambda module: '0.11.0rc0')
    with pytest.raises(ImportError, match=r'0\.11\.0rc0.*pip install'):
        check_runtime()


def test_transformers_that_mmpretrain_does_not_know_is_refused(monkeypatch):
    versions = dict(transformers='5.24.0', mmengine='0.10.7')
    monkeypatch.setattr(runtime, 'find_spec', lambda name: name)
    monkeypatch.setattr(runtime.metadata, 'version', versions.get)
    message = r"transformers 5\.24\.0: run .*'transformers<5'"
    with pytest.raises(ImportError, match=message):
        check_runtime()
    versions['transformers'] = '4.57.6'
    check_runtime()
