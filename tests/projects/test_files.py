"""What is in an export, and that it says the same as mmattmask."""

import ast
import re
import shutil
import subprocess
import sys

import mmpretrain.registry
import pytest
from mmengine.config import Config

from projects.configs import CONFIGS, runner_part, without_markers
from projects.manifest import NAMES, load
from projects.rewrite import TRACKED, new_name
from projects.style import HEADER, SETTINGS, missing_tools

CASES = [(name, config) for name in NAMES for config in load(name).configs]
RESOLVED = [(name, config) for name in NAMES for config in load(name).resolved]
# Python 3.8 is what PyTorch 2.0 needs; linters upstream read with Python 3.7.
SYNTAX = (3, 7)
CHECKS = {
    'flake8': ['--config', str(SETTINGS), '.'],
    'isort': ['--settings-file', str(SETTINGS), '--check', '.'],
    'yapf': ['--style', str(SETTINGS), '--recursive', '--diff', '.'],
    'docformatter': ['--wrap-descriptions', '79', '--recursive', '--check', '.'],
    'codespell': ['--config', str(SETTINGS), '.'],
    'vermin': ['--target=3.8-', '--no-tips', '--violations', '.'],
}


def sources(exported):
    return sorted(exported.rglob('*.py'))


def with_new_names(config):
    """Rename types in a parsed config as the export does."""
    if isinstance(config, dict):
        return {key: with_new_names(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return type(config)(map(with_new_names, config))
    found = re.fullmatch(r'mmattmask\.(\w+)', str(config))
    return new_name(found[1]) if found else config


def parsed(path):
    return Config.fromfile(path, import_custom_modules=False).to_dict()


@pytest.mark.parametrize('name', NAMES)
def test_layout(exported, name):
    folder = exported / 'projects' / name
    assert '- [x] Finish the code' in (folder / 'README.md').read_text()
    assert list(folder.glob('tests/test_*.py'))
    linked = set(
        re.findall(r'configs/([\w.-]+\.py)', (folder / 'README.md').read_text())
    )
    assert linked
    assert not [
        config for config in linked if not (folder / 'configs' / config).exists()
    ]
    sizes = [len(path.read_text().splitlines()) for path in sources(folder)]
    assert max(sizes) <= 400


def test_nothing_speaks_of_mmattmask(exported):
    files = [path for path in exported.rglob('*') if path.is_file()]
    assert len(files) > 100
    assert not [path for path in files if 'mmattmask' in path.read_text().lower()]


def test_syntax_and_unions(exported):
    for path in sources(exported):
        tree = ast.parse(path.read_text(), feature_version=SYNTAX)
        unions = [node.lineno for node in ast.walk(tree) if is_union(node)]
        assert not unions, f'{path}: | at {unions}'


def is_union(node):
    return isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)


def test_no_name_is_taken(exported):
    found = 0
    for path in sources(exported):
        for node in ast.parse(path.read_text()).body:
            for decorator in getattr(node, 'decorator_list', []):
                match = re.fullmatch(
                    r'(\w+)\.register_module\(\)', ast.unparse(decorator)
                )
                if match:
                    found += 1
                    registry = getattr(mmpretrain.registry, match[1])
                    assert registry.get(node.name) is None, node.name
    assert found > 20


def test_tracked_names_are_taken():
    registries = (mmpretrain.registry.TRANSFORMS, mmpretrain.registry.DATASETS)
    for name in TRACKED:
        assert any(registry.get(name) for registry in registries), name


@pytest.mark.parametrize(('name', 'config'), CASES)
def test_config_says_the_same(exported, name, config):
    path = exported / 'projects' / name / 'configs' / config.split('/')[-1]
    theirs, ours = parsed(path), with_new_names(parsed(CONFIGS / config))
    imports = theirs.pop('custom_imports')
    assert imports['allow_failed_imports'] is False
    for package in imports['imports']:
        assert (exported / package.replace('.', '/') / '__init__.py').is_file()
    assert theirs == ours


@pytest.mark.parametrize(('name', 'config'), RESOLVED)
def test_resolved_config_says_the_same(exported, name, config):
    path = exported / 'projects' / name / 'configs' / config.split('/')[-1]
    theirs = parsed(path)
    theirs.pop('custom_imports')
    assert theirs == with_new_names(without_markers(runner_part(CONFIGS / config)))


@pytest.mark.skipif(bool(missing_tools()), reason=f'not installed: {missing_tools()}')
def test_header(exported):
    files = sources(exported)
    assert [path for path in files if path.read_text().startswith(HEADER)] == files


@pytest.mark.parametrize('tool', CHECKS)
def test_checks_of_mmpretrain(exported, tool):
    command = shutil.which(tool, path=str(sys.prefix) + '/bin')
    if command is None or missing_tools():
        pytest.skip(
            f'needs {tool}, docformatter, isort and yapf: install mmattmask[dev]'
        )
    done = subprocess.run(
        [command, *CHECKS[tool]], cwd=exported, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout or tool == 'vermin', done.stdout
