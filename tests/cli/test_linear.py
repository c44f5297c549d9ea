"""mmattmask linear: in this process, killed and resumed, and on two ranks."""

import json
import os
import sys
from pathlib import Path

import pytest
import torch

from mmattmask.__main__ import main
from mmattmask.cli.linear import choices
from mmattmask.evaluation.linear import LinearSweep
from mmattmask.evaluation.linear_probe import ProbeHistory
from tests.command_line import mmattmask, table_of
from tests.processes import run_ranks

from .test_knn import DATA

SHORT = ['--lr', '0.5', '20', '--epochs', '3', '--batch-size', '5']


def run(*arguments):
    return mmattmask('linear', 'mae.py', 'mae.pth', *DATA, *SHORT, *arguments)


def content(folder='work_dirs/mae'):
    return json.loads((Path(folder) / 'linear.json').read_text())


@pytest.mark.usefixtures('files')
def test_report():
    losses = [check_report(mode) for mode in ([], ['--cached-features'])]
    assert losses[0] != losses[1]


def check_report(mode):
    text = run(*mode)
    report = content()
    best, last = report['results']
    top1 = torch.tensor(report['top1'])
    assert top1.shape == (3, 2)
    assert best['top1'] == top1.max()
    assert last['top1'] == top1[-1].max()
    assert best['top1'] == top1[best['epoch'] - 1, report['lrs'].index(best['lr'])]
    first, second = table_of(text)[2:]
    cells = ['last4', f'{best["lr"]:g}', f'{best["epoch"]}/3', f'{best["top1"]:.2f}']
    assert first[:5] == ['best of 2 lrs and best epoch on the validation set', *cells]
    assert second[:2] == ['best of 2 lrs on the validation set, last epoch', 'last4']
    how = 'one view each' if mode else 'random crops and flips'
    assert f'14 training images ({how}), 20 validation images, batch 5 ' in text
    assert 'matched 54/54 weights' in text
    names = [path.name for path in Path('work_dirs/mae/features').iterdir()]
    assert sorted(name.split('-')[0] for name in names) == ['train', 'val'][not mode :]
    return report['loss']


@pytest.mark.usefixtures('files')
@pytest.mark.parametrize('mode', [[], ['--cached-features']], ids=['views', 'cached'])
def test_killed_and_restarted_equals_uninterrupted(mode, monkeypatch):
    run(*mode, '--work-dir', 'whole')
    step, calls = LinearSweep.step, []

    def killed(self, *args):
        calls.append(args)
        if len(calls) == 5:  # in the middle of the second epoch of 3 steps
            raise KeyboardInterrupt
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(LinearSweep, 'step', killed)
        with pytest.raises(KeyboardInterrupt):
            run(*mode, '--work-dir', 'killed')
    assert not Path('killed/linear.json').exists()
    text = run(*mode, '--work-dir', 'killed')
    whole, resumed = content('whole'), content('killed')
    assert resumed['top1'] == whole['top1']
    assert resumed['loss'] == whole['loss']
    with monkeypatch.context() as patch:  # finished: nothing is trained again
        patch.setattr(LinearSweep, 'step', None)
        assert run(*mode, '--work-dir', 'killed') == text
    run(*mode, '--work-dir', 'killed', '--seed', 1)  # another probe: from the start
    assert content('killed')['loss'] != whole['loss']


def main_here(argv):
    sys.exit(main(argv))


@pytest.mark.usefixtures('files')
def test_two_processes_equal_one():
    """14 images in batches of 5: the ranks' shares are not equal."""
    run('--work-dir', 'one')
    command = ['linear', 'mae.py', 'mae.pth', *DATA, *SHORT]
    command += ['--work-dir', 'two', '--launcher', 'pytorch']
    outputs = run_ranks('.', main_here, command, cwd=os.getcwd())
    assert '| chosen by ' in outputs[0]
    assert '| chosen by ' not in outputs[1]
    one, two = content('one'), content('two')
    torch.testing.assert_close(
        torch.tensor(two['loss']), torch.tensor(one['loss']), rtol=1e-3, atol=1e-4
    )
    assert len(list(Path('two').glob('linear-*.pth'))) == 1


def test_a_single_lr_is_not_called_the_best_of_many():
    accuracy = torch.tensor([[[10.0, 50.0]], [[30.0, 60.0]], [[20.0, 70.0]]])
    best, last = choices(ProbeHistory(accuracy, torch.zeros(3, 1)), (0.1,))
    assert best == dict(
        chosen_by='best epoch on the validation set',
        lr=0.1,
        epoch=2,
        top1=30.0,
        top5=60.0,
    )
    assert last == dict(chosen_by='last epoch', lr=0.1, epoch=3, top1=20.0, top5=70.0)
