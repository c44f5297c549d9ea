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


def config_of(path, epochs=3, seed=0, options=None):
    entry = read_comparison(path, options).entries['amt']
    return run_config(entry, Run('amt', 'tokens', seed), epochs)


def test_settings_are_what_a_result_depends_on(toy, tmp_path):
    cfg = config_of(toy)
    first = settings_hash(cfg, {})
    others = {
        settings_hash(config_of(toy, epochs=5), {}),
        settings_hash(config_of(toy, seed=1), {}),
        settings_hash(cfg, dict(k=5)),
        *(settings_hash(cfg, {}, teacher) for teacher in ('a', 'b')),
    }
    assert len(others - {first}) == 5
    # what was asked before does not count, nor do places
    assert settings_hash(config_of(toy), {}) == first
    cfg.train_dataloader.dataset.data_root = 'elsewhere'
    assert settings_hash(cfg, {}) == first
    hashes = []
    for name, epochs in (('a', 3), ('b', 3), ('c', 4)):
        path = tmp_path / f'{name}.py'
        path.write_text(f'train_cfg = dict(max_epochs={epochs})\n')
        hashes.append(settings_hash(cfg, dict(finetune=str(path))))
    assert hashes[0] == hashes[1] != hashes[2]


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
    options = {'runs.amt.config': str(path), 'runs.amt.options': {}}
    with pytest.raises(ValueError, match=message):
        config_of(toy, options=options)


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


def test_what_is_asked_for_must_exist_and_has_one_order(toy):
    with pytest.raises(ValueError, match=r"no run is called \['amd'\]"):
        read_comparison(toy, only=['amd'])
    comparison = read_comparison(toy, budgets=['time', 'tokens', 'time'])
    assert comparison.budgets == ('tokens', 'time')
