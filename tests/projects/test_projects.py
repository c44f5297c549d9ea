"""Exported projects stand alone, and train exactly as mmattmask does."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from PIL import Image

from projects.export import CONFIGS, FOLDER, NAMES, closure, export, needed

SCRIPT = Path(__file__).with_name('train.py')
STEPS = 2  # of AMT, attention guides the second
MANIFESTS = {
    name: yaml.safe_load((FOLDER / name / 'manifest.yml').read_text()) for name in NAMES
}


@pytest.fixture(scope='session')
def clone(tmp_path_factory):
    """A folder like a clone of MMPretrain."""
    target = tmp_path_factory.mktemp('clone')
    for name in NAMES:
        export(target, name)
    return target


@pytest.fixture(scope='session')
def images(tmp_path_factory):
    """A folder of eight small images: one iteration per epoch."""
    folder = tmp_path_factory.mktemp('images')
    draws = np.random.default_rng(0)
    for index in range(8):
        pixels = draws.integers(0, 256, (72 + index, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f'{index}.png')
    return folder


def run(root, cwd, *command):
    """Run Python with nothing but a folder on its path."""
    kept = {name: os.environ[name] for name in ('PATH', 'HOME') if name in os.environ}
    quiet = dict(CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1', PYTHONPATH=str(root))
    command = [sys.executable, *map(str, command)]
    done = subprocess.run(command, env=kept | quiet, cwd=cwd, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()[-3000:]


@pytest.fixture(scope='module')
def trained(clone, images, tmp_path_factory):
    """What every debug config did as a project's and as ours, by project."""
    debug = {
        name: [CONFIGS / c for c in manifest['resolved'] if 'debug' in c]
        for name, manifest in MANIFESTS.items()
    }
    ours = [(name, config) for name, configs in debug.items() for config in configs]
    copies = [clone / 'projects' / n / 'configs' / config.name for n, config in ours]
    folder, found = tmp_path_factory.mktemp('work'), {name: [] for name in NAMES}
    run(clone, folder, SCRIPT, 'mmattmask', images, *copies)
    theirs = torch.load(folder / 'steps.pth', weights_only=True)
    arguments = ('projects', images, *(config for _, config in ours))
    run(CONFIGS.parent, folder, SCRIPT, *arguments)
    own = torch.load(folder / 'steps.pth', weights_only=True)
    for (name, _), *pair in zip(ours, theirs, own, strict=True):
        found[name].append(pair)
    return found


@pytest.mark.parametrize('name', NAMES)
def test_trains_as_mmattmask_does(trained, name):
    assert trained[name]
    for their, our in trained[name]:
        assert len(our['losses']) == STEPS <= len(our['masks'])
        assert their['losses'] == our['losses']
        torch.testing.assert_close(their['masks'], our['masks'], rtol=0, atol=0)
        torch.testing.assert_close(their['weights'], our['weights'], rtol=0, atol=0)


def test_own_tests_pass_side_by_side(clone, tmp_path):
    pytest_ = ('-m', 'pytest', '-p', 'no:cacheprovider', '-W', 'ignore')
    run(clone, tmp_path, *pytest_, *(clone / 'projects' / name for name in NAMES))


@pytest.mark.parametrize('name', NAMES)
def test_configs_say_the_same(clone, name):
    folder = clone / 'projects' / name / 'configs'
    for config in MANIFESTS[name]['configs'] + MANIFESTS[name]['resolved']:
        theirs, ours = (
            Config.fromfile(path, import_custom_modules=False)
            for path in (folder / Path(config).name, CONFIGS / config)
        )
        for package in theirs.pop('custom_imports').imports:
            assert (clone / package.replace('.', '/') / '__init__.py').is_file()
        said = [json.dumps(c.to_dict(), sort_keys=True) for c in (theirs, ours)]
        said = [re.sub(r'"_scope_": "\w+", ', '', text) for text in said]
        assert said[0] == said[1].replace('mmattmask', name)


@pytest.mark.parametrize('name', NAMES)
def test_files(clone, name):
    folder = clone / 'projects' / name
    files = [path for path in folder.rglob('*') if path.suffix in ('.py', '.md')]
    assert not [path for path in files if 'mmattmask' in path.read_text().lower()]
    linked = re.findall(r'configs/([\w.-]+\.py)', (folder / 'README.md').read_text())
    assert linked
    assert all((folder / 'configs' / config).is_file() for config in linked)


def test_closure_does_not_follow_packages():
    found = closure(['mmattmask.mask_generators.amt'])
    assert 'mmattmask.masking.ranking' in found
    assert not [module for module in found if module.endswith(('.hint', '.attmask'))]


@pytest.mark.parametrize(
    'text', ["model = dict(type='mmattmask.Nobody')", 'from mmattmask.masking import x']
)
def test_unknown_names_are_refused(text):
    with pytest.raises(ValueError, match='is not in'):
        list(needed(text))
