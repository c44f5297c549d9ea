"""The documentation builds, without a warning and without a network."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.config_building import ROOT

pytestmark = pytest.mark.onedl  # the environment with the tools of documentation


@pytest.fixture(scope='module')
def html(tmp_path_factory) -> Path:
    """The built pages."""
    out = tmp_path_factory.mktemp('html')
    done = subprocess.run(
        [
            *(sys.executable, '-m', 'sphinx', '-W', '--keep-going', '-q'),
            *('-c', 'docs', '-d', str(out / '.doctrees'), '.', str(out)),
        ],
        cwd=ROOT,
        env={**os.environ, 'http_proxy': 'http://127.0.0.1:9', 'https_proxy': 'x'},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return out


@pytest.mark.slow
def test_pages_are_there(html):
    for name in (
        'index',
        'docs/index',
        'docs/guides/masking_101',
        'configs/amt/README',
    ):
        assert (html / f'{name}.html').is_file()


@pytest.mark.slow
@pytest.mark.parametrize('package', ['masking', 'mask_generators', 'scorers', 'models'])
def test_api_has_all_public_names(html, package):
    page = (html / 'docs' / 'api' / f'{package}.html').read_text()
    source = (ROOT / 'mmattmask' / package / '__init__.py').read_text()
    public = re.findall(r"^    '(\w+)',$", source, re.MULTILINE)
    assert len(public) > 5
    for name in public:
        assert f'id="mmattmask.{package}.{name}"' in page, name


def test_make_docs_builds_the_same():
    makefile = (ROOT / 'Makefile').read_text()
    assert '-m sphinx -W --keep-going -q -c docs' in makefile
