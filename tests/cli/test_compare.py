"""Arguments of mmattmask compare; tests/comparison runs it."""

import pytest

from mmattmask.cli import compare
from tests.command_line import arguments, mmattmask


@pytest.mark.parametrize(
    ('visible', 'gpus', 'threads', 'devices'),
    [
        (None, 2, 1, ['0', '1']),
        ('2,5', 2, 1, ['2', '5']),  # numbers of the machine, not of this process
        (None, 0, 1, ['cpu'] * 6),
        (None, 0, 4, ['cpu']),
        (None, 0, 8, ['cpu']),
    ],
)
def test_default_devices(monkeypatch, visible, gpus, threads, devices):
    monkeypatch.setattr(compare.torch.cuda, 'device_count', lambda: gpus)
    monkeypatch.setattr(compare.os, 'cpu_count', lambda: 6)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    if visible:
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', visible)
    assert compare.default_devices(threads) == devices


def test_arguments():
    args = arguments(
        'compare',
        *['f.py', '--runs', 'a', 'b', '--seeds', '3', '--devices', '1'],
    )
    assert (args.runs, args.seeds, args.devices) == (['a', 'b'], [3], ['1'])
    with pytest.raises(SystemExit):
        arguments('compare', 'f.py', '--budgets', 'hours')


def test_a_file_that_is_no_comparison_is_one_sentence(tmp_path):
    path = tmp_path / 'f.py'
    path.write_text('epochs = 3\n')
    with pytest.raises(SystemExit, match='has no runs: it is no comparison'):
        mmattmask('compare', path, '--work-dir', tmp_path / 'work')
    assert not (tmp_path / 'work').exists()
