"""Every block of code in the documentation does what it says."""

import ast
import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, DefaultScope

from mmattmask.__main__ import main
from tests.config_building import ROOT, SHIPPED
from tests.docs.commands import CommandError, check_block, split
from tests.docs.pages import (
    PAGES,
    evaluate,
    file_name_of,
    make_workspace,
    mark_of,
    parse,
)
from tests.processes import Child

pytestmark = pytest.mark.onedl  # the environment with the tools of documentation


@pytest.fixture(scope='module', autouse=True)
def children():
    """Copies of a process whose modules are ours, not those of a workspace."""
    forkserver.ensure_running()


@pytest.fixture
def workspace(tmp_path, monkeypatch) -> Iterator[Path]:
    """The folder of a reader, which is the current one."""
    folder = make_workspace(tmp_path / 'clone')
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))  # as PYTHONPATH=.
    monkeypatch.setenv('MPLBACKEND', 'Agg')
    yield folder
    for name, module in list(sys.modules.items()):
        if str(getattr(module, '__file__', '')).startswith(str(folder)):
            del sys.modules[name]


def run_python(example):
    """Run a block, import it if it is a file, or build what it configures."""
    source = str(example.parsed)
    mark, base = mark_of(example)
    name = file_name_of(source)
    is_config = '\n_base_ = ' in f'\n{source}'
    if is_config or mark in ('config', 'model'):
        path = Path(name or 'block.py')
        path.write_text(source if is_config else on_top_of(base, source, mark))
        build(path)
        return
    assert not mark, f'unknown mark {mark!r}'
    if name:
        Path(name).write_text(source)
        import_module(Path(name).stem)
    elif source.startswith('>>>'):
        run_doctest(example)
    else:
        from sybil.evaluators.python import PythonEvaluator

        PythonEvaluator()(example)


def on_top_of(base, lines, mark):
    """Return a config of a base and lines of it, or lines of its model."""
    if mark == 'model':
        inside = {}
        exec(lines, inside)
        inside.pop('__builtins__')
        lines = f'model = {inside!r}'
    return f'_base_ = {base!r}\n{lines}\n'


def run_doctest(example):
    """Run a block of an interpreter's lines and compare what it prints."""
    page = example.path
    test = doctest.DocTestParser().get_doctest(
        str(example.parsed), example.namespace, page, page, example.line
    )
    said = []
    doctest.DocTestRunner().run(test, out=said.append, clear_globs=False)
    assert not said, ''.join(said)
    example.namespace.update(test.globs)


def build(path):
    """Parse a config, build its model and its hooks."""
    cfg = Config.fromfile(str(path))
    assert 'model' in cfg, f'{path} has no model'
    preprocessor = dict(cfg.data_preprocessor)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        MODELS.build({**cfg.model, 'data_preprocessor': preprocessor})
    for hook in cfg.get('custom_hooks', []):
        HOOKS.build(hook)


def run_shell(example):
    """Check the commands of a block, and run it where the page says so."""
    variables = example.namespace.setdefault('__variables__', {})
    assert check_block(str(example.parsed), variables, Path.cwd()) or variables
    mark, _ = mark_of(example)
    if mark:
        assert mark == 'run', f'unknown mark {mark!r}'
        exported = {}
        for line in str(example.parsed).replace('\\\n', ' ').splitlines():
            for program, *arguments in split(line, variables):
                if program == 'export':
                    exported.update(word.split('=', 1) for word in arguments)
                elif program == 'mmattmask':
                    Child('log.txt', mmattmask, arguments, **exported).finish()
                else:
                    subprocess.run([program, *arguments], check=True)


def mmattmask(arguments):
    """Do what the command does in a shell, where PYTHONPATH may be exported."""
    sys.path[:0] = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    sys.argv = ['mmattmask', *arguments]
    sys.exit(main())


def evaluate_text(blocks):
    """Evaluate a page of these blocks in the current folder."""
    path = Path('page.md')
    path.write_text(f'# A page\n\n{blocks}\n')
    return evaluate(parse(path, HOW))


HOW = {'python': run_python, 'shell': run_shell, 'bash': run_shell}


def test_pages_are_found():
    for name in ('README.md', 'CONTRIBUTING.md', 'configs/amt/README.md'):
        assert name in PAGES
    assert sum(name.startswith('docs/guides/') for name in PAGES) >= 7


@pytest.mark.parametrize('name', PAGES)
def test_blocks_of_page(name, workspace, monkeypatch):
    give_small_stl10(monkeypatch)
    document = parse(ROOT / name, HOW)
    fences = sum(
        document.text.count(f'```{language}\n') for language in ('python', *SHELLS)
    )
    assert evaluate(document) == fences


INLINE = re.compile(
    r'(?<!`)`((?:python|mmattmask|make|mim|torchrun|tools/dist)[^`]*? [^`]+)`'
)
SHELLS = ('shell', 'bash', 'sh', 'console')


def give_small_stl10(monkeypatch):
    """Let pages iterate over STL-10 without downloading 2.6 GB."""
    from PIL import Image

    images = [(Image.new('RGB', (96, 96), color), -1) for color in ('red', 'blue')]
    monkeypatch.setattr('torchvision.datasets.STL10', lambda *a, **k: images)


CONFIG = 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'


@pytest.mark.parametrize('name', PAGES)
def test_commands_in_sentences(name, workspace):
    for command in INLINE.findall((ROOT / name).read_text()):
        check_block(' '.join(command.split()).replace('DATA=<folder>', 'DATA=x'), {})


@pytest.mark.parametrize('name', [n for n in SHIPPED if '/demo/' not in n])
def test_command_in_docstring_of_config(name):
    docstring = ast.get_docstring(ast.parse((ROOT / name).read_text()))
    command = re.search(
        r'^Command[\w ,]*:(.+?)^\w+:', docstring, re.DOTALL | re.MULTILINE
    )
    lines = (line.strip() for line in command.group(1).strip().splitlines())
    # the address of a first machine is the reader's
    assert check_block('\n'.join(lines), {'HOST': 'first'})


@pytest.mark.parametrize(
    ('block', 'message'),
    [
        ('python tools/train.py CONFIG --resum-e', 'unrecognized arguments'),
        ('python tools/trian.py CONFIG', 'no file tools/trian.py'),
        ('python tools/train.py configs/amt/none.py', 'no config configs/amt/none.py'),
        ('python tools/train.py $CONFIG', 'CONFIG is not set'),
        ('mmattmask knn vit-tinny-p4 FILE', 'no config and no ViT'),
        ('python tools/test.py CONFIG', 'checkpoint'),
        ('mmattmask chek CONFIG', 'no command chek'),
        ('mmattmask check CONFIG --gpu-s 2', 'unrecognized arguments'),
        ('python -m mmattmask check \\\n  configs/none.py', 'no config'),
        (f'python tools/train.py {CONFIG} --cfg-options model.scoer.x=1', 'scoer'),
        ('torchrun --nproc-pernode 8 tools/train.py CONFIG', 'torchrun'),
        ('torchrun --nproc-per-node 8 tools/train.py CONFIG --lancher x', 'lancher'),
        ('mim train mmpretrain configs/none.py', 'no config'),
        ('mim train mmattmask none.py', 'finds no config'),
        ('tools/dist_train.sh CONFIG eight', 'not a number'),
        ('tools/slurm_train.sh PARTITION NAME CONFIG DIR --ampp', 'ampp'),
        ('make tets', 'no target tets'),
        ("pip install -e '.[onedll]'", 'no extra onedll'),
        ('pyhton tools/train.py CONFIG', 'unknown command'),
        ('cd x && make tets', 'no target'),
    ],
)
def test_broken_command_is_found(block, message, workspace):
    with pytest.raises(CommandError, match=message):
        evaluate_text(f'```shell\n{block}\n```')


@pytest.mark.parametrize(
    'block',
    [
        f'CONFIG={CONFIG}\npython tools/train.py $CONFIG --amp  # a comment',
        f'python tools/train.py {CONFIG} \\\n    --cfg-options model.scorer.x=1',
        f'X=configs/amt\nY=${{X}}/{Path(CONFIG).name}\nmmattmask check $Y',
        'A=1 mmattmask knn vit-small-p16 FILE --imagenet DIR | ls',
    ],
)
def test_sound_command_passes(block, workspace):
    assert evaluate_text(f'```shell\n{block}\n```') == 1


@pytest.mark.parametrize(
    ('block', 'error'),
    [
        ('```python\nassert 1 + 1 == 3\n```', AssertionError),
        ('```python\n>>> 1 + 1\n3\n```', AssertionError),
        ("```python\n_base_ = 'mmpretrain::mae/none.py'\n```", Exception),
        (
            "```python\n_base_ = 'mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-"
            "400e_in1k.py'\nmodel = dict(type='mmattmask.NoMAE')\n```",
            KeyError,
        ),
        (
            f'<!-- test: model={CONFIG} -->\n```python\n'
            "mask_generator = dict(type='mmattmask.AMTMaskGenerator', ratio=1)\n```",
            TypeError,
        ),
        (
            f'<!-- test: config={CONFIG} -->\n```python\n'
            "custom_hooks = [dict(type='mmattmask.AttentionRefreshHook', begin=-1)]\n"
            '```',
            ValueError,
        ),
        ('<!-- test: rnu -->\n```shell\nls\n```', AssertionError),
        ('<!-- test: run -->\n```shell\nls none\n```', subprocess.CalledProcessError),
        ('<!-- test: run -->\n```shell\nmmattmask check CONFIG\n```', AssertionError),
    ],
)
def test_broken_block_is_found(block, error, workspace):
    with pytest.raises(error):
        evaluate_text(block)


def test_blocks_of_a_page_share_names_and_files(workspace):
    blocks = ('# mine.py\nx = 2', 'from mine import x', '>>> x\n2', 'assert x == 2')
    assert evaluate_text('\n\n'.join(f'```python\n{b}\n```' for b in blocks)) == 4
    assert (workspace / 'mine.py').is_file()
