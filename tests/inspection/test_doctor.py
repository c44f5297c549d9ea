"""The doctor where things are missing: it says so, and never crashes."""

import re
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest
import torch

from mmattmask.inspection import doctor
from tests.config_building import ROOT


def ability(name):
    return next(item for item in doctor.abilities() if item.name == name)


def maintain(monkeypatch):
    """Let the maintained runtime be installed, whichever is."""
    monkeypatch.setattr(
        doctor, 'installed', lambda name: '1' if name.startswith('onedl') else None
    )


def hide(monkeypatch, *modules):
    """Make modules, and what was imported of them, impossible to import."""
    for module in modules:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize('name', ['pre-training', 'resume'])
def test_works_here(name):
    assert not ability(name).reason


@pytest.mark.parametrize(
    ('name', 'missing', 'fix'),
    [
        ('pre-training', 'mmpretrain', doctor.INSTALL),
        ('pre-training', 'mmengine.hub', doctor.INSTALL),
        ('resume', 'torch', f'{doctor.INSTALL} --upgrade'),
        ('AMP', 'mmengine.device', 'use a machine with an accelerator'),
        ('detection', 'mmcv._ext', doctor.BUILD_MMCV),
        ('segmentation', 'mmcv._ext', doctor.BUILD_MMCV),
        ('LVIS', 'lvis', doctor.INSTALL_DOWNSTREAM),
    ],
)
def test_absence_is_named_with_its_fix(monkeypatch, name, missing, fix):
    maintain(monkeypatch)
    hide(monkeypatch, missing)
    found = ability(name)
    assert re.search(missing.split('.')[-1], found.reason)
    assert found.fix == fix


def test_detection_needs_the_maintained_runtime_but_not_always_a_compiler(monkeypatch):
    monkeypatch.setattr(doctor, 'installed', dict(mmengine='0', mmcv='0').get)
    hide(monkeypatch, 'mmcv._ext', 'mmdet.models')
    fix = 'pip uninstall --yes mmengine mmcv && pip install '
    assert ability('detection').fix.startswith(fix)
    maintain(monkeypatch)
    monkeypatch.setitem(sys.modules, 'mmcv._ext', SimpleNamespace())
    assert ability('detection').fix == doctor.INSTALL_DOWNSTREAM


@pytest.mark.parametrize(
    ('reason', 'fix'),
    [
        ("ModuleNotFoundError: No module named 'pkg_resources'", "'setuptools<82'"),
        ('ImportError: mmengine 0.11.0rc0 …: run pip uninstall x', 'pip uninstall x'),
        ('KeyError: other', doctor.INSTALL),
    ],
)
def test_runtime_fix_follows_from_the_reason(monkeypatch, reason, fix):
    monkeypatch.setattr(doctor, 'doubled', lambda: [])
    assert doctor.pretraining_fix(reason).endswith(fix)


def test_two_distributions_of_one_module_are_found(monkeypatch):
    present = {'onedl-mmcv': '2.3.6', 'mmcv': '2.2.0', 'onedl-mmengine': '0.10.12'}

    def version(name):
        if name not in present:
            raise metadata.PackageNotFoundError(name)
        return present[name]

    monkeypatch.setattr(metadata, 'version', version)
    assert doctor.doubled() == ['mmcv']
    assert doctor.versions()['mmcv'] == '2.3.6 (onedl-mmcv) and 2.2.0'
    assert doctor.versions()['torch'] == 'not installed'
    assert doctor.pretraining_fix('').startswith('pip uninstall --yes mmcv && ')
    monkeypatch.undo()
    assert doctor.versions()['torch'] == torch.__version__.split('+')[0]


@pytest.mark.parametrize(('reason', 'code'), [('', 0), ('broken', 1)])
def test_exit_code_is_that_of_pretraining(monkeypatch, reason, code):
    found = [doctor.Ability('pre-training', reason, 'mend it')]
    found.append(doctor.Ability('detection', 'no ops', 'build them'))
    monkeypatch.setattr(doctor, 'abilities', lambda: found)
    text, returned = doctor.diagnose()
    assert returned == code
    assert 'fix: build them' in text
    assert ('fix: mend it' in text) == bool(reason)


def test_runs_where_nothing_else_is_installed():
    # -S: without site-packages, so without torch and OpenMMLab
    run = subprocess.run(
        [sys.executable, '-S', '-m', 'mmattmask', 'doctor'],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
    )
    assert run.returncode == 1, run.stderr
    assert not run.stderr
    assert re.search(r'pre-training +no: ModuleNotFoundError', run.stdout)
    assert f'fix: {doctor.INSTALL}' in run.stdout
