"""Lay parts of mmattmask out as projects of MMPretrain.

python -m projects.export build/upstream    writes build/upstream/projects/<name>
"""

import argparse
import shutil
from pathlib import Path

from projects.closure import PACKAGE, PACKAGES, find_public, module, needed
from projects.configs import config_files
from projects.manifest import FOLDER, NAMES, Manifest, load
from projects.older_python import for_older_python
from projects.rewrite import new_name, rewrite
from projects.style import missing_tools, styled


def project_files(manifest: Manifest) -> dict[str, str]:
    """Return the text of every file of a project, by its path, not yet styled."""
    kept = needed(manifest.public)
    places = {name: manifest.place(name) for name in kept}
    if len(set(places.values())) < len(places):
        raise ValueError(f'two modules of {manifest.name} have one place: {places}')
    files = {
        f'{place.replace(".", "/")}.py': for_older_python(rewrite(name, used, places))
        for name, used in kept.items()
        for place in [places[name]]
    }
    files.update(init_files(manifest, kept))
    homes = {find_public(name)[0] for name in manifest.public}
    folders = {manifest.place(home).split('.')[0] for home in homes}
    packages = [
        f'projects.{manifest.name}.{package}'
        for package in PACKAGES
        if package in folders
    ]
    files.update(config_files(manifest, packages))
    source = FOLDER / manifest.name
    for path in sorted(source.glob('tests/*.py')):
        files[f'tests/{path.name}'] = path.read_text()
    return {**files, 'README.md': (source / 'README.md').read_text()}


def init_files(manifest: Manifest, kept: dict[str, set[str]]) -> dict[str, str]:
    """Return the text of every package's ``__init__.py``, by its path.

    A package exports what its namesake here exports, as far as it is kept.
    """
    exports: dict[str, dict[str, str]] = {}
    for name, used in kept.items():
        folder, stem = manifest.place(name).split('.')
        shown = module(f'{PACKAGE}.{name.split(".")[1]}').imports
        for symbol in sorted(used & set(shown)):
            exports.setdefault(folder, {})[new_name(symbol)] = stem
        exports.setdefault(folder, {})
    files = {}
    for folder, names in exports.items():
        lines = [f'from .{stem} import {symbol}' for symbol, stem in names.items()]
        if names:
            lines.append(f'__all__ = {sorted(names)}')
        files[f'{folder}/__init__.py'] = '\n'.join(lines) + '\n'
    return files


def export(target: Path, names: tuple[str, ...] = NAMES, style: bool = True) -> None:
    """Write projects below ``target``/projects, in place of what is there.

    Args:
        target: A folder like a clone of MMPretrain.
        names: The projects.
        style: Whether to bring the files into MMPretrain's style.

    Raises:
        ValueError: If a project cannot be made of what is in mmattmask.
        RuntimeError: If formatters are missing.
    """
    if style and missing_tools():
        raise RuntimeError(
            f'{", ".join(missing_tools())} not installed: run pip install '
            "'mmattmask[dev]'"
        )
    for name in names:
        folder = target / 'projects' / name
        shutil.rmtree(folder, ignore_errors=True)
        for path, text in project_files(load(name)).items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(styled(text) if style and file.suffix == '.py' else text)


def main() -> None:
    """Export all projects and say how large they are."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('target', type=Path)
    target = parser.parse_args().target
    export(target)
    for name in NAMES:
        files = [*(target / 'projects' / name).rglob('*.py')]
        lines = sum(len(file.read_text().splitlines()) for file in files)
        print(f'{target}/projects/{name}: {len(files)} files, {lines} lines')


if __name__ == '__main__':
    main()
