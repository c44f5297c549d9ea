"""What a wheel holds and asks for."""

import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from .conftest import ROOT, run

RUNTIMES = {
    'onedl': {'onedl-mmcv', 'onedl-mmengine', 'onedl-mmpretrain'},
    'openmmlab': {'mmcv-lite', 'mmengine', 'mmpretrain'},
}


def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


def requirements(wheel: Path) -> list[Requirement]:
    (path,) = (name for name in names(wheel) if name.endswith('/METADATA'))
    metadata = Parser().parsestr(zipfile.ZipFile(wheel).read(path).decode())
    return [Requirement(line) for line in metadata.get_all('Requires-Dist')]


def pins() -> dict[str, str]:
    lines = (ROOT / 'requirements' / 'tested.txt').read_text().splitlines()
    return dict(line.split('==') for line in lines if line and line[0] != '#')


def files_below(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def test_mim_folder_holds_every_config_and_tool(project, wheel):
    expected = {'model-index.yml'}
    for folder in ('configs', 'tools'):
        expected |= {f'{folder}/{name}' for name in files_below(project / folder)}
    assert 'tools/train.py' in expected
    assert any(name.startswith('configs/amt/') for name in expected)
    prefix = 'mmattmask/.mim/'
    shipped = {name[len(prefix) :] for name in names(wheel) if name.startswith(prefix)}
    assert shipped == expected


def test_wheel_holds_the_package_and_nothing_beside_it(project, wheel):
    modules = {
        f'mmattmask/{name}'
        for name in files_below(project / 'mmattmask')
        if not name.startswith('.mim/')
    }
    assert modules <= names(wheel)
    assert 'mmattmask/py.typed' in modules
    assert {name.split('/')[0] for name in names(wheel)} == {
        'mmattmask',
        wheel.name.removesuffix('-py3-none-any.whl') + '.dist-info',
    }


def test_source_distribution_builds_the_same_wheel(
    project, wheel, build_wheel, tmp_path
):
    import sys

    run(sys.executable, 'setup.py', '-q', 'sdist', '-d', tmp_path, cwd=project)
    (sdist,) = tmp_path.glob('*.tar.gz')
    assert names(build_wheel(sdist)) == names(wheel)


def test_wheel_of_an_editable_tree_holds_files_not_links(
    project, editable_python, wheel, build_wheel
):
    linked = project / 'mmattmask' / '.mim' / 'configs'
    assert linked.is_symlink()
    assert names(build_wheel(project)) == names(wheel)
    assert linked.is_symlink()


def test_no_runtime_is_required_and_each_extra_holds_one(wheel):
    plain = {r.name for r in requirements(wheel) if r.marker is None}
    assert 'torch' in plain
    assert not any('mm' in name.replace('mmattmask', '') for name in plain)
    for extra, expected in RUNTIMES.items():
        asked = {
            r.name
            for r in requirements(wheel)
            if r.marker is not None and r.marker.evaluate({'extra': extra})
        }
        assert {name for name in asked if 'mm' in name} == expected


def test_everything_asked_for_is_pinned_within_its_range(wheel):
    pinned = pins()
    for requirement in requirements(wheel):
        version = pinned.get(requirement.name)
        assert version is not None, f'{requirement.name} has no tested version'
        assert requirement.specifier.contains(version), requirement


@pytest.mark.parametrize('extra', ['onedl', 'openmmlab'])
def test_every_pin_is_a_single_version(extra):
    text = (ROOT / 'requirements' / 'tested.txt').read_text()
    listed = [line.split('==')[0] for line in text.splitlines() if '==' in line]
    assert len(listed) == len(set(listed))
    assert RUNTIMES[extra] <= set(listed)
