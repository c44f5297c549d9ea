"""The attention bank: what goes in comes out, in any order, within known bounds."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmattmask.scorers import AttentionBank, BankHeader, BankWriter
from mmattmask.scorers.bank import HEADER_BYTES, default_keep
from tests.fake_cuda import fake_cuda

from .banks import write_bank

ROWS, GRID = 7, (3, 5)


def random_maps(rows=ROWS, grid=GRID, seed=0) -> np.ndarray:
    return np.random.default_rng(seed).random((rows, *grid), dtype=np.float32)


@given(
    maps_seed=st.integers(0, 2**31),
    rows=st.integers(2, 20),
    grid=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    storage=st.sampled_from(['float16', 'uint8']),
)
def test_round_trip_within_the_storages_step(
    tmp_path_factory, maps_seed, rows, grid, storage
):
    maps = random_maps(rows, grid, maps_seed)
    maps.flat[0], maps.flat[-1] = 0, 1  # both ends of the range
    bank = write_bank(tmp_path_factory.mktemp('bank') / 'bank', maps, storage)
    read = bank.maps(np.arange(rows))
    assert read.dtype == np.float32
    assert read.shape == maps.shape
    assert len(bank) == rows
    # float16 keeps 11 bits of a value up to 1; uint8 has steps of 1/255
    bound = 2**-12 if storage == 'float16' else 0.5 / 255 + 1e-6
    assert np.abs(read - maps).max() <= bound
    assert (read.min(), read.max()) == (0, 1)


@given(st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=30))
def test_lookup_gives_each_ids_own_row_in_any_order_and_repeated(shared_bank, ids):
    bank, maps = shared_bank
    expected = np.stack([maps[i] for i in ids]).astype(np.float16).astype(np.float32)
    for dtype in (np.int64, np.int32):
        np.testing.assert_array_equal(bank.maps(np.array(ids, dtype)), expected)


@pytest.fixture(scope='module')
def shared_bank(tmp_path_factory):
    maps = random_maps()
    return write_bank(tmp_path_factory.mktemp('shared') / 'bank', maps), maps


@pytest.mark.parametrize('ids', [[-1], [0, ROWS], [3, 10**9], [-ROWS, 2]])
def test_ids_outside_the_bank_are_refused_with_the_range(shared_bank, ids):
    message = rf'{min(ids)}\.\.{max(ids)} are outside the bank of {ROWS} samples'
    with pytest.raises(ValueError, match=message):
        shared_bank[0].maps(np.array(ids))


def test_a_lookup_is_a_copy(shared_bank):
    bank, _ = shared_bank
    first = bank.maps(np.array([0, 1]))
    before = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(bank.maps(np.array([0, 1])), before)


def test_header_comes_back_and_is_readable_text(tmp_path):
    bank = write_bank(tmp_path / 'bank', random_maps(), 'uint8')
    expected = BankHeader(ROWS, GRID, 'uint8', 'fingerprint', 'epoch 1')
    assert dataclasses.replace(bank.header, checksum=None) == expected
    assert isinstance(bank.header.checksum, int)
    first = (tmp_path / 'bank').read_bytes()[:HEADER_BYTES]
    assert first.endswith(b'\n')
    fields = json.loads(first)
    assert fields['format'] == 'mmattmask attention bank 1'
    assert fields['grid'] == [3, 5]
    assert BankHeader.read(tmp_path / 'bank') == bank.header


def test_names_that_are_not_ascii_are_kept(tmp_path):
    folder = tmp_path / 'Läufe 训练 run'
    header = BankHeader(ROWS, GRID, 'float16', 'Bilder/图像', 'époque 40')
    writer = BankWriter(folder / 'époque_40.bank', header)
    writer.write(np.arange(ROWS), random_maps())
    writer.finish()
    bank = AttentionBank(folder / 'époque_40.bank')
    assert bank.header.fingerprint == 'Bilder/图像'
    assert bank.header.source == 'époque 40'
    assert AttentionBank(str(folder / 'époque_40.bank')).header == bank.header


@pytest.mark.parametrize(('storage', 'size'), [('float16', 2), ('uint8', 1)])
def test_the_file_has_the_size_its_header_says(tmp_path, storage, size):
    bank = write_bank(tmp_path / 'bank', random_maps(), storage)
    expected = HEADER_BYTES + ROWS * 15 * size
    assert bank.path.stat().st_size == bank.header.num_bytes == expected


def test_a_deep_copy_shares_the_file(shared_bank):
    bank, _ = shared_bank
    assert copy.deepcopy({'bank': bank})['bank'] is bank


def test_a_changed_row_of_any_chunk_is_noticed(tmp_path, monkeypatch):
    """Large banks are summed in pieces."""
    monkeypatch.setattr('mmattmask.scorers.bank.CHUNK_ROWS', 2)
    path = write_bank(tmp_path / 'bank', random_maps()).path
    content = path.read_bytes()
    for place in (HEADER_BYTES, HEADER_BYTES + (len(content) - HEADER_BYTES) // 2, -1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(ValueError, match='do not match its checksum'):
            AttentionBank(path)


@pytest.mark.parametrize('storage', ['float16', 'uint8'])
@pytest.mark.parametrize('keep', ['mmap', 'ram', 'device', None])
def test_maps_are_the_same_wherever_they_are_kept(tmp_path, storage, keep):
    bank = write_bank(tmp_path / 'bank', random_maps(), storage)
    ids = np.array([5, 0, 5])
    maps = bank.look_up(ids, torch.device('cpu'), keep)
    assert np.array_equal(maps.numpy(), bank.maps(ids))
    with pytest.raises(ValueError, match=r'ids 0\.\.7 are outside the bank of 7'):
        bank.look_up(np.array([0, 7]), torch.device('cpu'), keep)


@pytest.mark.parametrize('keep', ['mmap', 'ram', 'device'])
def test_only_ids_or_maps_go_to_the_device(tmp_path, keep):
    bank = write_bank(tmp_path / 'bank', random_maps())
    with fake_cuda() as watch:
        device = torch.zeros(1, device='cuda').device
        for _ in range(2):
            watch.clear()
            maps = bank.look_up(np.array([5, 0]), device, keep)
    assert maps.device == device
    assert watch.waits == []
    assert watch.copies == 1


def test_large_banks_stay_in_their_file():
    device = torch.device('cpu')
    assert default_keep(502_000_000, device) == 'ram'
    assert default_keep(5_565_000_000, device) == 'mmap'
