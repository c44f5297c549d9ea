"""What is made from other files is up to date: notebooks, tables, pictures."""

import csv
import importlib.util
import itertools
import json
import os
import re
import runpy
import sys

import numpy as np
import pandas
import pytest
from mmengine.config import Config
from PIL import Image
from scipy import stats

from mmattmask import mask_generators
from tests.config_building import ROOT
from tests.docs.pages import PAGES

pytestmark = pytest.mark.onedl  # the environment with the tools of documentation

EXAMPLES = sorted(path.name for path in (ROOT / 'examples').glob('*.py'))
IMAGES = ROOT / 'docs' / 'images'
LARGEST = 300 * 1024


def script(name):
    """Import a script of docs/."""
    spec = importlib.util.spec_from_file_location(name, ROOT / 'docs' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_notebooks_are_up_to_date(tmp_path):
    made = script('make_notebooks').main(tmp_path)
    assert [path.stem for path in made] == [name[:-3] for name in EXAMPLES]
    folder = ROOT / 'docs' / 'notebooks'
    assert sorted(path.name for path in folder.iterdir()) == [p.name for p in made]
    for path in made:
        committed = (folder / path.name).read_text()
        assert committed == path.read_text(), f'{path.name}: run make notebooks'


@pytest.mark.parametrize('name', EXAMPLES)
def test_notebook_is_the_script_without_outputs(name):
    book = json.loads((ROOT / 'docs' / 'notebooks' / f'{name[:-3]}.ipynb').read_text())
    code = [cell for cell in book['cells'] if cell['cell_type'] == 'code']
    source = (ROOT / 'examples' / name).read_text()
    assert len(code) >= 3
    for cell in code:
        assert cell['outputs'] == []
        assert cell['execution_count'] is None
        assert ''.join(cell['source']) in source


@pytest.mark.parametrize('name', EXAMPLES)
def test_example_runs(name, tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use('agg')
    from matplotlib import pyplot

    drawn = []
    monkeypatch.setattr(pyplot, 'show', lambda: drawn.append(pyplot.gcf()))
    monkeypatch.setitem(sys.modules, 'ipywidgets', None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
    runpy.run_path(str(ROOT / 'examples' / name))
    pyplot.close('all')
    assert drawn
    assert all(figure.axes for figure in drawn)


def test_mask_to_explore_stands_all_sliders(tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use('agg')
    monkeypatch.setitem(sys.modules, 'ipywidgets', None)
    names = runpy.run_path(str(ROOT / 'examples' / 'explore_a_mask.py'))
    for policy in names['POLICIES']:
        for mask_ratio, throw_ratio in itertools.product((0.05, 0.9), (0.0, 0.9)):
            picture, counts = names['draw'](policy, mask_ratio, throw_ratio, 1.0)
            visible, masked, thrown = map(int, counts.split('|'))
            assert visible + masked + thrown == 196
            assert min(visible, masked) > 0
            assert picture.shape == names['image'].shape


def test_config_table_is_up_to_date():
    page = (ROOT / 'docs' / 'configs.md').read_text()
    made = script('make_config_table').table()
    assert page == made, 'run python docs/make_config_table.py'


def test_policy_table_is_up_to_date():
    page = (ROOT / 'docs' / 'policies.md').read_text()
    made = script('make_policy_table').table()
    assert page == made, 'run python docs/make_policy_table.py'


def test_policy_table_leaves_no_policy_out_and_names_what_exists():
    rows = [
        row for part in script('make_policy_table').SECTIONS.values() for row in part
    ]
    used, scorers = set(), set()
    for row in rows:
        model = Config.fromfile(str(ROOT / 'configs' / row.config)).model
        used.add((model.get('mask_generator') or {}).get('type', '').split('.')[-1])
        scorers.add((model.get('scorer') or {}).get('type', '').split('.')[-1])
        for case in row.golden:
            assert (ROOT / 'tests' / 'data' / 'golden' / f'{case}.npz').is_file(), case
    policies = {name for name in mask_generators.__all__ if name.endswith('Generator')}
    assert policies - used <= {'BaseMaskGenerator'}
    assert {'CenterPrior', 'PatchContrast', 'ShuffledMaps', 'LearnedSampler'} <= scorers


def test_tables_of_the_study_are_those_of_its_rows():
    page = (ROOT / 'docs' / 'study.md').read_text()
    assert page == script('make_study').renewed(page), 'run python docs/make_study.py'


@pytest.mark.parametrize(
    ('budget', 'row'), [('tokens', 'equal tokens'), ('time', 'equal time')]
)
def test_pooled_analysis_of_the_study_is_that_of_its_rows(budget, row):
    """Policy and seed, one residual: F, p and half of Dunnett's interval."""
    rows = pandas.read_csv(ROOT / 'docs' / 'study' / 'runs.csv')
    chosen = rows[(rows.budget == budget) | (rows.run == 'random')]
    chosen = chosen.drop_duplicates(['run', 'seed'])
    table = chosen.pivot(index='run', columns='seed', values='knn_mean')
    values, mean = table.to_numpy(), table.to_numpy().mean()
    policies, seeds = values.shape
    effects = values.mean(1), values.mean(0)
    rest = values - effects[0][:, None] - effects[1] + mean
    freedom = (policies - 1) * (seeds - 1)
    variance = (rest**2).sum() / freedom
    found = seeds * ((effects[0] - mean) ** 2).sum() / (policies - 1) / variance
    p = stats.f.sf(found, policies - 1, freedom)
    # Dunnett's quantile for 7 comparisons with one control, by simulation
    draw = np.random.default_rng(0).standard_normal
    shared = (draw((100_000, policies - 1)) + draw((100_000, 1))) / 2**0.5
    scale = np.sqrt(np.random.default_rng(1).chisquare(freedom, 100_000) / freedom)
    half = np.quantile(np.abs(shared).max(1) / scale, 0.95)
    half *= (2 * variance / seeds) ** 0.5
    page = (ROOT / 'docs' / 'study.md').read_text()
    expected = f'| {row} | {found:.2f} | {f"{p:.3f}"[1:]} | ± {half:.1f}'
    assert expected in page


def test_rows_of_the_study_are_the_same_in_both_files():
    folder = ROOT / 'docs' / 'study'
    rows = json.loads((folder / 'runs.json').read_text())
    with (folder / 'runs.csv').open(newline='') as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(rows)
    for line, row in zip(lines, rows, strict=True):
        told = {name: value for name, value in line.items() if value}
        assert told == {k: str(v) for k, v in row.items() if v is not None}


def test_pictures_are_small_and_shown():
    pages = '\n'.join((ROOT / name).read_text() for name in PAGES)
    for path in IMAGES.iterdir():
        assert path.stat().st_size < LARGEST, path
        assert re.search(rf'!\[[^\]]+\]\([\w./]*images/{path.name}\)', pages), path


def test_pictures_are_up_to_date(tmp_path):
    names = {'crop', 'policies'}
    if os.environ.get('MMATTMASK_WEIGHTS'):
        names |= {'attention', 'masks'}
    script('make_pictures').main(['--out', str(tmp_path)])
    made = sorted(tmp_path.iterdir())
    assert {path.stem for path in made} == names
    for path in made:
        new, committed = (
            np.asarray(Image.open(each).convert('RGB'), dtype=np.float64)
            for each in (path, IMAGES / path.name)
        )
        assert new.shape == committed.shape
        assert np.abs(new - committed).mean() < 1, path.name
