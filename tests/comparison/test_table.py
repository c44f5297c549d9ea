"""Means, intervals and paired differences, against numbers computed by hand."""

import csv
import io
import math

import pytest
from scipy import stats

from mmattmask.comparison.table import (
    Estimate,
    as_csv,
    cells,
    columns,
    markdown,
    summaries,
)


def row(run, seed, knn, epochs=10, tokens=17.0, seconds=100.0, budget='tokens'):
    return dict(
        run=run,
        policy=run.upper(),
        host='MAE',
        budget=budget,
        seed=seed,
        epochs=epochs,
        tokens_per_image=tokens,
        seconds=seconds,
        knn_mean=knn,
    )


ROWS = [
    row('base', 0, 40.0),
    row('base', 1, 44.0),
    row('base', 2, 48.0),
    row('amt', 0, 41.0, epochs=14, tokens=12.5, seconds=90.0),
    row('amt', 1, 45.1, epochs=14, tokens=12.5, seconds=80.0),
    row('amt', 2, 48.9, epochs=14, tokens=12.5, seconds=300.0),
]


def test_interval_is_students():
    values = [40.0, 44.0, 48.0]
    low, high = stats.t.interval(0.95, 2, loc=44.0, scale=stats.sem(values))
    found = Estimate.of(values)
    assert found.mean == 44.0
    assert found.half == pytest.approx((high - low) / 2, rel=1e-3)
    assert str(found) == f'44.0 ± {found.half:.1f}'


def test_one_seed_has_no_interval():
    found = Estimate.of([40.0])
    assert math.isnan(found.half)
    assert str(found) == '40.0'
    assert not found.is_clear


def test_a_difference_that_rounds_to_zero_has_no_minus():
    assert Estimate.of([-0.04]).signed == '+0.0'
    assert Estimate.of([-0.06]).signed == '-0.1'


def test_differences_are_paired_by_seed():
    """Seeds differ by 4 points, policies by 1: only pairs can tell."""
    amt = summaries(ROWS, 'base')['tokens'][1]
    found = amt.difference('knn_mean')
    assert found.mean == pytest.approx((1.0 + 1.1 + 0.9) / 3)
    assert found.is_clear
    assert not Estimate.of([1.0, -1.0, 1.0]).is_clear


def test_a_seed_without_a_pair_is_left_out():
    amt = summaries(ROWS[1:], 'base')['tokens'][1]
    assert amt.difference('knn_mean').seeds == 2
    assert amt.estimate('knn_mean').seeds == 3


def test_costs_are_relative_to_the_baseline():
    base, amt = summaries(ROWS, 'base')['tokens']
    assert base.relative_tokens == base.relative_seconds == 1
    assert amt.relative_tokens == pytest.approx(14 * 12.5 / 170)
    assert amt.relative_seconds == pytest.approx(0.9)  # of medians


def test_tokens_that_nobody_counted_are_a_dash():
    rows = [dict(row, tokens_per_image=None) for row in ROWS]
    _, amt = summaries(rows, 'base')['tokens']
    assert amt.relative_tokens is None
    assert cells(amt, ['knn_mean'], False)[4] == '-'


def test_budgets_are_apart():
    rows = [*ROWS, *(dict(r, budget='time') for r in ROWS[:4])]
    found = summaries(rows, 'base')
    assert [len(group) for group in found.values()] == [2, 2]
    assert len(found['time'][1].rows) == 1


def test_cells_and_markdown():
    base, amt = summaries(ROWS, 'base')['tokens']
    head = columns(['knn_mean'])
    lines = [cells(s, ['knn_mean', 'linear_cls'][:1], True) for s in (base, amt)]
    assert lines[0][:6] == ['BASE', 'MAE', '3', '10', '1.00', '1.00']
    assert lines[0][6].startswith('44.0 ± 9.9')
    assert lines[1][6] == '+1.0 ± 0.2 *'
    text = markdown(head, lines).splitlines()
    assert len(text) == 4
    assert {line.count('|') for line in text} == {len(head) + 1}


def test_missing_measures_are_dashes():
    _, amt = summaries(ROWS, 'base')['tokens']
    assert cells(amt, ['finetune'], False)[-1] == '-'
    assert cells(amt, ['finetune'], True)[-1] == '-'


def test_csv_has_every_value():
    lines = list(csv.DictReader(io.StringIO(as_csv([*ROWS, dict(ROWS[0], extra=1)]))))
    assert [float(line['knn_mean']) for line in lines[:3]] == [40.0, 44.0, 48.0]
    assert lines[0]['extra'] == ''
    assert lines[-1]['extra'] == '1'
