"""Writing a bank: all or nothing, by one process or several."""

import errno
import multiprocessing
import os
import time

import numpy as np
import pytest

from mmattmask.scorers import AttentionBank, BankError, BankHeader, BankWriter

from .banks import write_bank

ROWS, GRID = 6, (2, 3)


def header_of(storage='float16', source='epoch 1') -> BankHeader:
    return BankHeader(ROWS, GRID, storage, 'fingerprint', source)


def maps_of(value, rows=ROWS) -> np.ndarray:
    return np.full((rows, *GRID), value, np.float32)


def write_whole(path, value, storage='float16') -> None:
    write_bank(path, maps_of(value), storage)


def test_the_final_name_appears_only_when_finished(tmp_path):
    path = tmp_path / 'new' / 'epoch_1.bank'
    writer = BankWriter(path, header_of())
    writer.write(np.arange(ROWS), maps_of(0.5))
    assert not path.exists()
    writer.finish()
    assert path.exists()
    assert [file.name for file in path.parent.iterdir()] == ['epoch_1.bank']


def test_the_old_bank_stays_readable_while_a_new_one_replaces_it(tmp_path):
    path = tmp_path / 'bank'
    write_whole(path, 0.25)
    old = AttentionBank(path)
    writer = BankWriter(path, header_of(source='epoch 2'))
    writer.write(np.arange(ROWS), maps_of(0.75))
    assert AttentionBank(path).maps(np.arange(ROWS)).max() == 0.25
    writer.finish()
    assert old.maps(np.arange(ROWS)).max() == 0.25
    assert AttentionBank(path).maps(np.arange(ROWS)).min() == 0.75
    assert AttentionBank(path).header.source == 'epoch 2'


# The writers here need nothing but numpy, so a fork of this process will do.
PROCESSES = multiprocessing.get_context('fork')


def write_half_and_wait(path, written) -> None:
    writer = BankWriter(path, header_of())
    writer.write(np.arange(3), maps_of(0.75, 3))
    writer.rows.flush()
    written.set()
    time.sleep(600)


def test_a_writer_killed_halfway_leaves_the_old_bank(tmp_path):
    path = tmp_path / 'bank'
    write_whole(path, 0.25)
    written = PROCESSES.Event()
    process = PROCESSES.Process(target=write_half_and_wait, args=(path, written))
    process.start()
    assert written.wait(60)
    process.kill()
    process.join()
    assert AttentionBank(path).maps(np.arange(ROWS)).max() == 0.25
    left = path.with_name('bank.tmp')
    with pytest.raises(BankError, match='torn'):
        AttentionBank(left)
    # the next refresh is not disturbed by what is left
    write_whole(path, 0.5)
    assert (AttentionBank(path).maps(np.arange(ROWS)) == 0.5).all()
    assert not left.exists()


def test_a_leftover_of_another_size_does_not_shine_through(tmp_path):
    (tmp_path / 'bank.tmp').write_bytes(b'\xff' * 100_000)
    BankWriter(tmp_path / 'bank', header_of()).finish()
    bank = AttentionBank(tmp_path / 'bank')
    assert (bank.maps(np.arange(ROWS)) == 0).all()
    assert bank.path.stat().st_size == bank.header.num_bytes


@pytest.mark.parametrize('storage', ['float16', 'uint8'])
def test_rows_of_the_previous_bank_are_kept_where_nothing_is_written(tmp_path, storage):
    write_whole(tmp_path / 'old', 1.0, storage)
    previous = AttentionBank(tmp_path / 'old')
    header = header_of(storage, 'epoch 2')
    writer = BankWriter(tmp_path / 'new', header, previous=previous)
    writer.write(np.array([2]), maps_of(0.0, 1))
    writer.finish()
    bank = AttentionBank(tmp_path / 'new')
    assert bank.maps(np.arange(ROWS))[:, 0, 0].tolist() == [1, 1, 0, 1, 1, 1]
    assert bank.header.source == 'epoch 2'
    assert (previous.maps(np.arange(ROWS)) == 1).all()
    AttentionBank(tmp_path / 'old')  # its checksum still holds


def test_an_unfinished_bank_from_a_previous_one_is_not_complete(tmp_path):
    """The copied header of the old bank must not vouch for the new one."""
    write_whole(tmp_path / 'old', 1.0)
    BankWriter(tmp_path / 'new', header_of(), previous=AttentionBank(tmp_path / 'old'))
    with pytest.raises(BankError, match='torn'):
        AttentionBank(tmp_path / 'new.tmp')


def test_writers_of_other_runs_have_files_of_their_own(tmp_path):
    first = BankWriter(tmp_path / 'bank', header_of(), tag='.a')
    second = BankWriter(tmp_path / 'bank', header_of(), tag='.b')
    second.write(np.arange(ROWS), maps_of(0.75))
    first.write(np.arange(ROWS), maps_of(0.25))
    second.finish()
    assert (AttentionBank(tmp_path / 'bank').maps(np.arange(ROWS)) == 0.75).all()
    first.finish()
    assert (AttentionBank(tmp_path / 'bank').maps(np.arange(ROWS)) == 0.25).all()


def test_space_is_taken_at_once(tmp_path):
    header = BankHeader(1000, (14, 14), 'float16', 'fingerprint', 'epoch 1')
    BankWriter(tmp_path / 'bank', header)
    taken = (tmp_path / 'bank.tmp').stat().st_blocks * 512
    assert taken >= header.num_bytes


@pytest.mark.parametrize('where', ['before', 'while'])
def test_a_full_disk_is_an_error_with_numbers(tmp_path, where, monkeypatch):
    path = tmp_path / 'bank'
    write_whole(path, 0.25)
    header = header_of()
    if where == 'before':
        header = BankHeader(10**14, GRID, 'float16', 'fingerprint', 'epoch 1')
    else:

        def full(*args):
            raise OSError(errno.ENOSPC, 'full')

        monkeypatch.setattr(os, 'posix_fallocate', full)
    with pytest.raises(OSError, match=rf'of {header.num_bytes} bytes, \d+ are free'):
        BankWriter(path, header)
    assert [file.name for file in tmp_path.iterdir()] == ['bank']
    assert (AttentionBank(path).maps(np.arange(ROWS)) == 0.25).all()


def write_odd_rows(path) -> None:
    writer = BankWriter(path, header_of(), create=False)
    writer.write(np.array([1, 3, 5]), maps_of(0.5, 3))


def test_two_processes_write_one_bank(tmp_path):
    writer = BankWriter(tmp_path / 'bank', header_of())
    process = PROCESSES.Process(target=write_odd_rows, args=(tmp_path / 'bank',))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    writer.write(np.array([0, 2, 4]), maps_of(0.25, 3))
    writer.finish()
    maps = AttentionBank(tmp_path / 'bank').maps(np.arange(ROWS))
    assert maps[:, 0, 0].tolist() == [0.25, 0.5, 0.25, 0.5, 0.25, 0.5]


def test_a_second_writer_needs_the_file_of_the_first(tmp_path):
    with pytest.raises(FileNotFoundError):
        BankWriter(tmp_path / 'bank', header_of(), create=False)


@pytest.mark.parametrize(
    ('storage', 'value', 'limit'),
    [
        ('float16', np.nan, '65504'),
        ('float16', -1e-3, '65504'),
        ('float16', np.inf, '65504'),
        ('float16', 1e5, '65504'),
        ('uint8', 1.01, '1'),
        ('uint8', -0.01, '1'),
        ('uint8', np.nan, '1'),
    ],
)
def test_values_that_cannot_be_stored_are_refused_and_named(
    tmp_path, storage, value, limit
):
    path = tmp_path / 'bank'
    write_whole(path, 1.0, storage)
    writer = BankWriter(path, header_of(storage))
    maps = maps_of(0.5, 3)
    maps[1, 0, 2] = maps[2, 1, 1] = value
    message = rf'2 samples is not in \[0, {limit}\] \(first sample id 5\)'
    with pytest.raises(ValueError, match=message):
        writer.write(np.array([3, 5, 0]), maps)
    assert (writer.rows[:] == 0).all()
    assert (AttentionBank(path).maps(np.arange(ROWS)) == 1).all()


def test_finishing_does_not_change_the_time_order_of_banks(tmp_path):
    """Pruning goes by age: a bank must be as old as its completion."""
    write_whole(tmp_path / 'first', 0.5)
    slow = BankWriter(tmp_path / 'second', header_of())
    time.sleep(0.02)
    write_whole(tmp_path / 'third', 0.5)
    time.sleep(0.02)
    slow.finish()
    ages = [(tmp_path / n).stat().st_mtime for n in ('first', 'third', 'second')]
    assert ages == sorted(ages)
