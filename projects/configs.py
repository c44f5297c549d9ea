"""Configs of mmattmask as configs of a project.

Most keep what they inherit: their bases come along, types lose their scope, and the
first of a chain imports the project. Some are resolved instead, into one file without
bases but with everything in it.
"""

import ast
import inspect
import re
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.runner import Runner

from projects.closure import ROOT
from projects.manifest import Manifest
from projects.rewrite import without_scope

CONFIGS = ROOT / 'configs'
STOCK = '::'
RUNNER_KEYS = {*inspect.signature(Runner.__init__).parameters, 'auto_scale_lr'}
TYPE = re.compile(r'\bmmattmask\.(\w+)')


def config_files(manifest: Manifest, packages: list[str]) -> dict[str, str]:
    """Return the text of every config, by its path below the project.

    Args:
        manifest: The project's.
        packages: Dotted names of packages with registered classes.

    Raises:
        ValueError: If a config names a class that is not public.
    """
    imports = f'custom_imports = dict(imports={packages}, allow_failed_imports=False)'
    files = {}
    for path in with_bases([CONFIGS / name for name in manifest.configs]):
        files[place(path)] = inheriting(path, imports)
    for path in [CONFIGS / name for name in manifest.resolved]:
        files[place(path)] = resolved(path, imports)
    for name, text in files.items():
        check_types(manifest, name, text)
        files[name] = without_scope(text)
    return files


def check_types(manifest: Manifest, name: str, text: str) -> None:
    """Raise ValueError if a config names a class that is not public."""
    unknown = set(TYPE.findall(text)) - set(manifest.public)
    if unknown:
        raise ValueError(
            f'{name} names {", ".join(sorted(unknown))}, not public in the manifest of '
            f'{manifest.name}'
        )


def bases_of(path: Path) -> list[Path]:
    """Return the configs of this repository that a config inherits directly."""
    found = re.search(r'^_base_ = (.+?)$', path.read_text(), re.MULTILINE)
    names = ast.literal_eval(found[1]) if found else []
    names = [names] if isinstance(names, str) else names
    return [(path.parent / name).resolve() for name in names if STOCK not in name]


def with_bases(paths: list[Path]) -> list[Path]:
    """Return configs and all they inherit, each once."""
    found: dict[Path, None] = {}
    for path in paths:
        found[path] = None
        found.update(dict.fromkeys(with_bases(bases_of(path))))
    return list(found)


def is_fragment(path: Path) -> bool:
    """Return whether a config is only a base of others."""
    return path.parent.name == '_base_'


def place(path: Path) -> str:
    """Return the path of a config below its project."""
    return (
        f'configs/_base_/{path.name}' if is_fragment(path) else f'configs/{path.name}'
    )


def inheriting(path: Path, imports: str) -> str:
    """Return a config that goes on inheriting."""
    text = path.read_text()
    docstring = ast.get_docstring(ast.parse(text), clean=False)
    text = text.replace(docstring, about(docstring), 1)
    bases = bases_of(path)
    folder = '' if is_fragment(path) else '_base_/'
    for base in bases:
        target = f'{folder}{base.name}' if is_fragment(base) else f'./{base.name}'
        text = re.sub(
            rf"'[./\w-]*{re.escape(base.name)}'", f"'{target}'", text, count=1
        )
    if not is_fragment(path) and all(is_fragment(base) for base in bases):
        line = re.search(r'^_base_ = .+\n', text, re.MULTILINE)
        text = f'{text[: line.end()]}\n{imports}\n{text[line.end() :]}'
    return text


def about(docstring: str) -> str:
    """Return a config's docstring up to its commands, which are in the README."""
    return docstring.split('\n\nCommand:')[0]


def runner_part(path: Path) -> dict[str, Any]:
    """Return what a config says to the Runner, helpers of its bases left out."""
    config = Config.fromfile(path, import_custom_modules=False).to_dict()
    return {key: value for key, value in config.items() if key in RUNNER_KEYS}


def resolved(path: Path, imports: str) -> str:
    """Return a config without bases."""
    docstring = ast.get_docstring(ast.parse(path.read_text()), clean=False)
    settings = without_markers(runner_part(path))
    lines = [f'"""{about(docstring)}"""', imports]
    lines += [f'{key} = {as_calls(value)}' for key, value in settings.items()]
    return '\n'.join(lines) + '\n'


def without_markers(value: Any) -> Any:
    """Take out what MMEngine writes down about the package of a base."""
    if isinstance(value, dict):
        return {k: without_markers(v) for k, v in value.items() if k != '_scope_'}
    if isinstance(value, list | tuple):
        return type(value)(without_markers(item) for item in value)
    return value


def as_calls(value: Any) -> str:
    """Write a value with ``dict(...)`` where its keys are names."""
    if isinstance(value, dict) and all(str(key).isidentifier() for key in value):
        inner = ', '.join(f'{key}={as_calls(item)}' for key, item in value.items())
        return f'dict({inner})'
    if isinstance(value, dict):
        inner = ', '.join(f'{key!r}: {as_calls(item)}' for key, item in value.items())
        return f'{{{inner}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(as_calls, value))}]'
    return repr(value)
