"""Reading the attention of a stock ViT."""

import pytest
import torch
from mmpretrain.models import MAEViT, TIMMBackbone, VisionTransformer

from mmattmask.masking import reduce_heads
from mmattmask.scorers.self_attention import (
    check_block,
    check_readable,
    read_block,
    read_cls_attention,
)


def small_vit(cls=VisionTransformer, dims=24, heads=3, depth=2, **options):
    arch = dict(
        embed_dims=dims,
        num_layers=depth,
        num_heads=heads,
        feedforward_channels=4 * dims,
    )
    options = dict(img_size=32, patch_size=8) | options
    backbone = cls(arch=arch, **options)
    backbone.eval()  # returns None
    return backbone


def explicit_attention(backbone, images, block=-1):
    """The softmax matrix of a block, computed from the input of its attention."""
    attention = backbone.layers[block].attn
    caught = []
    handle = attention.register_forward_hook(
        lambda module, args, output: caught.append(args[0])
    )
    backbone(images, mask=None) if isinstance(backbone, MAEViT) else backbone(images)
    handle.remove()
    qkv = attention.qkv(caught[0]).unflatten(-1, (3, attention.num_heads, -1))
    query, key, _ = qkv.permute(2, 0, 3, 1, 4)
    return (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(-1)


class NoMaskArgument(VisionTransformer):
    """The plain stock ViT, called as MAEViT is."""

    def forward(self, x, mask=None):
        return super().forward(x)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize('cls', [MAEViT, NoMaskArgument])
@torch.no_grad()
def test_attention_of_whole_images_equals_official_amt(golden, cls, dtype):
    case = golden('amt_attention')
    sizes = case.config
    backbone = small_vit(
        cls,
        sizes['embed_dim'],
        sizes['num_heads'],
        sizes['depth'],
        img_size=sizes['img_size'],
        patch_size=sizes['patch_size'],
    )
    load(backbone, case.state_dict())
    images = case['in/imgs'].to(dtype)
    attention = read_cls_attention(backbone.to(dtype), images)
    maps = {
        mode: reduce_heads(attention, mode).unflatten(1, case.grid())
        for mode in ('mean', 'mean_minmax', 'minmax_mean')
    }
    case.assert_close(attention, 'out/cls_row', lambda row: row[:, :, 1:])
    case.assert_close(maps['mean'].flatten(1), 'ref/head_mean')
    case.assert_close(maps['mean_minmax'], 'ref/paper_order_map')
    case.assert_close(maps['minmax_mean'], 'out/official_map')
    if dtype == torch.float64:
        case.assert_close(maps['minmax_mean'], 'f64/official_map')


@torch.no_grad()
def test_attention_of_another_grid_and_head_count_equals_official(golden):
    case = golden('amt_attention')
    sizes = case.config['small']
    backbone = small_vit(
        MAEViT, sizes['embed_dim'], sizes['num_heads'], sizes['depth'],
        img_size=sizes['img_size'], patch_size=sizes['patch_size'],
    )  # fmt: skip
    # the case's own map of names is that of its first model, of another depth
    names = {
        old.replace('blocks.0.', f'blocks.{block}.'): new
        and new.replace('backbone.layers.0.', f'backbone.layers.{block}.')
        for old, new in case.meta['param_map'].items()
        for block in range(sizes['depth'])
    }
    load(backbone, case.state_dict('weights_small', names))
    attention = read_cls_attention(backbone, case['in/small_imgs'])
    case.assert_close(
        attention, 'out/small_attention', lambda matrix: matrix[:, :, 0, 1:]
    )
    case.assert_close(reduce_heads(attention, 'mean'), 'ref/small_head_mean')
    released = reduce_heads(attention, 'minmax_mean').unflatten(
        1, case.grid(sizes=sizes)
    )
    case.assert_close(released, 'ref/small_map')


def load(backbone, state_dict) -> None:
    """Load what the encoder needs up to the last block's queries and keys."""
    state = {k.removeprefix('backbone.'): v for k, v in state_dict.items()}
    state = {k: v for k, v in state.items() if not k.startswith('neck.')}
    missing, unexpected = backbone.load_state_dict(state, strict=False)
    assert unexpected == []
    last = f'layers.{len(backbone.layers) - 1}.'
    unused = (f'{last}attn.proj', f'{last}ln2', f'{last}ffn', 'ln1')
    assert all(name.startswith(unused) for name in missing), missing


@pytest.mark.parametrize('block', [-1, 0, 1, -3])
@torch.no_grad()
def test_any_block_equals_its_explicit_attention_matrix(block):
    backbone = small_vit(MAEViT, depth=3)
    images = torch.randn(2, 3, 32, 32)
    attention = read_cls_attention(backbone, images, block)
    assert attention.shape == (2, 3, 16)
    expected = explicit_attention(backbone, images, block)[:, :, 0, 1:]
    torch.testing.assert_close(attention, expected)


def fail(*args):
    raise AssertionError('this is not needed')


@pytest.mark.parametrize('head', [None, 1])
@torch.no_grad()
def test_reading_computes_neither_values_nor_what_comes_after(head):
    backbone = small_vit(MAEViT, depth=3)
    images = torch.randn(2, 3, 32, 32)
    whole = read_cls_attention(backbone, images, 1, head=head, stop=False)
    attention = backbone.layers[1].attn
    for module in (attention.qkv, attention.proj, backbone.layers[2]):
        module.register_forward_hook(fail)
    read = read_cls_attention(backbone, images, 1, head=head)
    assert read.shape == (2, 3 if head is None else 1, 16)
    torch.testing.assert_close(read, whole)


@torch.no_grad()
def test_float32_scores_under_bfloat16_autocast():
    backbone = small_vit(MAEViT)
    images = torch.randn(2, 3, 32, 32)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        attention = read_cls_attention(backbone, images)
    assert attention.dtype == torch.float32
    exact = read_cls_attention(backbone, images)
    # logits come from bfloat16 projections, the softmax does not
    torch.testing.assert_close(attention, exact, rtol=0.1, atol=1e-3)
    assert not torch.equal(attention, attention.bfloat16().float())


@torch.no_grad()
def test_the_model_is_left_as_it_was():
    backbone = small_vit(MAEViT)
    images = torch.randn(2, 3, 32, 32)
    before = backbone(images, mask=None)[0]
    read_cls_attention(backbone, images)
    assert torch.equal(backbone(images, mask=None)[0], before)
    assert not backbone.layers[-1].attn.qkv._forward_pre_hooks
    with pytest.raises(RuntimeError):
        read_cls_attention(backbone, torch.randn(2, 5, 32, 32))
    assert not backbone.layers[-1].attn.qkv._forward_pre_hooks


def test_a_backbone_without_cls_token_is_refused_by_name():
    backbone = small_vit(with_cls_token=False, out_type='avg_featmap')
    with pytest.raises(ValueError, match=r'VisionTransformer has no CLS token'):
        check_readable(backbone)
    with pytest.raises(ValueError, match=r'no CLS token'):
        read_cls_attention(backbone, torch.randn(1, 3, 32, 32))


def test_blocks_of_timms_wrapper_are_read():
    pytest.importorskip('timm')
    backbone = TIMMBackbone('vit_tiny_patch16_224', img_size=32, depth=2)
    check_block(backbone, 1)
    read = read_block(backbone, 1, lambda: backbone(torch.randn(2, 3, 32, 32)))
    assert read.query.shape == (2, 3, 5, 64)
    normed = TIMMBackbone('vit_tiny_patch16_224', img_size=32, depth=2, qk_norm=True)
    with pytest.raises(ValueError, match=r'block 1 of TIMMBackbone .*\(q_norm\)'):
        check_block(normed, 1)


@pytest.mark.parametrize('block', [2, -3])
def test_a_block_that_does_not_exist_is_refused(block):
    with pytest.raises(ValueError, match=f'block {block} does not exist in 2 blocks'):
        check_readable(small_vit(), block)


def test_attention_without_a_qkv_projection_is_refused():
    backbone = small_vit()
    backbone.layers[1].attn = torch.nn.Identity()
    check_readable(backbone, 0)
    with pytest.raises(ValueError, match=r'block -1 of VisionTransformer has no attn'):
        check_readable(backbone)
