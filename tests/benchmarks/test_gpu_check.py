"""The check for one GPU, rehearsed on the CPU: it works the first time on a GPU."""

import json
import os
import subprocess
import sys

import pytest

from tests.config_building import ROOT

SCRIPT = ROOT / 'benchmarks' / 'gpu_check.py'


def check(out, *options):
    command = [sys.executable, SCRIPT, '--device', 'cpu', '--tiny', '--out', out]
    return subprocess.run(
        [*command, *options],
        cwd=out,
        env=os.environ | {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_all_sections_end_in_tables_and_go_on_where_they_stopped(tmp_path):
    nothing = check(tmp_path, '--minutes', '0')
    assert 'rows are left' in nothing.stdout
    first = check(tmp_path, '--minutes', '30')
    assert first.returncode == 0, first.stdout[-3000:] + first.stderr[-3000:]
    rows = {
        section: json.loads((tmp_path / f'{section}.json').read_text())
        for section in ('correctness', 'steps', 'loader', 'study')
    }
    assert all(row['kept'] for row in rows['correctness'].values())
    assert not any('error' in row for part in rows.values() for row in part.values())
    assert any(key.endswith('compiled') for key in rows['steps'])
    summary = (tmp_path / 'summary.md').read_text()
    assert '| AMT 45/40 (amt, batch 2, eager) |' in summary
    assert '| guided, random 75 (amt, batch 2, compiled) |' in summary
    # a row that failed is made again, the others are not
    (lost, kept) = rows['study'].popitem()[0], dict(rows['study'])
    file = tmp_path / 'study.json'
    file.write_text(json.dumps(kept | {lost: {'error': 'out of memory'}}))
    again = check(tmp_path, '--sections', 'study')
    assert again.stdout.count('study: ') == 1
    assert again.returncode == 0
    after = json.loads(file.read_text())
    assert after[lost]['images_per_s'] > 0
    assert {key: after[key] for key in kept} == kept


def test_without_a_gpu_it_says_so(tmp_path):
    command = [sys.executable, SCRIPT, '--out', tmp_path]
    env = os.environ | {'PYTHONPATH': str(ROOT), 'CUDA_VISIBLE_DEVICES': ''}
    result = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert 'no GPU here' in result.stderr
