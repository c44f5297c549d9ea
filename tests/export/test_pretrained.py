"""Every source of weights fits, or says why not; nothing keeps its random values."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmpretrain.models import VisionTransformer
from mmpretrain.models.utils import resize_pos_embed
from torch.testing import assert_close

from mmattmask.checkpoints import load_whole
from mmattmask.downstream import ViTDet
from mmattmask.evaluation.frozen_backbone import load_backbone
from mmattmask.export import convert_checkpoint
from mmattmask.export.fit_vit import fit_pos_embed, fit_vit
from mmattmask.export.pretrained import PretrainedViT
from mmattmask.run_guard import check_positions
from mmattmask.scorers import FrozenTeacher

from ..models.ibot_model import build as build_ibot
from ..models.ibot_model import ibot_config
from .tiny_vits import prefixed, timm_names

ARCH = dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=16)


def vit(img_size=32, **changes):
    """A tiny ViT whose weights are all random."""
    model = VisionTransformer(
        **{**dict(arch=ARCH, img_size=img_size, patch_size=8), **changes}
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def extra(name):
    return {name: torch.zeros(3, 3)}


LAYOUTS = {
    'our MAE': lambda s: {
        'state_dict': prefixed('backbone.', s)
        | extra('neck.mask_token')
        | extra('backbone.visible_mask_token')
        | extra('scorer.teacher.layers.0.ln1.weight')
    },
    'our LUT': lambda s: {
        'state_dict': prefixed('backbone.', s)
        | prefixed('teacher.backbone.', {k: v + 1 for k, v in s.items()})
        | extra('teacher.projector.fc0.weight')
    },
    'our iBOT': lambda s: {
        'state_dict': prefixed('backbone.', {k: v + 1 for k, v in s.items()})
        | extra('backbone.mask_token')
        | prefixed('teacher.backbone.', s)
        | extra('teacher.head.mlp.0.weight')
    },
    'official MAE': lambda s: {
        'model': timm_names(s) | extra('decoder_blocks.0.norm1.weight')
    },
    'official iBOT': lambda s: {
        'student': prefixed('module.backbone.', {k: v + 1 for k, v in s.items()}),
        'teacher': prefixed('backbone.', timm_names(s)) | extra('head.last_layer.x'),
    },
    'official student': lambda s: {
        'student': prefixed('module.backbone.', timm_names(s))
    },
    'timm': timm_names,
    'a backbone': dict,
}


@pytest.mark.parametrize('layout', LAYOUTS)
def test_weights_of_all_sources_arrive(tmp_path, layout):
    source, target = vit(), vit()
    torch.save(LAYOUTS[layout](source.state_dict()), tmp_path / 'x.pth')
    matched = PretrainedViT(tmp_path / 'x.pth').load(target)
    network = ' (teacher)' if layout == 'our iBOT' else ''
    assert matched == f'matched 30/30 weights of {tmp_path / "x.pth"}{network}'
    assert_close(dict(target.state_dict()), dict(source.state_dict()))


@pytest.mark.parametrize('layout', ['our iBOT', 'official iBOT'])
def test_one_network_of_several(tmp_path, layout):
    source, target = vit(), vit()
    torch.save(LAYOUTS[layout](source.state_dict()), tmp_path / 'x.pth')
    matched = PretrainedViT(tmp_path / 'x.pth', prefix='student.').load(target)
    assert matched.endswith(' (student)')
    assert_close(target.ln1.bias, source.ln1.bias + 1)
    with pytest.raises(ValueError, match="nothing called 'ema'; it has"):
        PretrainedViT(tmp_path / 'x.pth', prefix='ema.').load(target)


@pytest.mark.parametrize('key', [None, 'teacher', 'student'])
def test_one_network_of_our_ibot_whoever_reads_it(tmp_path, key):
    host, path = build_ibot(patch_weight=0.0), tmp_path / 'x.pth'
    host.teacher.requires_grad_(False)
    host.teacher['backbone'].ln1.bias += 1
    torch.save(dict(state_dict=host.state_dict()), path)
    network = host.backbone if key == 'student' else host.teacher['backbone']
    backbone = ibot_config()['backbone'] | dict(type='mmpretrain.VisionTransformer')
    started, whole = MODELS.build(backbone), MODELS.build(backbone)
    line = PretrainedViT(path, prefix=key).load(started)
    evaluated, other_line = load_backbone(backbone, path, key)
    scorer = FrozenTeacher(backbone, str(path), 1, 0, prefix=key)
    scorer.init_weights()
    convert_checkpoint(path, 'mmpretrain', tmp_path / 'o.pth', key=key, prefix='')
    converted = torch.load(tmp_path / 'o.pth')
    for found in (started, evaluated, scorer.teacher):
        assert torch.equal(found.ln1.bias, network.ln1.bias)
    assert torch.equal(converted['state_dict']['ln1.bias'], network.ln1.bias)
    assert converted['meta']['key'] == (key or 'teacher')
    assert line == other_line
    assert line.endswith(f'({key or "teacher"})')
    # MMEngine's load_from knows names only
    classifier = torch.nn.ModuleDict(dict(backbone=whole))
    load_whole(classifier, host.state_dict())
    assert torch.equal(whole.ln1.bias, host.backbone.ln1.bias)


def test_other_heads_than_the_file_was_trained_with(tmp_path):
    """As many weights, cut in other places."""
    source = VisionTransformer(ARCH, img_size=32, patch_size=8)
    cfg = Config(dict(model=dict(backbone=dict(arch=ARCH))))
    path, meta = tmp_path / 'x.pth', dict(cfg=cfg.pretty_text)
    torch.save(dict(state_dict=source.state_dict(), meta=meta), path)
    convert_checkpoint(path, 'hf', tmp_path / 'hf')
    config = json.loads((tmp_path / 'hf' / 'config.json').read_text())
    assert config['num_attention_heads'] == ARCH['num_heads']
    other = VisionTransformer(dict(ARCH, num_heads=4), img_size=32, patch_size=8)
    with pytest.raises(ValueError, match=r'was trained with 2 heads, .* has \{4\}'):
        PretrainedViT(checkpoint=str(path)).load(other)


@pytest.mark.parametrize('recorded', [True, False])
def test_a_long_grid_with_as_many_rows_as_a_square(tmp_path, recorded):
    """2 x 8 patches are not 4 x 4: the config in the checkpoint says so."""
    source, path = vit((16, 64)), tmp_path / 'x.pth'
    backbone = dict(type='VisionTransformer', arch=ARCH, img_size=(16, 64))
    cfg = Config(dict(model=dict(type='MAE', backbone=dict(backbone, patch_size=8))))
    meta = dict(cfg=cfg.pretty_text) if recorded else {}
    torch.save(
        dict(meta=meta, state_dict=prefixed('backbone.', source.state_dict())), path
    )
    targets = [vit(), vit(), vit((16, 64))]
    PretrainedViT(path).load(targets[0])
    PretrainedViT(path, grid=(2, 8)).load(targets[1])
    assert torch.equal(targets[0].pos_embed, targets[1].pos_embed) == recorded
    if recorded:  # else it is refused: there are two ways
        PretrainedViT(path).load(targets[2])
        assert torch.equal(targets[2].pos_embed, source.pos_embed)
        convert_checkpoint(path, 'mmpretrain', tmp_path / 'again.pth')
        meta = torch.load(tmp_path / 'again.pth', weights_only=True)['meta']
        assert 'MAE' not in meta['cfg']  # what is given away tells no more than it must
        PretrainedViT(tmp_path / 'again.pth').load(vit_again := vit())
        assert torch.equal(vit_again.pos_embed, targets[0].pos_embed)
        content = torch.load(path, weights_only=True)
        check_positions(content, SimpleNamespace(backbone=targets[2]))
        with pytest.raises(ValueError, match=r'of 2 x 8 patches, .* way to 4 x 4: use'):
            check_positions(content, SimpleNamespace(backbone=targets[0]))
    config = dict(type='mmpretrain.VisionTransformer', arch=ARCH, patch_size=8)
    evaluated, _ = load_backbone(dict(config, img_size=32), path)
    assert torch.equal(evaluated.pos_embed, targets[1].pos_embed) == recorded
    convert_checkpoint(path, 'hf', tmp_path / 'hf', num_heads=2)
    size = json.loads((tmp_path / 'hf' / 'config.json').read_text())['image_size']
    assert size == ([16, 64] if recorded else 32)


def test_safetensors(tmp_path):
    save_file = pytest.importorskip('safetensors.torch').save_file
    source, target = vit(), vit()
    save_file(prefixed('teacher.', source.state_dict()), tmp_path / 'x.safetensors')
    PretrainedViT(tmp_path / 'x.safetensors', prefix='teacher.').load(target)
    assert_close(target.ln1.bias, source.ln1.bias)


def simmim_names(state):
    """Names of the released SimMIM: encoder, three separate biases, layer scales."""
    state = timm_names(state)
    for name in [n for n in state if n.endswith('qkv.bias')]:
        query, _, value = state.pop(name).chunk(3)
        block = name.removesuffix('qkv.bias')
        state |= {f'{block}q_bias': query, f'{block}v_bias': value}
    state = scales_called('gamma_1', 'gamma_2', state)
    return {'model': prefixed('encoder.', state) | extra('decoder.0.weight')}


def scales_called(attention, mlp, state):
    names = {'attn.gamma1.weight': attention, 'ffn.gamma2.weight': mlp}
    renamed = dict(state)
    for name in state:
        for ours, theirs in names.items():
            if name.endswith(ours):
                renamed[name.replace(ours, theirs)] = renamed.pop(name)
    return renamed


def timm_scales(state):
    return scales_called('ls1.gamma', 'ls2.gamma', timm_names(state))


def without_key_bias(model):
    with torch.no_grad():
        for layer in model.layers:
            layer.attn.qkv.bias[8:16] = 0
    return model


OURS = {
    'MAE': dict(type='mmattmask.GuidedMAEViT'),
    'iBOT': dict(type='mmattmask.IBOTViT'),
    'SimMIM of AMT': dict(
        type='mmattmask.SimMIMViT',
        use_abs_pos_emb=True,
        use_shared_rel_pos_bias=False,
        layer_scale_init_value=0.1,
    ),
}


@pytest.mark.parametrize('name', OURS)
def test_backbones_of_our_hosts_become_plain_vits(tmp_path, name):
    source = MODELS.build(dict(OURS[name], arch=ARCH, img_size=32, patch_size=8))
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.normal_(std=0.3)
    torch.save(prefixed('backbone.', source.state_dict()), tmp_path / 'x.pth')
    target = vit(out_type='raw')
    PretrainedViT(tmp_path / 'x.pth').load(target)
    source.eval()
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    (features,) = source.double()(images, None)
    if features.ndim == 4:
        features = torch.cat([torch.zeros(2, 1, 8), features.flatten(2).mT], dim=1)
        assert_close(target.double()(images)[0][:, 1:], features[:, 1:])
    else:
        assert_close(target.double()(images)[0], features)


@pytest.mark.parametrize('names', [simmim_names, timm_scales])
@pytest.mark.parametrize('has_scales', [False, True])
def test_biases_and_layer_scales_of_others(tmp_path, names, has_scales):
    source = without_key_bias(vit(layer_scale_init_value=0.1))
    torch.save(names(source.state_dict()), tmp_path / 'x.pth')
    target = vit(layer_scale_init_value=0.1 if has_scales else 0)
    PretrainedViT(tmp_path / 'x.pth').load(target)
    images = torch.randn(2, 3, 32, 32)
    assert_close(target(images), source(images))


def test_the_bias_of_keys_changes_nothing():
    config = OURS['SimMIM of AMT'] | dict(arch=ARCH, img_size=32, patch_size=8)
    source, target = vit(layer_scale_init_value=0.1), MODELS.build(config)
    target.load_state_dict(fit_vit(target, source.state_dict(), 'x'), strict=False)
    target.eval()
    images = torch.randn(2, 3, 32, 32)
    (features,) = target(images, None)
    expected = vit(layer_scale_init_value=0.1, out_type='featmap')
    expected.load_state_dict(source.state_dict())
    assert_close(features, expected(images)[0])


def test_vitdet_without_windows_computes_what_the_vit_computed(tmp_path):
    source = vit(out_type='featmap', final_norm=False, with_cls_token=False)
    torch.save(LAYOUTS['our MAE'](source.state_dict()), tmp_path / 'x.pth')
    arch = dict(ARCH, global_attn_indexes=[0, 1])
    target = ViTDet(arch, img_size=32, pretrain_img_size=32, patch_size=8)
    matched = PretrainedViT(tmp_path / 'x.pth').load(target)
    assert matched.startswith('matched 27/31 weights')  # four tables of positions
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    assert_close(target.double()(images), source.double()(images))


@pytest.mark.parametrize('with_cls_token', [False, True])
def test_positions_are_interpolated_as_mmpretrain_does(with_cls_token):
    source = vit(with_cls_token=with_cls_token, out_type='featmap')
    target = vit(img_size=(40, 56), with_cls_token=with_cls_token, out_type='featmap')
    state = fit_vit(target, source.state_dict(), 'x')
    args = ((4, 4), (5, 7), 'bicubic', int(with_cls_token))
    assert_close(state['pos_embed'], resize_pos_embed(source.pos_embed.data, *args))


def test_row_of_cls_is_dropped_but_not_invented():
    rows = torch.arange(17.0).view(1, 17, 1)
    assert_close(fit_pos_embed(rows, (1, 4, 4, 1), (4, 4)).flatten(), rows[0, 1:, 0])
    assert_close(fit_pos_embed(rows, (1, 16, 1), (4, 4)), rows[:, 1:])
    with pytest.raises(ValueError, match='16 rows has none for the 1 extra tokens'):
        fit_pos_embed(rows[:, 1:], (1, 17, 1), (4, 4))


def test_grids_that_are_not_square():
    rows = torch.randn(1, 13, 2)
    assert_close(fit_pos_embed(rows, (1, 13, 2), (2, 6)), rows)  # as pre-trained
    with pytest.raises(ValueError, match='13 rows may have the grids of no square'):
        fit_pos_embed(rows, (1, 21, 2), (4, 5))
    resized = fit_pos_embed(rows, (1, 25, 2), (4, 6), grid=(2, 6))
    assert_close(resized[:, 0], rows[:, 0])
    with pytest.raises(ValueError, match=r'13 rows does not fit a grid of \(3, 5\)'):
        fit_pos_embed(rows, (1, 25, 2), (4, 6), grid=(3, 5))
    ambiguous = torch.randn(1, 37, 2)
    with pytest.raises(ValueError, match=r'37 rows .* \[\(4, 9\), \(6, 6\)\]'):
        fit_pos_embed(ambiguous, (1, 37, 2), (4, 9))


WRONG = {
    'width': (
        dict(arch=dict(ARCH, embed_dims=12, num_heads=3)),
        r'cls_token \(1, 1, 12\) instead of \(1, 1, 8\)',
    ),
    'patches': (
        dict(patch_size=4),
        r'patch_embed\.projection\.weight \(8, 3, 4, 4\) instead',
    ),
    'deeper': (dict(arch=dict(ARCH, num_layers=3)), 'no place for 12 of its weights'),
    'shallower': (
        dict(arch=dict(ARCH, num_layers=1)),
        r'matched 18/30 .*layers\.1\.ln1',
    ),
}


@pytest.mark.parametrize('kind', WRONG)
def test_other_architectures_are_refused(tmp_path, kind):
    changes, message = WRONG[kind]
    torch.save(vit(**changes).state_dict(), tmp_path / 'x.pth')
    with pytest.raises(ValueError, match=message):
        PretrainedViT(tmp_path / 'x.pth').load(vit())


def test_shared_position_bias_goes_to_every_block():
    source = MODELS.build(
        dict(type='mmattmask.SimMIMViT', arch=ARCH, img_size=32, patch_size=8)
    )
    for parameter in source.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    target = MODELS.build(
        dict(
            type='mmpretrain.BEiTViT',
            arch=ARCH,
            img_size=32,
            patch_size=8,
            out_type='raw',
            layer_scale_init_value=0.1,
            use_abs_pos_emb=False,
            use_rel_pos_bias=True,
            final_norm=True,
        )
    )
    target.load_state_dict(fit_vit(target, source.state_dict(), 'x'), strict=False)
    source.eval()
    target.eval()
    images = torch.randn(2, 3, 32, 32)
    tokens = target(images)[0]
    patches = source(images, None)[0].flatten(2).mT
    assert_close(tokens[:, -patches.shape[1] :], patches)


def test_positions_have_no_place_where_there_are_none():
    config = dict(type='mmattmask.SimMIMViT', arch=ARCH, img_size=32, patch_size=8)
    with pytest.raises(ValueError, match='no place for 1 of its weights: pos_embed'):
        fit_vit(MODELS.build(config), vit().state_dict(), 'x')
    state = vit().state_dict() | extra('rel_pos_bias.relative_position_bias_table')
    with pytest.raises(ValueError, match='no place for 1 of its weights: rel_pos_bias'):
        fit_vit(vit(), state, 'x')


def test_no_checkpoint():
    with pytest.raises(ValueError, match='no checkpoint is given'):
        PretrainedViT('').load(vit())


@pytest.fixture
def checkpoint(tmp_path):
    source = vit()
    path = tmp_path / 'x.pth'
    torch.save(LAYOUTS['our MAE'](source.state_dict()), path)
    return source, str(path)


def config(path, **changes):
    init_cfg = dict(type='Pretrained', _scope_='mmattmask', checkpoint=path, **changes)
    return dict(
        type='mmpretrain.VisionTransformer',
        arch=ARCH,
        img_size=32,
        patch_size=8,
        init_cfg=init_cfg,
    )


@pytest.mark.parametrize('scope', ['mmpretrain', 'mmengine'])
def test_init_cfg_has_the_last_word(checkpoint, scope):
    source, path = checkpoint
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(config(path, prefix='backbone.'))
        model.init_weights()
    assert_close(dict(model.state_dict()), dict(source.state_dict()))


def test_init_cfg_refuses_what_does_not_fit(checkpoint):
    model = MODELS.build(config(checkpoint[1]) | dict(arch=dict(ARCH, num_layers=3)))
    with pytest.raises(ValueError, match=r'matched 30/42 .*layers\.2\.ln1'):
        model.init_weights()
    optional = (r'^layers\.2\.',)
    model = MODELS.build(
        config(checkpoint[1], optional=optional) | dict(arch=dict(ARCH, num_layers=3))
    )
    model.init_weights()


def test_init_cfg_of_another_type_would_be_overwritten(checkpoint):
    right = config(checkpoint[1])['init_cfg']
    for wrong in (dict(right, type='mmattmask.Pretrained'), [right]):
        model = MODELS.build(config(checkpoint[1]) | dict(init_cfg=wrong))
        with pytest.raises(ValueError, match=r"type='Pretrained', _scope_='mmattmask'"):
            model.init_weights()
