"""What comes out of the zoo is what was trained."""

import subprocess
import sys

import mmpretrain
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import load_checkpoint
from mmpretrain.apis.model import ModelHub
from mmpretrain.models import VisionTransformer
from safetensors.torch import save_file

import mmattmask
from mmattmask import zoo as package
from mmattmask.export import convert_checkpoint, load_matched, read_state_dict
from mmattmask.export.pretrained import load_pretrained
from mmattmask.models import GuidedMAE
from mmattmask.zoo.entries import find_entry, list_models, resolve, weights_path
from mmattmask.zoo.models import build, get_model, normalisation
from mmattmask.zoo.publish import publish_model
from tests.config_building import ROOT

from .conftest import NAME, RESULTS

IMAGES = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def trained_features(run):
    """Features of the checkpoint, by the model that was trained, read by torch."""
    cfg = Config.fromfile(run[0])
    model = build({**cfg.model, 'data_preprocessor': cfg.data_preprocessor})
    load_matched(model, torch.load(run[1], weights_only=False)['state_dict'], run[1])
    return model.eval()(IMAGES, mode='tensor')


@torch.no_grad()
def test_features_are_those_of_the_checkpoint(published, run):
    expected = trained_features(run)
    model = get_model(NAME, pretrained=True)
    assert isinstance(model, GuidedMAE)
    assert not model.training
    found = model(IMAGES, mode='tensor')
    assert torch.equal(found[-1], expected[-1])
    vit = get_model(NAME, pretrained=True, backbone_only=True, out_type='raw')
    assert type(vit) is VisionTransformer
    torch.testing.assert_close(vit(IMAGES)[-1], expected[-1])
    cls = get_model(NAME, pretrained=True, backbone_only=True)
    torch.testing.assert_close(cls(IMAGES)[-1], expected[-1][:, 0])


@torch.no_grad()
def test_pretrained_model_goes_on_training(published):
    model = get_model(NAME, pretrained=True).train()
    loss = model.loss(IMAGES, [None] * 3)['loss']
    assert torch.isfinite(loss)
    assert 0 < float(loss) < 10


def test_without_weights_it_is_another_model(published):
    names = ('layers.0.attn.qkv.weight', 'patch_embed.projection.weight')
    state = get_model(NAME, backbone_only=True).state_dict()
    trained = get_model(NAME, pretrained=True, backbone_only=True).state_dict()
    assert all(not torch.equal(state[name], trained[name]) for name in names)


@torch.no_grad()
def test_other_image_sizes_and_architectures(published):
    vit = get_model(NAME, pretrained=True, backbone_only=True, img_size=32)
    assert vit(IMAGES[..., :32, :32])[-1].shape == (3, 48)
    with pytest.raises(ValueError, match='does not fit'):
        get_model(NAME, pretrained=True, backbone_only=True, arch=dict(embed_dims=24))


def test_changed_file_is_refused(published):
    path = published.entry.weights
    state = read_state_dict(path)
    state['backbone.cls_token'] = state['backbone.cls_token'] + 1
    save_file(state, path)
    for use in (
        lambda: weights_path(NAME),
        lambda: get_model(NAME, pretrained=True),
        lambda: read_state_dict(f'mmattmask://{NAME}'),
    ):
        with pytest.raises(ValueError, match=r'SHA-256 is [0-9a-f]{64}, not '):
            use()
    path.unlink()
    with pytest.raises(FileNotFoundError, match='install the package again'):
        weights_path(NAME)


def test_names_that_are_not_there(zoo, run):
    assert list_models() == []
    with pytest.raises(ValueError, match=r"'x' in the zoo, which is empty"):
        get_model('x')
    config, checkpoint = run
    publish_model(checkpoint, NAME, config, RESULTS)
    for name in ('x', '../entries', f'{NAME}/', ''):
        with pytest.raises(ValueError, match=f'there are {NAME}'):
            find_entry(name)


def test_list_takes_patterns(published, run):
    publish_model(run[1], 'gpa_other', run[0], RESULTS)
    assert mmattmask.list_models() == [NAME, 'gpa_other']
    assert mmattmask.list_models('amt*') == [NAME]


def test_address_is_a_checkpoint(published, tmp_path):
    address = f'mmattmask://{NAME}'
    assert resolve(address) == resolve(f'mmattmask:/{NAME}') == published.entry.weights
    assert resolve('other/file.pth').name == 'file.pth'
    vit = get_model(NAME, backbone_only=True)
    assert load_pretrained(vit, address).startswith('matched 30/30')
    report = convert_checkpoint(address, 'timm', tmp_path / 'timm.safetensors')
    assert report.source == published.entry.weights
    assert 'patch_embed.proj.weight' in read_state_dict(report.out)


def test_transfer_config_starts_from_the_zoo(published):
    init = dict(
        type='Pretrained', _scope_='mmattmask', checkpoint=f'mmattmask://{NAME}'
    )
    vit = get_model(NAME, backbone_only=True, init_cfg=init)
    vit.init_weights()
    expected = get_model(NAME, pretrained=True, backbone_only=True).state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in vit.state_dict().items())


def test_mmpretrain_and_mmengine_find_it(published, monkeypatch):
    monkeypatch.setattr(ModelHub, '_models_dict', dict(ModelHub._models_dict))
    assert package.register() == [NAME]
    assert package.register() == [NAME]
    assert NAME in mmpretrain.list_models('amt*', task='Image Classification')
    model = mmpretrain.get_model(NAME, pretrained=True)
    found = model(IMAGES, mode='tensor')[-1]
    expected = get_model(NAME, pretrained=True)(IMAGES, mode='tensor')[-1]
    assert torch.equal(found, expected)
    assert model._metainfo.results[0].metrics['linear top-1'] == 13
    stock = VisionTransformer(
        **{k: v for k, v in plain_config().items() if k != 'type'},
        init_cfg=dict(
            type='Pretrained', checkpoint=f'mmattmask://{NAME}', prefix='backbone.'
        ),
    )
    stock.init_weights()
    weight = stock.state_dict()['layers.1.attn.qkv.weight']
    assert torch.equal(weight, model.state_dict()['backbone.layers.1.attn.qkv.weight'])


def plain_config():
    from mmattmask.zoo.models import plain_vit

    return plain_vit(Config.fromfile(find_entry(NAME).config).model.backbone, NAME)


def test_frozen_teacher_is_not_needed(run, zoo, tmp_path):
    text = run[0].read_text() + (
        "model['scorer'] = dict(_delete_=True, type='mmattmask.FrozenTeacher',\n"
        "    backbone=dict(type='VisionTransformer', arch='deit-tiny', img_size=64,\n"
        "        patch_size=8), checkpoint='gone/teacher.pth', head=2, cached=True)\n"
        "model['mask_generator'] = dict(_delete_=True,\n"
        "    type='mmattmask.SoftToHardMaskGenerator')\n"
    )
    config = tmp_path / 'gpa.py'
    config.write_text(text)
    entry = publish_model(run[1], 'gpa', config, RESULTS).entry
    assert 'gone/teacher.pth' in entry.config.read_text()
    model = get_model('gpa', pretrained=True)
    expected = trained_features(run)
    assert torch.equal(model(IMAGES, mode='tensor')[-1], expected[-1])
    assert torch.isfinite(model.train().loss(IMAGES, [None] * 3)['loss'])
    vit = get_model('gpa', pretrained=True, backbone_only=True, out_type='raw')
    torch.testing.assert_close(vit(IMAGES)[-1], expected[-1])


def test_runs_load_from_the_zoo(published):
    model = get_model(NAME)
    load_checkpoint(model, f'mmattmask://{NAME}', strict=True)
    expected = get_model(NAME, pretrained=True).state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in model.state_dict().items())
    with pytest.raises(ValueError, match="no model 'none'"):
        load_checkpoint(model, 'mmattmask://none')


def test_encoder_that_is_no_vit(published, monkeypatch):
    text = published.entry.config.read_text()
    published.entry.config.write_text(
        text.replace('mmattmask.GuidedMAEViT', 'mmpretrain.MAEHiViT')
    )
    with pytest.raises(ValueError, match='MAEHiViT, which has no plain ViT'):
        get_model(NAME, backbone_only=True)


def test_normalisation_is_that_of_the_training(published):
    cfg = Config.fromfile(published.entry.config)
    assert list(normalisation(NAME).mean) == list(cfg.data_preprocessor.mean)
    assert list(normalisation(NAME).std) == list(cfg.data_preprocessor.std)


def test_evaluation_takes_the_name(published, tmp_path, monkeypatch):
    from PIL import Image

    from mmattmask.cli.eval_knn import main

    for split in ('train', 'val'):
        for label, level in enumerate((40, 200)):
            folder = tmp_path / split / f'class {label}'
            folder.mkdir(parents=True)
            for number in range(3):
                color = (level + number, level, level)
                Image.new('RGB', (64, 64), color).save(folder / f'{number}.png')
    data = ['--train', str(tmp_path / 'train'), '--val', str(tmp_path / 'val')]
    options = ['--k', '1', '--num-workers', '0', '--device', 'cpu']
    options += ['--work-dir', str(tmp_path / 'work')]
    text = main([NAME, *data, *options])
    assert 'matched 30/30 weights' in text
    assert '100.00' in text
    with pytest.raises(SystemExit, match=f'needs a checkpoint.*{NAME}'):
        main(['vit-tiny-p16', *data, *options])


def test_import_stays_cheap():
    code = (
        'import sys, mmattmask\n'
        'from mmattmask import list_models, zoo\n'
        'list_models()\n'
        "print([n for n in ('torch', 'numpy', 'mmengine', 'mmpretrain') "
        'if n in sys.modules])\n'
        'print(callable(mmattmask.get_model), "mmpretrain" in sys.modules)'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True
    )
    lines = done.stdout.splitlines()
    assert (lines[0], lines[-1]) == ('[]', 'True True'), done.stderr
    with pytest.raises(AttributeError, match='no attribute'):
        getattr(mmattmask, 'nothing')  # noqa: B009
