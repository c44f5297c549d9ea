"""An encoder computes the same wherever its checkpoint goes, and comes back whole."""

import json

import pytest
import torch
from mmengine.registry import MODELS
from torch.testing import assert_close

from mmattmask.downstream import ViTDet
from mmattmask.export import convert_checkpoint
from mmattmask.export.pretrained import PretrainedViT

from ..golden import each
from .tiny_vits import (
    ARCH,
    CONVVIT,
    PATCH,
    SIZE,
    SIZES,
    images,
    load,
    randomised,
    save,
    simmim_vit,
    vit,
)

timm = pytest.importorskip('timm')
CLOSE = dict(rtol=1e-5, atol=1e-5)
HF = dict(num_heads=2, grid=(4, 6))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
@pytest.mark.parametrize('to', ['mmpretrain', 'timm'])
def test_there_and_back(tmp_path, to, suffix):
    source = vit()
    path = save(source.state_dict(), tmp_path / 'x.pth', **{'neck.x': torch.ones(2)})
    out = tmp_path / f'out{suffix}'
    report = convert_checkpoint(path, to, out)
    assert report.converted == len(source.state_dict())
    assert report.left_out == {'decoder': 1}
    report = convert_checkpoint(out, 'mmpretrain', tmp_path / 'back.pth', prefix='')
    assert report.kind == to
    back = load(tmp_path / 'back.pth')['state_dict']
    assert back.keys() == source.state_dict().keys()
    for name, value in source.state_dict().items():
        assert torch.equal(back[name], value), name


PLAIN, SCALED, PRE_NORM = (
    ({}, {}),
    (dict(layer_scale_init_value=0.1), dict(init_values=0.1)),
    (dict(pre_norm=True), dict(pre_norm=True)),
)


@pytest.mark.parametrize(('ours', 'theirs'), [PLAIN, SCALED, PRE_NORM])
def test_timm_computes_the_same(tmp_path, ours, theirs):
    source = vit(**ours)
    path = save(source.state_dict(), tmp_path / 'x.pth')
    report = convert_checkpoint(path, 'timm', tmp_path / 'o.safetensors')
    assert 'layer scales were' not in str(report)
    target = timm.models.VisionTransformer(**SIZES, num_classes=0, **theirs)
    target.load_state_dict(load(tmp_path / 'o.safetensors'), strict=True)
    target.eval()
    assert_close(target.forward_features(images()), *source(images()), **CLOSE)


@pytest.mark.parametrize(('ours', 'theirs'), [PLAIN, SCALED])
def test_weights_of_timm_compute_the_same_here(tmp_path, ours, theirs):
    source = timm.models.VisionTransformer(**SIZES, num_classes=5, **theirs)
    torch.save(randomised(source).state_dict(), tmp_path / 'x.pth')
    report = convert_checkpoint(tmp_path / 'x.pth', 'mmpretrain', tmp_path / 'o.pth')
    assert (report.kind, report.left_out) == ('timm', {'head': 2})
    target = vit(1, **ours)
    PretrainedViT(tmp_path / 'o.pth', grid=(4, 6)).load(target)
    assert_close(*target(images()), source.forward_features(images()), **CLOSE)


def test_relative_positions_go_to_beit_of_timm(tmp_path):
    source = simmim_vit(final_norm=True)
    path = save(source.state_dict(), tmp_path / 'x.pth')
    report = convert_checkpoint(path, 'timm', tmp_path / 'o.safetensors')
    assert report.left_out == {'mask token': 1}
    target = timm.models.beit.Beit(
        **SIZES,
        num_classes=0,
        init_values=0.1,
        use_abs_pos_emb=False,
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True,
        global_pool='token',
    )
    target.load_state_dict(load(tmp_path / 'o.safetensors'), strict=True)
    target.eval()
    expected = source(images(), None)[0]
    assert_close(target.forward_features(images()), expected, **CLOSE)
    report = convert_checkpoint(
        tmp_path / 'o.safetensors', 'mmpretrain', tmp_path / 'o.pth', prefix=''
    )
    assert report.kind == 'beit'
    back = load(tmp_path / 'o.pth')['state_dict']
    wanted = source.state_dict()
    del wanted['mask_token']
    assert back.keys() == wanted.keys()
    assert all(torch.equal(back[name], value) for name, value in wanted.items())


@pytest.mark.parametrize('scale', [0, 0.1])
def test_transformers_computes_the_same(tmp_path, scale):
    transformers = pytest.importorskip('transformers')
    source = vit(layer_scale_init_value=scale)
    path = save(source.state_dict(), tmp_path / 'x.pth')
    report = convert_checkpoint(path, 'hf', tmp_path / 'out', **HF)
    assert report.converted == len(vit().state_dict()) + 4 * 2  # queries, keys, values
    assert ('layer scales were' in str(report)) == bool(scale)
    model, info = transformers.ViTModel.from_pretrained(
        tmp_path / 'out', add_pooling_layer=False, output_loading_info=True
    )
    assert not info['missing_keys']
    assert not info['unexpected_keys']
    features = model.eval()(images()).last_hidden_state
    assert_close(features, *source(images()), **CLOSE)


def test_small_layer_scales_of_half_precision(tmp_path):
    """A weight of 0.05 by a scale of 1e-5 has three bits left in float16."""
    source = vit(layer_scale_init_value=0.1).half()
    attention = source.layers[1].attn
    torch.nn.init.constant_(attention.gamma1.weight, 1e-5)
    path = save(source.state_dict(), tmp_path / 'x.pth')
    convert_checkpoint(path, 'mmdet', tmp_path / 'o.pth', prefix='')
    expected = attention.proj.weight.float() * attention.gamma1.weight.float()[:, None]
    found = load(tmp_path / 'o.pth')['state_dict']['layers.1.attn.proj.weight']
    assert_close(found.float(), expected, rtol=1e-6, atol=0)


def test_config_of_a_published_vit_model(tmp_path):
    path = save(vit(img_size=32).state_dict(), tmp_path / 'x.pth')
    convert_checkpoint(path, 'hf', tmp_path / 'out', num_heads=2)
    config = json.loads((tmp_path / 'out' / 'config.json').read_text())
    wanted = dict(
        architectures=['ViTModel'],
        model_type='vit',
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=48,
        hidden_act='gelu',
        layer_norm_eps=1e-6,
        image_size=32,
        patch_size=8,
        num_channels=3,
        qkv_bias=True,
    )
    assert wanted.items() <= config.items()


@pytest.mark.parametrize('scale', [0, 0.1])
@pytest.mark.downstream
def test_mmseg_computes_the_same(tmp_path, scale):
    """Through MMSegmentation's own loader."""
    from mmseg.models import VisionTransformer

    source = vit(
        img_size=32,
        layer_scale_init_value=scale,
        out_type='featmap',
    )
    path = save(source.state_dict(), tmp_path / 'x.pth')
    convert_checkpoint(path, 'mmseg', tmp_path / 'o.pth')
    target = VisionTransformer(
        img_size=32,
        patch_size=PATCH,
        embed_dims=24,
        num_layers=2,
        num_heads=2,
        mlp_ratio=2,
        final_norm=True,
        norm_cfg=dict(type='LN', eps=1e-6),
        init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'o.pth')),
        patch_bias=True,
    )
    target.init_weights()
    square = images()[..., :32]
    target.eval()
    assert_close(target(square), source(square), **CLOSE)


@pytest.mark.parametrize('scale', [0, 0.1])
def test_vitdet_without_windows_computes_the_same(tmp_path, scale):
    source = vit(
        layer_scale_init_value=scale,
        final_norm=False,
        with_cls_token=False,
        out_type='featmap',
    )
    others = {'ln1.weight': torch.ones(24), 'cls_token': torch.zeros(1, 1, 24)}
    path = save(source.state_dict() | others, tmp_path / 'x.pth')
    report = convert_checkpoint(path, 'mmdet', tmp_path / 'o.pth')
    assert report.left_out == {'final norm': 1, 'CLS token': 1}
    arch = dict(ARCH, global_attn_indexes=[0, 1])
    target = ViTDet(arch, img_size=SIZE, pretrain_img_size=SIZE, patch_size=PATCH)
    state = load(tmp_path / 'o.pth')['state_dict']
    state = {name.removeprefix('backbone.'): value for name, value in state.items()}
    result = target.load_state_dict(state, strict=False)
    assert not result.unexpected_keys
    assert all('rel_pos_' in name for name in result.missing_keys)
    assert_close(target(images()), source(images()), **CLOSE)


def simmim_variants(case):
    names = case.config['variants']
    return [name for name in names if f'out/{name}/z_unmasked' in case]


@each('simmim', simmim_variants)
def test_official_simmim_computes_its_features_here(tmp_path, golden, variant):
    case = golden('simmim')
    keys = case.under(f'weights_{variant}/')
    state = {name: case[key] for name, key in keys.items()}
    torch.save({'model': state}, tmp_path / 'x.pth')
    report = convert_checkpoint(tmp_path / 'x.pth', 'mmpretrain', tmp_path / 'o.pth')
    assert report.kind == 'beit'
    assert report.left_out == {'decoder': 2, 'mask token': 1}
    sizes = case.config
    dims = sizes['embed_dim']
    shared_bias, absolute = sizes['variants'][variant]
    target = simmim_vit(
        arch=dict(
            embed_dims=dims,
            num_layers=sizes['depth'],
            num_heads=sizes['num_heads'],
            feedforward_channels=4 * dims,
        ),
        img_size=sizes['img_size'],
        patch_size=sizes['patch_size'],
        final_norm=True,
        use_abs_pos_emb=absolute,
        use_shared_rel_pos_bias=shared_bias,
        out_type='featmap',
    )
    converted = load(tmp_path / 'o.pth')['state_dict']
    result = target.load_state_dict(
        {name.removeprefix('backbone.'): value for name, value in converted.items()},
        strict=False,
    )
    assert result.missing_keys == ['mask_token']
    assert not result.unexpected_keys
    case.assert_close(target(case['in/imgs'], None)[0], f'out/{variant}/z_unmasked')


def test_convolutional_stages_go_nowhere(tmp_path):
    config = dict(type='mmattmask.ConvViT', arch=CONVVIT, img_size=SIZE)
    path = save(MODELS.build(config).state_dict(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=r'weights that no ViT here has: .*conv_stag'):
        convert_checkpoint(path, 'timm', tmp_path / 'o.pth')


def test_positions_go_row_by_row_as_they_are(tmp_path):
    """MMPretrain's sine-cosine table runs through the grid column by column."""
    model = MODELS.build(
        dict(type='mmpretrain.MAEViT', arch=ARCH, img_size=32, patch_size=PATCH)
    )
    model.init_weights()
    path = save(model.state_dict(), tmp_path / 'x.pth')
    for to in ('mmseg', 'timm'):
        convert_checkpoint(path, to, tmp_path / f'{to}.safetensors')
        state = load(tmp_path / f'{to}.safetensors')
        assert torch.equal(state['pos_embed'], model.pos_embed)
