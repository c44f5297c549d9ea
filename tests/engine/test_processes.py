"""The refresh in several processes: two ranks, two machines, a failure."""

import numpy as np
import pytest

from mmattmask.scorers import AttentionBank
from tests.processes import run_ranks

from .toy_run import (
    NUM_IMAGES,
    toy_config,
    train,
    train_here,
)


def two_ranks(work_dir, data_root, changes=(), hosts=('a', 'a'), **options):
    """Train on two ranks, on (pretended) hosts; return what they print."""
    work_dir.mkdir(exist_ok=True)
    # 22 images: two ranks make batches of 2 x 4 where one makes batches of 8
    changes = dict(changes, launcher='pytorch', train_dataloader__batch_size=4)
    each = [dict(HOST_NAME=host) for host in hosts]
    arguments = (str(work_dir), data_root, changes)
    return run_ranks(work_dir, train_here, *arguments, each=each, **options)


@pytest.mark.parametrize('hosts', [('a', 'a'), ('a', 'b')])
def test_two_processes_make_the_maps_of_one(tmp_path, data_root, hosts):
    """From the same weights; on two hosts each gets a whole bank of its own."""
    refresh_first = dict(type='mmattmask.AttentionRefreshHook', begin=0)
    changes = dict(train_cfg__max_epochs=2, custom_hooks=[refresh_first])
    train(toy_config(tmp_path / 'one', data_root, **changes))
    two_ranks(tmp_path / 'two', data_root, changes, hosts)
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
    two_ranks(tmp_path, data_root, dict(train_cfg__max_epochs=2))
    resumed = dict(train_cfg__max_epochs=3, resume=True)
    outputs = two_ranks(tmp_path, data_root, resumed)
    assert 'going on with' in outputs[0]
    assert 'making a new bank' not in outputs[0]

    (tmp_path / 'attention_bank' / 'epoch_1.bank').unlink()
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    outputs = two_ranks(tmp_path, data_root, resumed)
    assert 'making a new bank' in outputs[0]


def test_a_failure_on_one_rank_ends_all_of_them(tmp_path, data_root):
    """None waits for it at a barrier."""
    outputs = two_ranks(tmp_path, data_root, code=1, FAILING_RANK='1')
    assert "'NoneType' object is not callable" in outputs[1]
    assert 'the attention refresh failed on another rank' in outputs[0]
    assert not list((tmp_path / 'attention_bank').glob('*.bank'))


def masks_of_ranks(work_dir, data_root, **randomness):
    changes = dict(
        train_cfg__max_epochs=1,
        model__scorer=None,
        custom_hooks=[dict(type='TellMasksHook')],
        randomness=dict(seed=3, **randomness),
    )
    found = [
        [line for line in output.splitlines() if line.startswith('masks')]
        for output in two_ranks(work_dir, data_root, changes)
    ]
    assert len(found[0]) == len(found[1]) == 3
    return found


def test_two_processes_draw_masks_of_their_own(tmp_path, data_root):
    """As loader processes of stock hosts; MMEngine seeds all alike."""
    one, other = masks_of_ranks(tmp_path / 'own', data_root)
    assert not set(one) & set(other)
    one, other = masks_of_ranks(tmp_path / 'alike', data_root, diff_rank_seed=False)
    assert one == other  # the config says so
