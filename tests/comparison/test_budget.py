"""Equal budgets: tokens counted by hand, epochs nearest to a budget."""

import pytest

from mmattmask.comparison.budget import (
    check_one_machine,
    epochs_of_equal,
    relative_pace,
    tokens_per_image,
)
from mmattmask.comparison.plan import Run, read_comparison, run_config
from tests.comparison.toy import STUDY

COMPARISON = STUDY / 'compare_cifar10.py'


def tokens_of(name, epochs, **options):
    entry = read_comparison(COMPARISON).entries[name]
    cfg = run_config(entry, Run(name, 'tokens', 0), epochs)
    cfg.merge_from_dict(options)
    return tokens_per_image(entry, cfg)


@pytest.mark.parametrize(
    ('name', 'epochs', 'tokens'),
    [
        ('random', 8, 17),  # 16 visible of 64, and CLS
        ('random_throw', 8, 11),  # 64 - 28 masked - 26 thrown = 10
        ('am', 8, 17),
        ('amt', 8, (2 * 17 + 6 * 11) / 8),  # random 75 before the refresh at 2 of 8
        ('amt', 16, (4 * 17 + 12 * 11) / 16),
        ('attmask_high', 8, 17),
        ('attmask_hint', 8, 17),  # 51 chosen, 3 of them shown
        ('gpa', 8, 17),
    ],
)
def test_tokens_per_image_are_the_means_over_the_run(name, epochs, tokens):
    assert tokens_of(name, epochs) == pytest.approx(tokens)


def test_hosts_that_cannot_be_counted_say_so():
    with pytest.raises(ValueError, match='its tokens cannot be counted: the model'):
        tokens_of('random', 8, **{'model.type': 'MAE'})


@pytest.mark.parametrize('options', [dict(by_epoch=False), dict(only_content=True)])
def test_a_warm_up_of_unknown_length_is_refused(options):
    hook = dict(type='mmattmask.AttentionRefreshHook', begin=2, **options)
    refresh = dict(custom_hooks=[hook])
    with pytest.raises(
        ValueError, match=r'on 17 tokens .*on 11 then, and nobody knows'
    ):
        tokens_of('amt', 8, **refresh)
    assert tokens_of('am', 8, **refresh) == 17  # guided or not


@pytest.mark.parametrize('guess', [1, 7, 100])
@pytest.mark.parametrize(
    ('cost', 'budget', 'epochs'),
    [(3, 30, 10), (3, 31, 10), (3, 32, 11), (100, 10, 1), (0.5, 10, 20)],
)
def test_nearest_number_of_epochs(cost, budget, epochs, guess):
    assert epochs_of_equal(lambda n: n * cost, budget, guess) == epochs


def test_costs_must_be_positive():
    with pytest.raises(ValueError, match='must be positive'):
        epochs_of_equal(lambda n: 0.0, 10, 5)


def test_pace_is_the_median_over_seeds():
    """Each beside its own machine's baseline."""
    rows = [dict(seconds=s, epochs=4) for s in (8.0, 400.0, 12.0)]
    others = [dict(seconds=s, epochs=2) for s in (2.0, 5.0, 4.0)]
    assert relative_pace(rows, others) == 2.0


def test_paces_of_two_machines_are_not_compared():
    rows = [dict(run='amt', seed=seed, machine='A') for seed in (0, 1)]
    check_one_machine(rows, [dict(row, run='random') for row in rows])
    others = [rows[0], dict(rows[1], run='random', machine='B')]
    with pytest.raises(ValueError, match=r'amt, seed 1, took.* on A, random on B'):
        check_one_machine(rows, others)
