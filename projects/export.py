"""Lay parts of mmattmask out as projects of MMPretrain.

python -m projects.export build/upstream    writes build/upstream/projects/<name>

A project has the configs of its manifest, the modules with the classes that these name,
all modules that those import, and the files beside its manifest.
"""

import argparse
import ast
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml
from mmengine.config import Config

FOLDER = Path(__file__).resolve().parent
CONFIGS = FOLDER.parent / 'configs'
NAMES = sorted(path.parent.name for path in FOLDER.glob('*/manifest.yml'))
# Where registered classes are.
PACKAGES = ('models', 'scorers', 'mask_generators', 'engine', 'datasets')
REGISTRY = 'mmattmask.registry'
TYPE = re.compile(r'mmattmask\.([A-Z]\w*)')
BASE = re.compile(r"'\.[^']*?(_base_/)?([^/']+\.py)'")  # not those of MMPretrain
# MMEngine hands the scope of an inherited config to the collate function.
COLLATE = """def default_collate(batch, _scope_=None):
    return dataset.default_collate(batch)\n\n
registry.FUNCTIONS.register_module('default_collate', True, default_collate)\n"""
COMMAND = re.compile(r'\n\nCommand:.*?(?=""")', re.DOTALL)  # to the docstring's end


def file_of(module: str) -> Path | None:
    """Return the file of a module or package of mmattmask, None if there is none."""
    base = FOLDER.parent.joinpath(*module.split('.'))
    files = (base.with_suffix('.py'), base / '__init__.py')
    return next((path for path in files if path.is_file()), None)


def imports(text: str) -> Iterator[tuple[str, str]]:
    """Yield module and name of all that a text imports from mmattmask, at any depth."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module.startswith('mmattmask'):
            yield from ((node.module, alias.name) for alias in node.names)


def origin(module: str, name: str) -> str | None:
    """Return where a name is defined, through re-exports; None if nowhere."""
    if file_of(module).name != '__init__.py':
        return module
    for source, exported in imports(file_of(module).read_text()):
        if exported == name:
            return origin(source, name)
    return f'{module}.{name}' if file_of(f'{module}.{name}') else None


def needed(text: str) -> Iterator[str]:
    """Yield the modules that a text imports or names classes of.

    Raises:
        ValueError: If mmattmask has no such name.
    """
    wanted = [[found] for found in imports(text)]
    nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)]
    for found in filter(None, (TYPE.fullmatch(str(node.value)) for node in nodes)):
        wanted.append([(f'mmattmask.{package}', found[1]) for package in PACKAGES])
    for places in wanted:
        home = next(filter(None, (origin(*place) for place in places)), None)
        if home is None:
            raise ValueError(f'{places[-1][1]} is not in {[p for p, _ in places]}')
        yield home


def closure(modules: Iterable[str]) -> dict[str, str]:
    """Return the texts of modules and of all that they need, without the registry."""
    texts, waiting = {}, list(modules)
    while waiting:
        module = waiting.pop()
        if module not in texts and module != REGISTRY:
            texts[module] = file_of(module).read_text()
            waiting += needed(texts[module])
    return texts


def code_files(project: str, modules: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield path and text of modules, of their packages, and of a registry."""
    imported = {pair for text in modules.values() for pair in imports(text)}
    registry = f'"""``type=\'{project}.X\'`` is a class of this project."""\n\n'
    registry += 'from mmengine import dataset, registry\n\n\n' + COLLATE
    for name in sorted(name for home, name in imported if home == REGISTRY):
        node = f'{name.lower()!r}, parent=registry.{name}, scope={project!r}'
        registry += f'{name} = registry.Registry({node})\n'
    yield 'registry.py', registry
    for package in {module.rpartition('.')[0] for module in modules} - {'mmattmask'}:
        exported = imports(file_of(package).read_text())
        lines = [f'from {m} import {name}\n' for m, name in exported if m in modules]
        yield f'{package.partition(".")[2]}/__init__.py', ''.join(lines)
    for module, text in modules.items():
        yield f'{module.partition(".")[2].replace(".", "/")}.py', text


def with_bases(path: Path) -> Iterator[Path]:
    """Yield a config and the configs of mmattmask that it inherits."""
    yield path
    for match in BASE.finditer(path.read_text()):
        yield from with_bases((path.parent / match[0].strip("'")).resolve())


def config_files(manifest: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Yield path and text of configs that keep their bases, and of resolved ones."""
    for path in [p for name in manifest['configs'] for p in with_bases(CONFIGS / name)]:
        folder = '_base_/' if path.parent.name == '_base_' else ''
        text = BASE.sub(r"'./\1\2'", COMMAND.sub('', path.read_text()))
        yield f'configs/{folder}{path.name}', text
    for path in [CONFIGS / name for name in manifest['resolved']]:
        about = COMMAND.sub('', path.read_text()).split('"""')[1]
        text = Config.fromfile(path, import_custom_modules=False).pretty_text
        text = re.sub(r"\b_scope_='\w+',\s*", '', text)
        yield f'configs/{path.name}', f'"""{about}"""\n{text}'


def export(target: Path, project: str) -> Path:
    """Write a project below ``target``/projects, anew; return its folder."""
    folder = target / 'projects' / project
    manifest = yaml.safe_load((FOLDER / project / 'manifest.yml').read_text())
    files = dict(config_files(manifest))
    public = {module for text in files.values() for module in needed(text)}
    packages = sorted({module.rpartition('.')[0] for module in public})
    line = f'\ncustom_imports = dict(imports={packages}, allow_failed_imports=False)\n'
    for path, text in files.items():
        inherits = re.search(r"'\./(?!_base_)", text)
        files[path] = text if inherits or '_base_' in path else text + line
    files.update(code_files(project, closure(public)))
    shutil.rmtree(folder, ignore_errors=True)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        text = re.sub(r'\bmmattmask\.(?=[a-z])', f'projects.{project}.', text)
        (folder / path).write_text(text.replace('mmattmask', project))
    ignore = shutil.ignore_patterns('manifest.yml', '__pycache__')
    shutil.copytree(FOLDER / project, folder, ignore=ignore, dirs_exist_ok=True)
    return folder


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('target', type=Path)
    target = parser.parse_args().target
    for name in NAMES:
        print(export(target, name))
