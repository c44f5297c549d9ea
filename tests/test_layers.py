"""Imports run downwards only, and importing the registry does not pull the rest in."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / 'mmattmask'
# Lowest first. Modules beside the packages are the ground floor: everybody may import
# them, they import nobody.
LAYERS = (
    'ground',
    'masking',
    'mask_generators',
    'export',
    'scorers',
    'models',
    'datasets',
    'evaluation',
    'visualization',
    'engine',
    'downstream',
    'reporting',
    'inspection',
    'comparison',
    'cli',
)


def layer(module: str) -> str:
    parts = module.split('.')
    return parts[1] if (ROOT / parts[1]).is_dir() else 'ground'


def imported(tree: ast.AST) -> set[str]:
    """Modules of ours that a file imports, inside of functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == 'mmattmask':
            names |= {f'mmattmask.{alias.name}' for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or '')
    return {name for name in names if name.startswith('mmattmask.')}


FILES = [path for path in sorted(ROOT.rglob('*.py')) if path.parent != ROOT]


def test_every_package_has_a_layer():
    packages = {path.parent.name for path in ROOT.glob('*/__init__.py')}
    assert packages == set(LAYERS) - {'ground'}


@pytest.mark.parametrize('path', FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downwards(path):
    own = LAYERS.index(path.relative_to(ROOT).parts[0])
    for name in imported(ast.parse(path.read_text())):
        assert LAYERS.index(layer(name)) <= own, f'{path.name} imports {name}'


@pytest.mark.parametrize('path', sorted(ROOT.glob('*.py')), ids=lambda p: p.name)
def test_the_ground_floor_stands_alone(path):
    if path.name == '__main__.py':  # the door to the commands
        return
    for name in imported(ast.parse(path.read_text())):
        assert layer(name) == 'ground', f'{path.name} imports {name}'


def test_the_registry_imports_none_of_what_it_registers():
    code = (
        'import sys, mmattmask.registry;'
        "print(*[m for m in sys.modules if m.startswith('mmattmask.')])"
    )
    output = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    loaded = {name for line in output.stdout.splitlines() for name in line.split()}
    ours = {name for name in loaded if name.startswith('mmattmask.')}
    ground = ('registry', 'runtime', 'version', 'safe_globals', 'checkpoints')
    ground += (
        'run_guard',
        'run_data',
        'run_warnings',
        'run_folder',
        'resuming',
        'recorded_config',
        'config_values',
        'files',
    )
    assert ours <= {f'mmattmask.{name}' for name in ground}
