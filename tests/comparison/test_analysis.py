"""The analysis: against tables, against scipy, against what is true in simulations."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mmattmask.comparison.analysis import (
    BELOW,
    LOOKS,
    differences,
    dunnett_quantile,
    fit,
    judge,
    verdict,
)


def simulated(effects, seeds, noise=0.5, rng=0):
    """Rows of policies, columns of seeds; seeds differ by 5 points."""
    rng = np.random.default_rng(rng)
    shape = len(effects), seeds
    values = np.asarray(list(effects.values()))[:, None] + noise * rng.normal(
        size=shape
    )
    return pd.DataFrame(40 + values + 5 * rng.normal(size=seeds), index=[*effects])


def equal(count):
    return np.full((count, count), 0.5) + 0.5 * np.eye(count)


@pytest.mark.parametrize(
    ('count', 'freedom', 'alpha', 'tabled'),
    [
        (1, 10, 0.05, 2.23),
        (2, 20, 0.05, 2.38),
        (3, 20, 0.05, 2.54),
        (9, 20, 0.05, 2.95),
        (3, 20, 0.01, 3.29),
    ],
)
def test_quantiles_are_dunnetts(count, freedom, alpha, tabled):
    """Dunnett, New tables for multiple comparisons with a control, 1964, two-sided."""
    found = dunnett_quantile(equal(count), freedom, alpha)
    assert found == pytest.approx(tabled, abs=0.006)


def test_fit_of_a_full_table_is_two_way_anova():
    table = simulated(dict(a=0, b=1, c=0.2), 5)
    found = fit(table)
    values = table.to_numpy()
    rest = values - values.mean(1)[:, None] - values.mean(0) + values.mean()
    variance = (rest**2).sum() / 8
    assert (found.freedom, found.policy_freedom) == (8, 2)
    assert found.variance == pytest.approx(variance)
    between = 5 * ((values.mean(1) - values.mean()) ** 2).sum() / 2
    assert found.f == pytest.approx(between / variance)
    assert found.p == pytest.approx(stats.f.sf(between / variance, 2, 8))


def test_two_policies_are_a_paired_t_test():
    table = simulated(dict(control=0, other=0.4), 7)
    found = differences(table, 'control', 0.05).loc['other']
    paired = stats.ttest_rel(table.loc['other'], table.loc['control'])
    for level, low, high in ((0.95, 'low', 'high'), (0.9, 'low90', 'high90')):
        ends = paired.confidence_interval(level)
        assert (found[low], found[high]) == pytest.approx((ends.low, ends.high))


def test_missing_cells_are_no_bias():
    """Seeds differ by points; to lack the worst one is no gain."""
    table = simulated(dict(control=0, same=0, best=2), 8, noise=0.01)
    table.loc['same', table.columns[table.loc['control'].argmin()]] = np.nan
    assert table.loc['same'].mean() - table.loc['control'].mean() > 0.5
    found = differences(table, 'control', 0.05)
    assert found.difference['same'] == pytest.approx(0, abs=0.03)
    assert found.difference['best'] == pytest.approx(2, abs=0.03)
    width = found.high - found.low
    assert width['same'] > width['best']


def test_policies_without_a_common_seed_are_not_compared():
    table = pd.DataFrame([[1.0, 2.0, np.nan], [np.nan, np.nan, 5.0]], index=['c', 'o'])
    assert differences(table, 'c', 0.05).loc['o'].isna().all()


def test_one_seed_has_differences_without_intervals():
    found = differences(simulated(dict(control=0, other=1), 1), 'control', 0.05)
    assert found.difference.notna().all()
    assert found[['low', 'high', 'low90', 'high90']].isna().to_numpy().all()


@pytest.mark.parametrize(
    ('ends', 'word'),
    [
        ((0.1, 2, 0.3, 1.8), 'better'),
        ((0.05, 0.4, 0.1, 0.3), 'better'),
        ((-2, -0.1, -1.8, -0.3), 'worse'),
        ((-0.6, 0.6, -0.49, 0.49), 'equivalent'),
        ((-0.6, 0.6, -0.51, 0.3), 'undecided'),
        ((-2, 0.1, -1.8, -0.1), 'undecided'),
        ((np.nan,) * 4, 'undecided'),
    ],
)
def test_words(ends, word):
    assert verdict(*ends) == word


def test_verdicts_of_clear_cases():
    table = simulated(
        dict(control=0, up=2, down=-2, same=0, little=0.4), 12, noise=0.35, rng=1
    )
    found = judge(table, 'control')
    assert found.verdict.to_dict() == dict(
        up='better', down='worse', same='equivalent', little='undecided'
    )
    assert set(found.look) == {12}


def test_nothing_is_judged_before_the_first_look_or_between_looks():
    table = simulated(dict(control=0, up=3), 11)
    assert judge(table.iloc[:, :5], 'control').verdict['up'] == 'undecided'
    assert judge(table.iloc[:, :5], 'control').low['up'] > 0
    at_six = judge(table.iloc[:, :6], 'control')
    assert (at_six.verdict['up'], at_six.look['up']) == ('better', 6)
    pd.testing.assert_frame_equal(judge(table, 'control'), at_six)


def test_a_policy_waits_for_the_seeds_it_lacks():
    table = simulated(dict(control=0, whole=2, late=2, new=2), 12)
    table.loc['late', table.columns[7]] = np.nan
    table.loc['new', table.columns[3:]] = np.nan
    found = judge(table, 'control')
    assert found.look.to_dict() == dict(whole=12, late=6, new=0)
    assert found.verdict.to_dict() == dict(
        whole='better', late='better', new='undecided'
    )
    assert list(found.index) == ['whole', 'late', 'new']


def test_error_rates_of_all_looks_are_five_percent():
    assert sum(LOOKS.values()) == pytest.approx(BELOW)


def test_false_verdicts_are_as_rare_as_promised():
    """1500 tables in which no policy differs: at most .015 at 12 seeds, for all 4."""
    names = ['control', *'abcd']
    wrong = 0
    for number in range(1500):
        found = judge(simulated(dict.fromkeys(names, 0), 12, rng=number), 'control')
        wrong += found.verdict.isin(['better', 'worse']).any()
    assert 8 <= wrong <= 38  # 22.5 expected, standard deviation 4.7
