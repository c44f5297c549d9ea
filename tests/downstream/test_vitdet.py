"""ViTDet's backbone against its published rule, written out query by query."""

import math

import pytest
import torch
from mmpretrain.models import ViTSAM
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from mmattmask.downstream import SimpleFeaturePyramid, ViTDet

ARCH = dict(
    embed_dims=12,
    num_layers=2,
    num_heads=2,
    feedforward_channels=24,
    global_attn_indexes=[1],
)
SIZES = [(48, 48), (32, 56), (61, 35)]  # usual, not square, not a multiple of 8


def build(dtype=torch.float64, **changes):
    """A tiny ViTDet whose weights are all random, tables of positions too."""
    options = dict(
        arch=ARCH, img_size=48, pretrain_img_size=24, patch_size=8, window_size=4
    )
    model = ViTDet(**{**options, **changes}).to(dtype)
    model.eval()  # MMPretrain's backbones do not return themselves
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.5)
    return model


def images(height, width, batch=2):
    return torch.randn(batch, 3, height, width, dtype=torch.float64)


def table(rel_pos, size):
    """Positions for `size` tokens along an axis: one row per distance."""
    if len(rel_pos) == 2 * size - 1:
        return rel_pos
    return F.interpolate(rel_pos.T[None], 2 * size - 1, mode='linear')[0].T


def reference_attention(attention, x):
    """Attention of one map (h, w, C): detectron2's Attention, one query at a time."""
    height, width, dims = x.shape
    heads = attention.num_heads
    qkv = attention.qkv(x).view(height, width, 3, heads, dims // heads)
    table_h = table(attention.rel_pos_h, height)
    table_w = table(attention.rel_pos_w, width)
    out = torch.zeros(height, width, heads, dims // heads, dtype=x.dtype)
    for head in range(heads):
        query, key, value = qkv[:, :, :, head].unbind(2)
        for i in range(height):
            for j in range(width):
                q = query[i, j]
                logits = key @ q / math.sqrt(dims // heads)
                to_row = table_h[i - torch.arange(height) + height - 1] @ q
                to_column = table_w[j - torch.arange(width) + width - 1] @ q
                logits = logits + to_row[:, None] + to_column[None]
                share = logits.flatten().softmax(0)
                out[i, j, head] = share @ value.flatten(0, 1)
    return attention.proj(out.flatten(2))


def reference_block(layer, x):
    """detectron2's Block on one map: windows are padded with zeros, after the norm."""
    height, width, _ = x.shape
    side = layer.window_size or max(height, width)
    normed = layer.ln1(x)
    if layer.window_size:
        normed = F.pad(normed, (0, 0, 0, -width % side, 0, -height % side))
    attended = torch.zeros_like(normed)
    for top in range(0, normed.shape[0], side):
        for left in range(0, normed.shape[1], side):
            window = (slice(top, top + side), slice(left, left + side))
            attended[window] = reference_attention(layer.attn, normed[window])
    x = x + attended[:height, :width]
    first, second = layer.ffn.layers[0][0], layer.ffn.layers[1]
    return x + second(F.gelu(first(layer.ln2(x))))


@pytest.mark.parametrize('size', SIZES)
def test_features_follow_the_published_rule(size):
    model = build()
    x = images(*size, batch=1)
    weight, bias = model.patch_embed.projection.parameters()
    padded = F.pad(x, (0, -size[1] % 8, 0, -size[0] % 8))
    maps = F.conv2d(padded, weight, bias, stride=8)
    positions = model.pos_embed.permute(0, 3, 1, 2)
    assert positions.shape[2:] == (3, 3)
    maps = maps + F.interpolate(positions, maps.shape[2:], mode='bicubic')
    expected = maps[0].permute(1, 2, 0)
    with torch.no_grad():
        for layer in model.layers:
            expected = reference_block(layer, expected)
        (features,) = model(x)
    assert features.shape == (1, 12, math.ceil(size[0] / 8), math.ceil(size[1] / 8))
    assert_close(features[0].permute(1, 2, 0), expected)


def stock(model):
    """ViTSAM with the same weights; it has a table of the large grid."""
    vit = ViTSAM(arch=ARCH, img_size=48, patch_size=8, window_size=4, out_channels=0)
    state = model.state_dict()
    positions = F.interpolate(state['pos_embed'].permute(0, 3, 1, 2), 6, mode='bicubic')
    state['pos_embed'] = positions.permute(0, 2, 3, 1)
    vit.double().eval()
    vit.load_state_dict(state)
    return vit


def test_features_and_gradients_are_those_of_stock_vitsam():
    model = build()
    vit = stock(model)
    x = images(48, 48)
    (ours,), (theirs,) = model(x), vit(x)
    assert_close(ours, theirs)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    for name, parameter in vit.named_parameters():
        if name != 'pos_embed':
            assert_close(model.get_parameter(name).grad, parameter.grad, msg=name)
    assert model.pos_embed.grad.abs().min() > 0


def test_relative_positions_start_without_effect():
    options = dict(arch=ARCH, img_size=48, pretrain_img_size=24, patch_size=8)
    model = ViTDet(**options)
    model.init_weights()
    plain = ViTDet(**options, use_rel_pos=False)
    plain.load_state_dict(model.state_dict(), strict=False)
    x = torch.randn(1, 3, 48, 48)
    assert_close(model(x), plain(x))
    assert not any('rel_pos' in name for name in plain.state_dict())


def test_both_branches_are_dropped():
    model = build(drop_path_rate=0.5)
    model.train()
    first, last = model.layers
    assert (first.drop_path.drop_prob, last.drop_path.drop_prob) == (0, 0.5)
    x = torch.randn(400, 2, 2, 12, dtype=torch.float64)
    unchanged = (last(x) == x).flatten(1).all(1).double().mean()
    assert_close(unchanged.item(), 0.25, atol=0.06, rtol=0)
    last.eval()
    assert (last(x) != x).flatten(1).all(1).all()


def test_windows_do_not_see_each_other_and_global_blocks_do():
    windowed, whole = build().layers
    assert (windowed.window_size, whole.window_size) == (4, 0)
    x = torch.randn(1, 8, 8, 12, dtype=torch.float64)
    other = x.clone()
    other[:, 0, 0] += torch.randn(12)
    changed = [(layer(x) != layer(other)).any(-1)[0] for layer in (windowed, whole)]
    assert changed[0][:4, :4].all()
    assert changed[0].sum() == 16
    assert changed[1].all()
    assert all(layer.window_size == 0 for layer in build(window_size=0).layers)


def test_computing_again_changes_nothing():
    gradients = []
    for with_cp in (False, True):
        torch.manual_seed(1)
        model = build(with_cp=with_cp, drop_path_rate=0.5)
        model.train()
        torch.manual_seed(2)
        model(images(48, 40))[0].square().sum().backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    assert_close(gradients[0], gradients[1])


def test_init_weights_without_position_embedding():
    model = ViTDet(ARCH, img_size=48, patch_size=8, use_abs_pos=False)
    model.init_weights()
    assert model.pos_embed is None
    assert model(torch.randn(1, 3, 48, 48))[0].shape == (1, 12, 6, 6)


def test_features_of_several_blocks():
    model = build(out_indices=(0, -1))
    x = images(48, 48)
    first, last = model(x)
    assert first.shape == last.shape
    assert_close(build_like(model)(x)[0], last)


def build_like(model):
    other = build()
    other.load_state_dict(model.state_dict())
    return other


def test_positions_of_other_forms_load():
    model = build()
    state = model.state_dict()
    own = state['pos_embed']
    with_cls = F.pad(own.flatten(1, 2), (0, 0, 1, 0), value=9.0)
    model.load_state_dict({**state, 'pos_embed': with_cls})
    assert torch.equal(model.pos_embed, own)
    large = torch.randn(1, 26, 12, dtype=torch.float64)
    model.load_state_dict({**state, 'pos_embed': large})
    assert model.pos_embed.shape == own.shape


def test_depth_of_every_parameter():
    model = build()
    depths = {n: model.get_layer_depth(n)[0] for n, _ in model.named_parameters()}
    assert depths['pos_embed'] == depths['patch_embed.projection.weight'] == 0
    assert depths['layers.1.attn.rel_pos_h'] == 2
    assert set(depths.values()) == {0, 1, 2}


def test_sizes_that_patches_do_not_divide():
    with pytest.raises(ValueError, match=r'pretrain_img_size 30 x 30 .* patch_size 8'):
        ViTDet(ARCH, img_size=48, pretrain_img_size=30, patch_size=8)


@pytest.mark.parametrize('as_tuple', [False, True])
def test_pyramid_has_five_strides(as_tuple):
    pyramid = SimpleFeaturePyramid(in_channels=12, out_channels=8)
    x = torch.randn(2, 12, 6, 10)
    maps = pyramid((torch.zeros(1), x) if as_tuple else x)
    sizes = [(24, 40), (12, 20), (6, 10), (3, 5), (2, 3)]
    assert [tuple(m.shape) for m in maps] == [(2, 8, *size) for size in sizes]
    assert torch.equal(maps[4], maps[3][:, :, ::2, ::2])


def test_pyramid_normalises_channels_of_a_pixel_as_vitdet():
    pyramid = SimpleFeaturePyramid(in_channels=12, out_channels=8)
    for level in pyramid(torch.randn(1, 12, 4, 4)):
        pixels = level.permute(0, 2, 3, 1).flatten(0, 2)
        assert_close(pixels.mean(1), torch.zeros(len(pixels)), atol=1e-5, rtol=0)
        variance = pixels.var(1, unbiased=False)
        assert_close(variance, torch.ones(len(pixels)), atol=1e-3, rtol=0)
    norms = [m for m in pyramid.modules() if isinstance(m, nn.LayerNorm)]
    assert {norm.eps for norm in norms} == {1e-6}
    convs = [m for m in pyramid.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 8
    assert all(conv.bias is None for conv in convs)
