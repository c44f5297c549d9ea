"""Tools that judge the code have one version, wherever it is written."""

import re

import pytest

from mmattmask.version import __version__

from .conftest import ROOT


def versions_of(tool: str) -> dict[str, str]:
    """Version of ruff or mypy by the file that names it."""
    pin = re.escape(tool) + r'==([\d.]+)'
    found = {}
    for path in ('setup.py', 'requirements/tested.txt'):
        (found[path],) = re.findall(pin, (ROOT / path).read_text())
    return found


@pytest.mark.parametrize('tool', ['ruff', 'mypy'])
def test_tool_version_agrees_across_files(tool):
    assert len(set(versions_of(tool).values())) == 1, versions_of(tool)


def test_citation_is_of_this_version():
    citation = (ROOT / 'CITATION.cff').read_text()
    assert re.search(r'^version: (.+)$', citation, re.MULTILINE)[1] == __version__
    assert f'## [{__version__}] - ' in (ROOT / 'CHANGELOG.md').read_text()


def test_ci_lints_with_the_environment_of_make_lint():
    for file in ('.ci/run', '.pre-commit-config.yaml'):
        assert 'make lint' in (ROOT / file).read_text()
    makefile = (ROOT / 'Makefile').read_text()
    for command in ('ruff check', 'ruff format --check', 'mypy'):
        assert f'\t.venv/bin/{command}' in makefile
