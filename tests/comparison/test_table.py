"""Tables of rows: means, costs relative to the baseline, differences in words."""

import pandas as pd
import pytest

from mmattmask.comparison.table import (
    as_frame,
    differences,
    explanation,
    judged,
    means,
    measures_of,
    signed,
    titles_of,
)


def row(run, seed, knn, epochs=10, tokens=17.0, seconds=100.0, **more):
    return dict(
        run=run,
        policy=run.upper(),
        host='MAE',
        budget='tokens',
        seed=seed,
        epochs=epochs,
        tokens_per_image=tokens,
        seconds=seconds,
        knn_mean=knn,
        **more,
    )


ROWS = [
    row('base', 0, 40.0),
    row('base', 1, 44.0),
    row('base', 2, 48.0),
    row('amt', 0, 41.0, epochs=14, tokens=12.5, seconds=90.0),
    row('amt', 1, 45.1, epochs=14, tokens=12.5, seconds=80.0),
    row('amt', 2, 48.9, epochs=14, tokens=12.5, seconds=300.0),
]


def test_costs_are_relative_to_the_baseline():
    table = means(as_frame(ROWS), 'base')
    assert list(table.policy) == ['BASE', 'AMT']
    assert list(table.tokens) == ['1.00', f'{14 * 12.5 / 170:.2f}']
    assert list(table.time) == ['1.00', '0.90']  # the median
    slow = [dict(r, seconds=3 * r['seconds']) if r['seed'] else r for r in ROWS]
    assert list(means(as_frame(slow), 'base').time) == ['1.00', '0.90']
    assert list(means(as_frame(ROWS[3:]), 'base').time) == ['-']
    assert list(table['k-NN, mean']) == ['44.0', '45.0']
    assert list(table.seeds) == [3, 3]


def test_tokens_that_nobody_counted_are_a_dash():
    rows = [dict(row, tokens_per_image=None) for row in ROWS]
    assert list(means(as_frame(rows), 'base').tokens) == ['-', '-']


def test_primary_is_the_mean_of_knn_and_ridge_where_both_are_there():
    assert 'primary' not in as_frame(ROWS)
    frame = as_frame([dict(row, ridge=50.0) for row in ROWS])
    assert list(frame.primary[:2]) == [45.0, 47.0]
    assert measures_of(frame)[0] == 'primary'
    assert as_frame([*ROWS, dict(ROWS[0], seed=3, ridge=5)]).primary.isna()[:6].all()


def test_differences_are_by_seed_and_judged_in_words():
    """Seeds differ by 4 points, policies by 1: only seeds as blocks can tell."""
    frame = as_frame(
        [row(r['run'], s + r['seed'], r['knn_mean'] + s) for s in (0, 3) for r in ROWS]
    )
    (line,) = differences(frame, 'base', judged(frame, 'base')).to_dict('records')
    assert line.pop('k-NN, mean').startswith('+1.0 ± 0.')
    assert line == dict(policy='AMT', verdict='better', look='6')
    assert 'F(1, 5)' in explanation(frame, 'base', judged(frame, 'base'))
    later = [row('base', 6, 90.0), row('amt', 6, 10.0)]  # not judged before 12 seeds
    more = pd.concat([frame, as_frame(later)])
    found = judged(more, 'base')
    assert explanation(more, 'base', found) == explanation(frame, 'base', found)


def test_one_seed_says_that_there_is_no_interval():
    frame = as_frame([ROWS[0], ROWS[3]])
    (line,) = differences(frame, 'base', judged(frame, 'base')).to_dict('records')
    assert line.pop('k-NN, mean') == '+1.0'
    assert line == dict(policy='AMT', verdict='undecided', look='0')
    assert 'there is no interval' in explanation(frame, 'base', judged(frame, 'base'))


def test_a_measure_that_some_rows_lack_is_compared_where_it_is():
    rows = [dict(r) for r in ROWS]
    for r in rows[:2] + rows[3:5]:
        r['finetune'] = r['knn_mean'] + 10
    frame = as_frame([*rows, row('gpa', 0, 50.0)])
    table = differences(frame, 'base', judged(frame, 'base'))
    assert table['fine-tuned'][0].startswith('+1.1 ± ')  # of 1.0 and 1.1
    assert table['fine-tuned'][1] == '-'
    assert list(means(frame, 'base')['fine-tuned']) == ['52.0', '53.0', '-']


def test_further_numbers_are_columns_and_a_score_without_content_is_named():
    gain = dict(base=0.2, amt=0.01)
    frame = as_frame(ROWS).assign(position_share=0.7)
    frame['auc_minus_shuffled'] = frame.run.map(gain)
    assert titles_of(frame) == {'base': 'BASE', 'amt': 'AMT (position-biased)'}
    table = means(frame, 'base')
    assert list(table['position share']) == ['0.70', '0.70']
    assert list(table['auc minus shuffled']) == ['0.20', '0.01']
    assert 'AMT (position-biased)' in set(table.policy)
    assert titles_of(as_frame(ROWS))['amt'] == 'AMT'


@pytest.mark.parametrize(
    ('value', 'half', 'text'),
    [
        (-0.04, 0.26, '+0.0 ± 0.3'),
        (0.25 + 1e-12, float('nan'), '+0.2'),  # as of 0.25
        (0.25 - 1e-12, float('nan'), '+0.2'),
        (-0.06, float('nan'), '-0.1'),
        (float('nan'), float('nan'), '-'),
    ],
)
def test_signed(value, half, text):
    assert signed(value, half) == text
