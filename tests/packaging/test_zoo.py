"""Models of the zoo travel with the package, and need no network."""

import json
import shutil

import pytest
import torch
from mmengine.config import Config

from mmattmask.zoo import entries
from mmattmask.zoo.models import build
from mmattmask.zoo.publish import publish_model
from tests.zoo.conftest import CONFIG, NAME, RESULTS

from .conftest import NOT_COPIED, ROOT, run

SCRIPT = """
import socket

def refuse(*args, **kwargs):
    raise OSError('no network')

socket.socket.connect = socket.create_connection = refuse

import torch
from mmattmask import get_model, list_models, zoo

print('names', *list_models())
vit = get_model(NAME, pretrained=True, backbone_only=True, out_type='raw')
images = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
print('sum', float(vit(images)[-1].abs().sum()))
print('file', zoo.weights_path(NAME))
print('log', sum(1 for line in zoo.find_entry(NAME).log.open()))
"""


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A copy of the project with a model in its zoo, and that model."""
    folder = tmp_path_factory.mktemp('zoo')
    copy = folder / 'mmattmask'
    shutil.copytree(ROOT, copy, ignore=NOT_COPIED)
    config = folder / 'small.py'
    config.write_text(CONFIG)
    cfg = Config.fromfile(config)
    torch.manual_seed(0)
    model = build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    model.init_weights()
    torch.save({'state_dict': model.state_dict()}, folder / 'model.pth')
    log = folder / 'scalars.json'
    log.write_text(json.dumps({'loss': 1.0}) + '\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, 'ENTRIES', copy / 'mmattmask' / 'zoo' / 'entries')
        publish_model(folder / 'model.pth', NAME, config, RESULTS, log=log)
    return copy, model.eval()


@pytest.mark.parametrize('kind', ['wheel', 'editable'])
def test_installed_package_has_its_models(
    kind, clone, build_wheel, make_environment, tmp_path
):
    copy, model = clone
    install = (build_wheel(copy),) if kind == 'wheel' else ('-e', copy)
    python = make_environment(*install)
    script = tmp_path / 'script.py'
    script.write_text(SCRIPT.replace('NAME', repr(NAME)))
    lines = run(python, 'script.py', cwd=tmp_path).splitlines()
    printed = dict(line.split(' ', 1) for line in lines if ' ' in line)
    assert NAME in printed['names'].split()
    images = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    with torch.no_grad():
        expected = model(images, mode='tensor')[-1].abs().sum()
    assert float(printed['sum']) == pytest.approx(float(expected), rel=1e-5)
    assert printed['file'].startswith(
        str(python.parents[1] if kind == 'wheel' else copy)
    )
    assert printed['log'] == '1'
