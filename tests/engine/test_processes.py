"""The refresh in other processes: killed and resumed, two ranks, two machines."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mmattmask.scorers import AttentionBank

from . import toy_run
from .toy_run import NUM_IMAGES, assert_equal_weights, weights, write_images

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


def start(work_dir, data_root, *options, **environment):
    return subprocess.Popen(
        [
            sys.executable,
            '-m',
            toy_run.__name__,
            str(work_dir),
            str(data_root),
            *options,
        ],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1', **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(process, code=0):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == code, output[-3000:]
    return output


@pytest.fixture(scope='module')
def whole(tmp_path_factory, data_root):
    """Weights of a run that nobody killed."""
    work_dir = tmp_path_factory.mktemp('whole')
    finish(start(work_dir, data_root))
    return weights(work_dir / 'epoch_5.pth')


@pytest.mark.parametrize('point', ['write-0', 'write-2', 'finish', 'rename', 'done'])
def test_killed_in_a_refresh_and_resumed(tmp_path, data_root, whole, point):
    finish(start(tmp_path, data_root, KILL_AT=point), code=-9)
    banks = sorted((tmp_path / 'attention_bank').glob('*.bank'))
    expected = ['epoch_1.bank'] + ['epoch_3.bank'] * (point == 'done')
    assert [bank.name for bank in banks] == expected
    for bank in banks:
        AttentionBank(bank)  # whole: opening checks size and checksum
    finish(start(tmp_path, data_root, 'resume=true'))
    assert_equal_weights(whole, weights(tmp_path / 'epoch_5.pth'))


def run_ranks(work_dir, data_root, hosts, *options, code=0, **environment):
    """Run two ranks on (pretended) hosts and return their output."""
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    ranks = [
        start(
            work_dir,
            data_root,
            'launcher="pytorch"',
            *options,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE='2',
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=str(port),
            HOST_NAME=host,
            **environment,
        )
        for rank, host in enumerate(hosts)
    ]
    return [finish(rank, code) for rank in ranks]


# 22 images: two ranks make batches of 2 x 4 where one makes batches of 8
HALF = 'train_dataloader__batch_size=4'
TWO_EPOCHS = 'train_cfg__max_epochs=2'


@pytest.mark.parametrize('hosts', [('a', 'a'), ('a', 'b')])
def test_two_processes_make_the_maps_of_one(tmp_path, data_root, hosts):
    """From the same weights; on two hosts each gets a whole bank of its own."""
    refresh_first = 'custom_hooks=[{"type":"mmattmask.AttentionRefreshHook","begin":0}]'
    options = (TWO_EPOCHS, refresh_first)
    finish(start(tmp_path / 'one', data_root, *options))
    run_ranks(tmp_path / 'two', data_root, hosts, HALF, *options)
    ids = np.arange(NUM_IMAGES)
    one = AttentionBank(tmp_path / 'one' / 'attention_bank' / 'epoch_0.bank')
    paths = sorted((tmp_path / 'two' / 'attention_bank').iterdir())
    names = ['epoch_0.bank'] + ['epoch_0.node1.bank'] * (hosts[0] != hosts[1])
    assert [path.name for path in paths] == names
    for path in paths:
        two = AttentionBank(path)
        assert two.header.fingerprint == one.header.fingerprint
        # float16 steps near 1
        np.testing.assert_allclose(two.maps(ids), one.maps(ids), atol=1e-3)
        assert (two.maps(ids).std(axis=(1, 2)) > 0).all()
    if len(paths) == 2:
        assert paths[0].read_bytes() == paths[1].read_bytes()


def test_two_processes_resume(tmp_path, data_root):
    run_ranks(tmp_path, data_root, ('a', 'a'), HALF, TWO_EPOCHS)
    outputs = run_ranks(
        tmp_path, data_root, ('a', 'a'), HALF, 'train_cfg__max_epochs=3', 'resume=true'
    )
    assert 'going on with' in outputs[0]
    assert 'making a new bank' not in outputs[0]

    (tmp_path / 'attention_bank' / 'epoch_1.bank').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    outputs = run_ranks(
        tmp_path, data_root, ('a', 'a'), HALF, 'train_cfg__max_epochs=3', 'resume=true'
    )
    assert 'making a new bank' in outputs[0]


def test_a_failure_on_one_rank_ends_all_of_them(tmp_path, data_root):
    """None waits for it at a barrier."""
    outputs = run_ranks(tmp_path, data_root, ('a', 'a'), HALF, code=1, FAILING_RANK='1')
    assert "'NoneType' object is not callable" in outputs[1]
    assert 'the attention refresh failed on another rank' in outputs[0]
    assert not list((tmp_path / 'attention_bank').glob('*.bank'))
