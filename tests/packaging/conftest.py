"""A copy of the project, its wheel, and environments that hold it installed."""

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(
    '.git', '.venv*', '.mim', '*.egg-info', 'build', 'dist', 'work_dirs', 'data',
    '.*_cache', '.hypothesis', '__pycache__',
)  # fmt: skip


def run(*command: object, cwd: Path, **extra: str) -> str:
    """Run a command as a user in a shell of their own; return what it printed."""
    env = {k: v for k, v in os.environ.items() if not k.startswith('PYTHON')}
    env |= dict(OMP_NUM_THREADS='1', PYTHONUNBUFFERED='1') | extra
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f'{command} failed:\n{done.stdout[-4000:]}'
    return done.stdout


def pip(*arguments: object, cwd: Path) -> str:
    """Run this environment's pip, without the network."""
    return run(sys.executable, '-m', 'pip', '-q', *arguments, cwd=cwd)


@pytest.fixture(scope='session')
def project(tmp_path_factory) -> Path:
    """A copy of the project, as a clone holds it."""
    copy = tmp_path_factory.mktemp('clone') / 'mmattmask'
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    return copy


@pytest.fixture(scope='session')
def build_wheel(tmp_path_factory) -> Callable[[Path], Path]:
    """Build the wheel of a source tree."""

    def build(source: Path) -> Path:
        folder = tmp_path_factory.mktemp('wheel')
        pip(
            *('wheel', '--no-deps', '--no-build-isolation', '--no-index'),
            *('--wheel-dir', folder, source),
            cwd=folder,
        )
        (wheel,) = folder.glob('*.whl')
        return wheel

    return build


@pytest.fixture(scope='session')
def wheel(project, build_wheel) -> Path:
    """The wheel of the project."""
    return build_wheel(project)


@pytest.fixture(scope='session')
def make_environment(tmp_path_factory) -> Callable[..., Path]:
    """Install mmattmask into an environment that borrows this one's packages."""

    def make(*install: object) -> Path:
        folder = tmp_path_factory.mktemp('environment')
        run(sys.executable, '-m', 'venv', '--without-pip', folder, cwd=folder)
        python = folder / 'bin' / 'python'
        site = next(folder.glob('lib/python*/site-packages'))
        # A path line does not run the .pth files there, so an editable mmattmask
        # of this environment stays out of the new one.
        site.joinpath('borrowed.pth').write_text(sysconfig.get_path('purelib'))
        pip(
            *('--python', python, 'install', '--no-deps', '--no-build-isolation'),
            *('--no-index', '--force-reinstall', *install),
            cwd=folder,
        )
        return python

    return make


@pytest.fixture(scope='session')
def wheel_python(make_environment, wheel) -> Path:
    """Python of an environment with the wheel installed."""
    return make_environment(wheel)


@pytest.fixture(scope='session')
def editable_python(make_environment, project) -> Path:
    """Python of an environment with the project installed in editable mode."""
    return make_environment('-e', project)


@pytest.fixture(params=['wheel', 'editable'])
def python(request) -> Path:
    """Both of the above."""
    return request.getfixturevalue(f'{request.param}_python')
