"""The check for one GPU, rehearsed on the CPU: it works the first time on a GPU."""

import json

import pytest

from tests.config_building import ROOT
from tests.processes import Child
from tests.train_tool import run_script

SCRIPT = ROOT / 'benchmarks' / 'gpu_check.py'


def check(out, *options):
    """Run the script; return what it printed."""
    argv = [str(SCRIPT), '--device', 'cpu', '--tiny', '--out', str(out), *options]
    return Child(out / 'log.txt', run_script, argv, cwd=out).finish(timeout=600)


@pytest.mark.slow
def test_all_sections_end_in_tables_and_go_on_where_they_stopped(tmp_path):
    nothing = check(tmp_path, '--minutes', '0')
    assert 'rows are left' in nothing
    check(tmp_path, '--minutes', '30')
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
    assert again.count('study: ') == 1
    after = json.loads(file.read_text())
    assert after[lost]['images_per_s'] > 0
    assert {key: after[key] for key in kept} == kept


def test_without_a_gpu_it_says_so(tmp_path):
    argv = [str(SCRIPT), '--out', str(tmp_path)]
    said = Child(tmp_path / 'log.txt', run_script, argv).finish(code=2)
    assert 'no GPU here' in said
