"""MMPretrain's get_model takes a config of ours and a checkpoint of its run."""

import pytest
import torch
from mmpretrain import get_model

from mmattmask.export import read_state_dict
from mmattmask.models import GuidedMAE
from tests.config_building import ROOT, write_images
from tests.train_tool import train

AMT = ROOT / 'configs/amt/amt_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
GPA = ROOT / 'configs/gpa/gpa-cached_vit-tiny-p8_1xb8-coslr-2e_folder_debug.py'
IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """The last checkpoint of a run of AMT."""
    folder = tmp_path_factory.mktemp('run')
    write_images(folder / 'images', 8)
    root = f'train_dataloader.dataset.data_root={folder / "images"}'
    train(AMT, folder / 'work_dir', root)
    return str(folder / 'work_dir' / 'epoch_2.pth')


def test_weights_are_those_of_the_run(checkpoint, monkeypatch):
    expected = read_state_dict(checkpoint)
    loads, load = [], torch.load

    def record(*args, **kwargs):
        loads.append(kwargs.get('weights_only'))
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', record)
    model = get_model(AMT, pretrained=checkpoint)
    assert isinstance(model, GuidedMAE)
    assert not model.training
    found = model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in found.items())
    name = 'backbone.layers.0.attn.qkv.weight'
    assert not torch.equal(get_model(AMT).state_dict()[name], expected[name])
    assert loads
    assert False not in loads  # the safe loader reads what our runs write


@torch.no_grad()
def test_frozen_teacher_is_not_needed(checkpoint):
    expected = get_model(AMT, pretrained=checkpoint).extract_feat(IMAGES)
    scorer = dict(checkpoint='gone/teacher.pth')
    model = get_model(GPA, pretrained=checkpoint, scorer=scorer)
    assert torch.equal(model.extract_feat(IMAGES)[-1], expected[-1])
