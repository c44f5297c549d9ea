"""Reading a comparison: what it refuses; a run's config is always the same."""

import pytest

from mmattmask.comparison.plan import Run, read_comparison, run_config, settings_hash
from tests.comparison.toy import STUDY, write_comparison


@pytest.fixture
def toy(tmp_path):
    return write_comparison(tmp_path)


def test_orders_runs_by_budget_then_seed(toy):
    runs = read_comparison(toy).runs()
    assert [str(run) for run in runs[:4]] == [
        'random-tokens-seed0',
        'amt-tokens-seed0',
        'random-tokens-seed1',
        'amt-tokens-seed1',
    ]
    assert len(runs) == 8


def test_a_runs_config_does_not_depend_on_what_was_asked_before(toy):
    comparison = read_comparison(toy)
    entry, run = comparison.entries['amt'], Run('amt', 'tokens', 0)
    first = settings_hash(run_config(entry, run, 9), {})
    for epochs in (3, 5, 30):
        run_config(entry, run, epochs)
    assert settings_hash(run_config(entry, run, 9), {}) == first


def test_place_of_data_is_no_setting_but_the_seed_is(toy):
    entry = read_comparison(toy).entries['amt']
    cfg = run_config(entry, Run('amt', 'tokens', 0), 3)
    before = settings_hash(cfg, {})
    cfg.train_dataloader.dataset.data_root = 'elsewhere'
    assert settings_hash(cfg, {}) == before
    other = run_config(entry, Run('amt', 'tokens', 1), 3)
    assert settings_hash(other, {}) != before


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ("baseline = 'none'", "baseline 'none' is none of"),
        ("control = 'none'", "control 'none' is none of"),
        ('epochs = 0', 'epochs must be at least 1, got 0'),
        ("budgets = ('hours',)", r"got \['hours'\]"),
        ('seeds = (0, 1, 0)', r'different numbers: \(0, 1, 0\)'),
        ('seeds = ()', r'one or more different numbers: \(\)'),
        ("runs['random']['budgets'] = ('tokens',)", r"random must .* \['time'\], too"),
        (
            "runs['pupil'] = dict(runs['amt'], teacher='amt')\n"
            "runs['amt']['budgets'] = ('time',)",
            'it is the teacher of pupil',
        ),
        ("budgets = ('time',)", "'time' is measured on the runs of"),
        ("runs['amt']['teacher'] = 'amt'", 'must be an entry without a teacher'),
        ("runs['amt']['colour'] = 'red'", "may have .* got .*'colour'"),
        ("runs['amt'].pop('config')", 'run amt needs a config'),
        ('del seeds', 'has no seeds: it is no comparison'),
    ],
)
def test_contradictions_are_refused(toy, change, message):
    toy.write_text(f'{toy.read_text()}\n{change}\n')
    with pytest.raises(ValueError, match=message):
        read_comparison(toy)


def test_the_control_is_the_baseline_unless_said(toy):
    assert read_comparison(toy).control == 'random'
    assert read_comparison(toy, dict(control='amt')).control == 'amt'
    # which stays, as baseline and teachers do
    path, options = STUDY / 'compare_cifar10.py', {'runs.gpa.teacher': 'amt'}
    kept = read_comparison(path, dict(options, control='am'), ['gpa'])
    assert list(kept.entries) == ['random', 'am', 'amt', 'gpa']


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('model = dict(', 'run amt, .*broken.py: SyntaxError: .*never closed'),
        ("_base_ = 'gone.py'", 'run amt, .*broken.py: FileNotFoundError'),
        ('model = dict()', 'run amt, .*broken.py: a config of None epochs'),
    ],
)
def test_a_broken_config_names_its_run(toy, text, message):
    path = toy.with_name('broken.py')
    path.write_text(text)
    comparison = read_comparison(
        toy, {'runs.amt.config': str(path), 'runs.amt.options': {}}
    )
    with pytest.raises(ValueError, match=message):
        run_config(comparison.entries['amt'], Run('amt', 'tokens', 0), 3)


@pytest.mark.parametrize(
    ('change', 'what'),
    [
        ({'runs.amt.config': 'gone.py'}, 'run amt'),
        ({'evaluation.finetune': 'gone.py'}, 'evaluation'),
    ],
)
def test_missing_configs_are_named(toy, change, what):
    with pytest.raises(FileNotFoundError, match=rf'{what}: there is no config .*gone'):
        read_comparison(toy, change)


def test_unknown_run_is_named(toy):
    with pytest.raises(ValueError, match=r"no run is called \['amd'\]"):
        read_comparison(toy, only=['amd'])


def test_budgets_have_one_order_and_no_doubles(toy):
    comparison = read_comparison(toy, budgets=['time', 'tokens', 'time'])
    assert comparison.budgets == ('tokens', 'time')


def test_content_of_finetuning_counts_not_its_place(toy, tmp_path):
    hashes = []
    cfg = run_config(read_comparison(toy).entries['amt'], Run('amt', 'tokens', 0), 3)
    for name, epochs in (('a', 3), ('b', 3), ('c', 4)):
        path = tmp_path / f'{name}.py'
        path.write_text(f'train_cfg = dict(max_epochs={epochs})\n')
        hashes.append(settings_hash(cfg, dict(finetune=str(path))))
    assert hashes[0] == hashes[1] != hashes[2]


def test_another_teacher_is_another_run(toy):
    cfg = run_config(read_comparison(toy).entries['amt'], Run('amt', 'tokens', 0), 3)
    hashes = {settings_hash(cfg, {}, teacher) for teacher in (None, 'a', 'b')}
    assert len(hashes) == 3
