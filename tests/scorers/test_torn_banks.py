"""Files that are torn or no banks at all are refused, with what is wrong."""

import os

import numpy as np
import pytest

from mmattmask.scorers import AttentionBank, BankError, BankHeader, BankWriter
from mmattmask.scorers.bank import HEADER_BYTES

from .banks import write_bank

MAPS = np.full((6, 2, 3), 0.5, np.float32)


@pytest.fixture
def whole_file(tmp_path):
    path = tmp_path / 'epoch_1.bank'
    write_bank(path, MAPS)
    return path


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'epoch_9\.bank'):
        AttentionBank(tmp_path / 'epoch_9.bank')


@pytest.mark.parametrize('size', [HEADER_BYTES, HEADER_BYTES + 40, -1])
def test_a_truncated_file_is_torn_with_both_sizes(whole_file, size):
    whole = whole_file.stat().st_size
    size = size if size > 0 else whole - 1
    os.truncate(whole_file, size)
    with pytest.raises(BankError, match=rf'torn: {size} of {whole} bytes'):
        AttentionBank(whole_file)


def test_a_file_that_is_too_long_is_torn(whole_file):
    with whole_file.open('ab') as file:
        file.write(b'\0')
    with pytest.raises(BankError, match='torn'):
        AttentionBank(whole_file, verify=False)


def test_an_incomplete_bank_under_the_final_name_is_torn(tmp_path):
    path = tmp_path / 'bank'
    BankWriter(path, BankHeader(6, (2, 3), 'float16', 'fingerprint', 'x'))
    path.with_name('bank.tmp').rename(path)
    with pytest.raises(BankError, match=r'torn.*checksum None'):
        AttentionBank(path)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'not json',
        b'{}',
        b'[1, 2]',
        b'null',
        b'{"format": "another bank"}',
        b'{"format": "mmattmask attention bank 1"}',
        b'{"format": "mmattmask attention bank 1", "grid": 3}',
        b'\x89PNG\r\n\x1a\n' + bytes(range(256)),
        os.urandom(5000),
    ],
)
def test_files_that_are_no_banks_are_refused_by_name(tmp_path, content):
    path = tmp_path / 'photo.png'
    path.write_bytes(content)
    with pytest.raises(BankError, match=r'photo\.png is not an attention bank'):
        AttentionBank(path)
