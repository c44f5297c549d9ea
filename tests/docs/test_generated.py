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
import pytest
from mmengine.config import Config
from PIL import Image

from mmattmask import mask_generators
from mmattmask.comparison.analysis import fit, judge
from mmattmask.comparison.table import by_seed
from tests.config_building import ROOT
from tests.docs.pages import PAGES

pytestmark = pytest.mark.onedl  # the environment with the tools of documentation

EXAMPLES = sorted(path.name for path in (ROOT / 'examples').glob('*.py'))
EXAMPLES.remove('demo.py')  # tests/integration/test_demo.py
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


@pytest.mark.parametrize('name', ['study.md', 'recipe.md'])
def test_tables_of_the_study_are_those_of_its_rows(name):
    page = (ROOT / 'docs' / name).read_text()
    assert '<!-- ' in page
    assert page == script('make_study').renewed(page), 'run python docs/make_study.py'


def test_charts_of_the_study_are_those_of_its_rows(tmp_path):
    drawn = script('make_study').charts(tmp_path)
    names = [str(path.relative_to(tmp_path)) for path in drawn]
    assert names[:2] == ['differences_tokens.svg', 'differences_time.svg']
    for path, name in zip(drawn, names, strict=True):
        committed = shape_and_numbers(ROOT / 'docs' / 'study' / name)
        shape, numbers = shape_and_numbers(path)
        assert committed[0] == shape, 'run python docs/make_study.py'
        np.testing.assert_allclose(committed[1], numbers, rtol=0, atol=0.01)


def shape_and_numbers(svg):
    """Split a chart: processors differ in its sixth decimal."""
    number = r'(?<![\w#.])-?\d+(?:\.\d+)?'
    text = svg.read_text()
    return re.sub(number, '', text), [float(n) for n in re.findall(number, text)]


@pytest.mark.parametrize(
    ('budget', 'row'), [('tokens', 'equal tokens'), ('time', 'equal time')]
)
def test_pooled_analysis_of_the_study_is_that_of_its_rows(budget, row):
    """What the text says: F, p and half of Dunnett's interval."""
    rows = script('make_study').committed()
    table = by_seed(rows[rows.budget == budget], 'knn_mean')
    found = judge(table, 'random')
    (half,) = set((found.high - found.difference).round(6))
    model = fit(table)
    page = (ROOT / 'docs' / 'study.md').read_text()
    expected = f'| {row} | {model.f:.2f} | {f"{model.p:.3f}"[1:]} | ± {half:.1f}'
    assert expected in page
    assert set(found.verdict) == {'undecided'}


@pytest.mark.parametrize(
    'name', ['runs', 'objects', 'cifar10', 'recipe', 'ibot', 'long']
)
def test_rows_of_the_study_are_the_same_in_both_files(name):
    folder = ROOT / 'docs' / 'study'
    rows = json.loads((folder / f'{name}.json').read_text())
    with (folder / f'{name}.csv').open(newline='') as file:
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
        names |= {'attention', 'masks', 'place', 'scores'}
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
