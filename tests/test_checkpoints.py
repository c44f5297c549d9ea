"""Weights that do not fit, are not finite or are no weights stop a run before it."""

from collections import OrderedDict

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import Runner, load_checkpoint
from mmpretrain.models import VisionTransformer

from mmattmask.checkpoints import load_matched, read_checkpoint, unwrapped
from mmattmask.evaluation.frozen_backbone import load_backbone
from mmattmask.export.convert import convert_checkpoint
from mmattmask.export.pretrained import PretrainedViT
from mmattmask.safe_globals import safe_globals
from tests.engine.toy_run import toy_config, train, write_images
from tests.export.tiny_vits import prefixed, timm_names


@pytest.fixture(scope='module')
def data_root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp('images'))


@pytest.fixture(scope='module')
def state(data_root):
    """Weights of the toy model, all random."""
    model = MODELS.build(toy_config('work', data_root).model)
    torch.manual_seed(1)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model.state_dict()


def backbone_of(state):
    start = 'backbone.'
    found = {k: v for k, v in state.items() if k.startswith(start)}
    return {k.removeprefix(start): v for k, v in found.items()}


def narrower(state):
    return {name: value[..., :16] for name, value in state.items()}


def with_value(state, value):
    changed = {name: tensor.clone() for name, tensor in state.items()}
    changed['backbone.layers.1.ffn.layers.1.bias'][3] = value
    return changed


# What is saved, and what the run says.
REFUSED = {
    'official MAE': (
        lambda s: dict(model=timm_names(backbone_of(s))),
        r'matched 0/\d+ weights; missing backbone\.cls_token.*not used model\b',
    ),
    'names of timm': (
        lambda s: timm_names(backbone_of(s)),
        r'matched 0/\d+ .*not used cls_token.*model\.backbone\.init_cfg=dict',
    ),
    'a backbone alone': (
        lambda s: dict(state_dict=backbone_of(s)),
        r'matched 0/\d+ weights; missing backbone\.cls_token',
    ),
    'prefix of Lightning': (
        lambda s: dict(state_dict=prefixed('model.', s)),
        r'not used model\.backbone\.cls_token',
    ),
    'container': (lambda s: {'net': s}, 'not used net'),
    'another width': (
        lambda s: dict(state_dict=narrower(s)),
        r'backbone\.cls_token \(1, 1, 16\) instead of \(1, 1, 24\)',
    ),
    'another depth': (
        lambda s: {k: v for k, v in s.items() if 'backbone.layers.1.' not in k},
        r'matched \d+/\d+ weights; missing backbone\.layers\.1\.ln1\.weight',
    ),
    'norms missing': (
        lambda s: {k: v for k, v in s.items() if '.ln2.' not in k},
        r'missing backbone\.layers\.0\.ln2\.weight',
    ),
    'another decoder': (
        lambda s: {k: v[:4] if k.startswith('neck.') else v for k, v in s.items()},
        r'neck\.decoder_embed\.weight \(4, 24\) instead of \(16, 24\)',
    ),
    'nan': (
        lambda s: with_value(s, float('nan')),
        r'1 weights with NaN or infinite values: backbone\.layers\.1\.ffn\.layers\.1',
    ),
    'inf': (
        lambda s: dict(state_dict=with_value(s, float('inf'))),
        '1 weights with NaN or infinite',
    ),
}


@pytest.mark.parametrize('name', REFUSED)
@pytest.mark.parametrize('way', ['load_from', 'stock init_cfg'])
def test_a_run_refuses_what_does_not_fit(tmp_path, data_root, state, name, way):
    content, message = REFUSED[name]
    file = str(tmp_path / 'x.pth')
    torch.save(content(state), file)
    cfg = toy_config(tmp_path / 'work', data_root)
    if way == 'load_from':
        cfg.load_from = file
    else:
        cfg.model.init_cfg = dict(type='Pretrained', checkpoint=file)
    runner = Runner.from_cfg(cfg)
    with pytest.raises(ValueError, match=message):
        runner.train()
    assert runner.iter == 0
    assert not list((tmp_path / 'work').glob('*.pth'))


def test_resume_refuses_weights_that_are_not_finite(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=1)
    train(cfg)
    path = tmp_path / 'epoch_1.pth'
    content = torch.load(path, weights_only=False)
    content['state_dict'] = with_value(content['state_dict'], float('nan'))
    torch.save(content, path)
    cfg.resume, cfg.train_cfg.max_epochs = True, 2
    with pytest.raises(ValueError, match='1 weights with NaN or infinite'):
        train(cfg)


FITS = {
    'as saved': lambda s: dict(state_dict=s, meta={}),
    'of DistributedDataParallel': lambda s: dict(state_dict=prefixed('module.', s)),
    'of torch.compile': lambda s: prefixed('_orig_mod.', s),
    'of a compiled backbone': lambda s: {
        k.replace('backbone.', 'backbone._orig_mod.'): v for k, v in s.items()
    },
}


@pytest.mark.parametrize('name', FITS)
def test_what_fits_is_loaded(tmp_path, data_root, state, name):
    torch.save(FITS[name](state), tmp_path / 'x.pth')
    cfg = toy_config(tmp_path / 'work', data_root, load_from=str(tmp_path / 'x.pth'))
    runner = Runner.from_cfg(cfg)
    runner.load_or_resume()
    found = runner.model.state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def test_a_part_that_the_file_does_not_have_is_named(tmp_path, state, capsys):
    encoder = {k: v for k, v in state.items() if not k.startswith('neck.')}
    torch.save(encoder, tmp_path / 'x.pth')
    model = MODELS.build(toy_config('work', 'nowhere').model)
    before = model.neck.mask_token.clone()
    load_checkpoint(model, str(tmp_path / 'x.pth'))
    warning = capsys.readouterr().out
    kept = len([name for name in state if name.startswith('neck.')])
    assert f'matched {len(encoder)}/{len(state)} weights' in warning
    assert 'keep their first values: neck.' in warning
    assert f'and {kept - 6} more' in warning
    assert torch.equal(model.backbone.cls_token, state['backbone.cls_token'])
    assert torch.equal(model.neck.mask_token, before)


def test_init_cfg_converts_an_encoder_and_leaves_the_decoder(
    tmp_path, data_root, state
):
    torch.save(dict(model=timm_names(backbone_of(state))), tmp_path / 'mae.pth')
    cfg = toy_config(tmp_path / 'work', data_root)
    cfg.model.backbone.init_cfg = dict(
        type='Pretrained', _scope_='mmattmask', checkpoint=str(tmp_path / 'mae.pth')
    )
    runner = Runner.from_cfg(cfg)
    runner._init_model_weights()
    found = runner.model.backbone.state_dict()
    for name, value in backbone_of(state).items():
        assert torch.equal(found[name], value), name


@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_the_stock_init_cfg_of_a_backbone_refuses_half_a_file(tmp_path, state, prefix):
    less = {k: v for k, v in state.items() if 'backbone.layers.1.' not in k}
    weights = less if prefix else backbone_of(less)
    torch.save(weights, tmp_path / 'x.pth')
    config = toy_config('work', 'nowhere').model.backbone.to_dict()
    config['init_cfg'] = dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth'))
    config['init_cfg'] |= {'prefix': prefix} if prefix else {}
    model = MODELS.build(config)
    with pytest.raises(ValueError, match=r'matched 18/30 weights; missing layers\.1'):
        model.init_weights()
    torch.save(state if prefix else backbone_of(state), tmp_path / 'x.pth')
    model = MODELS.build(config)
    model.init_weights()
    assert torch.equal(model.cls_token, state['backbone.cls_token'])


def test_hivit_begins_from_its_init_cfg(tmp_path):
    config = dict(type='mmattmask.GuidedMAEHiViT', img_size=64, arch='tiny')
    source = MODELS.build(config)
    torch.nn.init.normal_(source.patch_embed.proj.weight)
    torch.save(source.state_dict(), tmp_path / 'x.pth')
    init_cfg = dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth'))
    target = MODELS.build(dict(config, init_cfg=init_cfg))
    target.init_weights()
    for name, value in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], value), name


def classifier(num_classes):
    return MODELS.build(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(
                type='mmpretrain.VisionTransformer',
                arch=dict(
                    embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8
                ),
                img_size=16,
                patch_size=8,
            ),
            head=dict(
                type='mmpretrain.LinearClsHead', num_classes=num_classes, in_channels=8
            ),
        )
    )


def test_a_stock_model_may_have_other_classes_but_no_other_backbone(tmp_path):
    source, target = classifier(3), classifier(5)
    before = target.head.fc.weight.clone()
    torch.save(source.state_dict(), tmp_path / 'x.pth')
    load_checkpoint(target, str(tmp_path / 'x.pth'))
    assert torch.equal(target.backbone.cls_token, source.backbone.cls_token)
    assert torch.equal(target.head.fc.weight, before)
    torch.save(prefixed('model.', source.state_dict()), tmp_path / 'y.pth')
    with pytest.raises(ValueError, match=r'matched 0/\d+ weights; missing backbone'):
        load_checkpoint(target, str(tmp_path / 'y.pth'))


NO_WEIGHTS = {
    'empty': (b'', r'is empty \(0 bytes\)'),
    'lfs': (
        b'version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n',
        'pointer of git-lfs.*git lfs pull',
    ),
    'page': (
        b'\n<!DOCTYPE html>\n<html><title>Log in</title>',
        "is a web page, not a checkpoint; it begins with '<!DOCTYPE html>'",
    ),
    'text': (b'Not Found: ' + 'ä'.encode() * 400, 'is a text file.*Not Found'),
    'noise': (bytes(range(256)), 'damaged or not written by torch'),
}


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('name', NO_WEIGHTS)
def test_what_downloads_leave_behind_is_named(tmp_path, name, suffix):
    content, message = NO_WEIGHTS[name]
    path = tmp_path / f'x{suffix}'
    path.write_bytes(content)
    message = 'damaged' if name == 'noise' else message
    with pytest.raises(ValueError, match=message) as error:
        read_checkpoint(path)
    assert 'weights_only' not in str(error.value)
    assert 'x.' in str(error.value)


@pytest.mark.onedl  # the official runtime reads with torch itself
def test_a_run_says_it_too(tmp_path, data_root):
    (tmp_path / 'x.pth').write_bytes(NO_WEIGHTS['page'][0])
    cfg = toy_config(tmp_path / 'work', data_root, load_from=str(tmp_path / 'x.pth'))
    with pytest.raises(ValueError, match='is a web page'):
        Runner.from_cfg(cfg).train()


@pytest.mark.parametrize('value', [float('nan'), float('-inf')])
def test_every_reader_refuses_weights_that_are_not_finite(tmp_path, value):
    arch = dict(embed_dims=8, num_layers=1, num_heads=2, feedforward_channels=8)
    vit = VisionTransformer(arch, img_size=16, patch_size=8)
    state = vit.state_dict()
    state['layers.0.attn.proj.bias'][1] = value
    torch.save(state, tmp_path / 'x.pth')
    config = dict(type='VisionTransformer', arch=arch, img_size=16, patch_size=8)
    teacher = dict(type='mmattmask.FrozenTeacher', block=0, head=0, backbone=config)
    ways = (
        lambda file: PretrainedViT(file).load(vit),
        lambda file: load_backbone(config, file),
        lambda file: convert_checkpoint(file, 'timm', tmp_path / 'y.pth'),
        lambda file: MODELS.build(dict(teacher, checkpoint=str(file))).init_weights(),
    )
    for way in ways:
        with pytest.raises(ValueError, match=r'1 weights with NaN.*attn\.proj\.bias'):
            way(tmp_path / 'x.pth')


def test_reading_leaves_the_allow_list_as_it_was(tmp_path):
    torch.save({}, tmp_path / 'x.pth')
    torch.serialization.add_safe_globals(safe_globals()[:1])
    before = torch.serialization.get_safe_globals()
    read_checkpoint(tmp_path / 'x.pth')
    after = torch.serialization.get_safe_globals()
    assert set(map(str, after)) == set(map(str, before))


def test_modules_resize_their_position_embeddings():
    arch = dict(embed_dims=12, num_layers=1, num_heads=2, feedforward_channels=12)
    small, large = (VisionTransformer(arch, img_size=size) for size in (32, 48))
    assert 'matched' in load_matched(large, small.state_dict(), 'FILE')
    assert torch.equal(large.ln1.weight, small.ln1.weight)


def test_names_of_wrappers():
    assert unwrapped('module.a.b') == 'a.b'
    assert unwrapped('_orig_mod.a._orig_mod.b') == 'a.b'
    assert unwrapped('module._orig_mod.a') == 'a'
    assert unwrapped('a.module.b_orig_mod.c') == 'a.module.b_orig_mod.c'


@pytest.mark.parametrize('max_epochs', [1, 3])
def test_a_loss_that_is_not_finite_stops_any_run(tmp_path, data_root, max_epochs):
    cfg = toy_config(tmp_path, data_root, train_cfg__max_epochs=max_epochs)
    cfg.model.scorer, cfg.custom_hooks = None, []  # maps would be refused before
    cfg.model.backbone.init_cfg = dict(type='Constant', layer='Linear', val=1e38)
    with pytest.raises(FloatingPointError, match=r'inf or nan \d times in iterations'):
        train(cfg)
    assert not list(tmp_path.glob('*.pth'))


def test_a_hook_of_the_config_is_kept(tmp_path, data_root):
    cfg = toy_config(tmp_path, data_root)
    cfg.custom_hooks.append(dict(type='mmattmask.FiniteLossHook', interval=7))
    hooks = [type(hook).__name__ for hook in Runner.from_cfg(cfg).hooks]
    assert hooks.count('FiniteLossHook') == 1


def test_state_of_an_ordered_dict_keeps_its_versions(state):
    model = MODELS.build(toy_config('work', 'nowhere').model)
    versioned = OrderedDict(state)
    versioned._metadata = model.state_dict()._metadata
    from mmengine.runner.checkpoint import load_state_dict

    load_state_dict(model, versioned, strict=True)
    assert torch.equal(model.backbone.cls_token, state['backbone.cls_token'])
