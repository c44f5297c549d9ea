"""ConvMAE: visible patches are all it computes, and nothing else reaches them."""

import math

import pytest
import torch
from mmpretrain.models import MAEViT
from torch.nn import functional as F

from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.models import ConvMAEViT, ConvViT
from mmattmask.models.convmae_blocks import ConvStage

TINY = dict(embed_dims=(8, 12, 24), depths=(2, 1, 2), num_heads=3, strides=(2, 2, 2))
AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)
HEAD = dict(
    type='mmattmask.GuidedMAEHead',
    norm_pix=True,
    loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2'),
)


@pytest.fixture
def convmae(guided_mae):
    """Builder of an initialised GuidedMAE on a tiny ConvMAE."""

    def build(img_size=48, arch=TINY, **changes):
        backbone = dict(type='mmattmask.ConvMAEViT', arch=arch, img_size=img_size)
        model = guided_mae(backbone=backbone, head=HEAD, **changes)
        for name, value in model.backbone.named_parameters():
            if name.endswith('bias'):  # so that hidden cells are not zero by chance
                torch.nn.init.normal_(value, std=0.1)
        return model

    return build


def partition_of(grid, num_visible, num_thrown=0, batch_size=2):
    num_patches = math.prod(grid)
    ids = torch.stack([torch.randperm(num_patches) for _ in range(batch_size)])
    num_masked = num_patches - num_visible - num_thrown
    return partition_patches(ids, PatchBudget(num_visible, num_masked, num_thrown))


def norm(layer, x):
    return layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def pointwise(layer, x):
    return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)


def everything(backbone, images, visible):
    """All cells of all stages, hidden ones multiplied by 0 before they can spread.

    Args:
        visible: (B, 1, h, w), 1 = visible, or None: no masks.

    Returns:
        Maps of the convolutional stages and the embedded tokens (B, L, C).
    """
    x, maps = images, []
    for stage in backbone.conv_stages:
        x = F.gelu(norm(stage.embed.ln, stage.embed.conv(x)))
        for block in stage.blocks:
            y = pointwise(block.pointwise1, norm(block.ln1, x))
            if visible is not None:
                y = y * F.interpolate(visible, x.shape[-2:], mode='nearest')
            x = x + pointwise(block.pointwise2, block.depthwise(y))
            hidden = pointwise(block.ffn.layers[0][0], norm(block.ln2, x))
            x = x + pointwise(block.ffn.layers[1], F.gelu(hidden))
        maps.append(x)
    x = F.gelu(norm(backbone.patch_embed.ln, backbone.patch_embed.conv(x)))
    return maps, backbone.projection(x.flatten(2).transpose(1, 2)) + backbone.pos_embed


def encode(backbone, images, partition, grid):
    """ConvMAE's masked forward as its authors wrote it down, not as we compute it."""
    hidden = torch.ones(images.shape[0], math.prod(grid), dtype=images.dtype)
    visible = 1 - hidden.scatter(1, partition.ids_keep, 0)
    maps, x = everything(backbone, images, visible.view(-1, 1, *grid))
    fused = [
        fusion(x).flatten(2).transpose(1, 2)
        for fusion, x in zip(backbone.fusions, maps, strict=True)
    ]
    index = partition.ids_keep.unsqueeze(-1).expand(-1, -1, x.shape[-1])
    x, *fused = (tokens.gather(1, index) for tokens in (x, *fused))
    for layer in backbone.layers:
        x = layer(x)
    return backbone.ln1(x + sum(fused))


@pytest.mark.parametrize(
    ('img_size', 'strides', 'num_visible', 'num_thrown'),
    [
        ((48, 48), (2, 2, 2), 9, 0),
        ((32, 56), (2, 2, 2), 6, 10),
        ((16, 72), (4, 1, 2), 1, 3),
        ((64, 32), (4, 2, 2), 7, 0),
    ],
)
def test_equals_computing_everything_with_masks(
    convmae, img_size, strides, num_visible, num_thrown
):
    model = convmae(img_size, {**TINY, 'strides': strides})
    backbone = model.backbone.double()
    grid = backbone.patch_resolution
    images = torch.randn(2, 3, *img_size, dtype=torch.float64, requires_grad=True)
    partition = partition_of(grid, num_visible, num_thrown)
    tokens, mask, ids_restore = backbone(images, partition)
    assert torch.equal(mask, partition.mask)
    assert torch.equal(ids_restore, partition.ids_restore)
    expected = encode(backbone, images, partition, grid)
    torch.testing.assert_close(tokens, expected)

    direction = torch.randn_like(tokens)
    inputs = [images, *(p for p in backbone.parameters() if p.requires_grad)]
    gradients = torch.autograd.grad(tokens, inputs, direction)
    for ours, theirs in zip(
        gradients, torch.autograd.grad(expected, inputs, direction), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_whole_images_give_tokens_maps_and_means_without_fusion():
    torch.manual_seed(0)
    images = torch.randn(2, 3, 32, 48)
    masked = ConvMAEViT(TINY, img_size=(32, 48))
    masked.init_weights()
    maps, tokens = everything(masked, images, None)
    for layer in masked.layers:
        tokens = layer(tokens)
    (raw,) = masked(images, mask=None)
    torch.testing.assert_close(raw, masked.ln1(tokens))
    torch.testing.assert_close(masked(images, mask=False)[0], raw)

    options = dict(img_size=(32, 48), final_norm=False)
    pooled = ConvViT(TINY, **options)
    assert pooled.load_state_dict(masked.state_dict(), strict=False).missing_keys == [
        'ln2.weight',
        'ln2.bias',
    ]
    torch.testing.assert_close(pooled(images)[0], pooled.ln2(tokens.mean(1)))
    pyramid = ConvViT(TINY, out_type='featmap', out_indices=(0, 1, -1), **options)
    pyramid.load_state_dict(masked.state_dict(), strict=False)
    outs = pyramid(images)
    assert [out.shape[1:] for out in outs] == [(8, 16, 24), (12, 8, 12), (24, 4, 6)]
    for out, expected in zip(outs[:2], maps, strict=True):
        torch.testing.assert_close(out, expected)
    torch.testing.assert_close(outs[2].flatten(2).transpose(1, 2), tokens)
    assert pyramid(torch.randn(1, 3, 64, 40))[-1].shape == (1, 24, 8, 5)


@pytest.mark.parametrize('ratio', [0.75, 0.6, 0.3])
def test_random_masks_are_those_of_mae(ratio):
    backbone = ConvMAEViT(TINY, img_size=(40, 56), mask_ratio=ratio)
    torch.manual_seed(3)
    tokens, mask, ids_restore = backbone(torch.zeros(4, 3, 40, 56))
    torch.manual_seed(3)
    visible, *expected = MAEViT.random_masking(None, torch.zeros(4, 35, 1), ratio)
    assert tokens.shape[1] == visible.shape[1]
    assert torch.equal(mask, expected[0])
    assert torch.equal(ids_restore, expected[1])


@pytest.mark.parametrize('img_size', [(48, 48), (32, 72)])
def test_thrown_patches_are_in_no_stage_and_not_in_the_decoder(convmae, img_size):
    model = convmae(img_size, mask_generator=AMT)
    assert model.neck.decoder_pos_embed.shape == (1, 36, 32)  # none for a CLS token
    seen = []

    def note(module, args):
        seen.append(args[0].shape[:2])

    for block in (
        *model.backbone.conv_stages,
        *model.backbone.layers,
        *model.neck.decoder_blocks,
    ):
        block.register_forward_pre_hook(note)
    images = torch.randn(2, 3, *img_size)
    partition = model.guidance.guide(images, None)[1]
    model.guidance.guide = lambda inputs, data_samples: (None, partition)
    loss = model(images, None, mode='loss')['loss']
    loss.backward()
    # 36 patches: 6 visible, 16 masked, 14 thrown
    assert seen == [(2, 6)] * 4 + [(2, 22)] * 2
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)

    pred = model.neck(*model.backbone(images, partition)[::2], partition)
    index = partition.ids_mask.unsqueeze(-1).expand(-1, -1, 192)
    target = model.head.construct_target(images)
    masked = (pred.gather(1, index) - target.gather(1, index)).square().mean()
    torch.testing.assert_close(loss, masked)


def test_a_compiled_stage_equals_the_eager_one():
    torch.manual_seed(0)
    stage = ConvStage(3, 8, 2, 4, [0.0])
    arguments = (torch.randn(2, 5, 8, 8, 3), torch.randperm(12)[:10].view(2, 5), (3, 4))
    compiled = torch.compile(stage, backend='eager', fullgraph=True)
    torch.testing.assert_close(compiled(*arguments), stage(*arguments))


@pytest.mark.parametrize(
    ('arch', 'dims', 'count'),
    # counted on the official class, with the sizes of each arch, less its decoder
    [('base', (256, 384, 768), 88_932_736), ('small', (128, 256, 384), 23_122_944)],
)
def test_has_as_many_parameters_as_the_official_encoder(arch, dims, count):
    with torch.device('meta'):
        backbone = ConvMAEViT(arch)
    assert sum(value.numel() for value in backbone.parameters()) == count
    assert (backbone.patch_size, backbone.patch_resolution) == (16, (14, 14))
    assert (backbone.num_patches, backbone.embed_dims) == (196, dims[-1])


def test_convolutional_stages_keep_the_initialisation_of_convolutions(guided_mae):
    """The stock config's Xavier rule for linear layers is not for 1x1 convolutions."""
    model = guided_mae(
        backbone=dict(type='mmattmask.ConvMAEViT', arch=TINY, img_size=48),
        init_cfg=[dict(type='Xavier', layer='Linear', distribution='uniform')],
    )
    block = model.backbone.conv_stages[0].blocks[0]
    for weight in (block.pointwise1.weight, block.ffn.layers[0][0].weight):
        assert weight.abs().max() <= 8**-0.5  # Xavier: up to 0.61 and 0.38
    assert block.pointwise1.bias.abs().max() > 0
    bound = (6 / (24 + 24)) ** 0.5
    assert 0.9 * bound < model.backbone.projection.weight.abs().max() <= bound
    positions = model.backbone.pos_embed
    assert not positions.requires_grad
    assert len(positions[0].unique(dim=0)) == 36


def test_layer_depths_are_the_official_ones():
    with torch.device('meta'):
        backbone = ConvViT('small')
    depths = {
        'backbone.pos_embed': 0,
        'backbone.conv_stages.1.blocks.0.ln1.weight': 0,
        'backbone.projection.weight': 0,
        'backbone.layers.0.ln1.weight': 1,
        'backbone.layers.10.attn.qkv.weight': 11,
        'backbone.ln1.weight': 12,
        'backbone.ln2.bias': 12,
        'head.fc.weight': 12,
    }
    for name, depth in depths.items():
        assert backbone.get_layer_depth(name, 'backbone.') == (depth, 13)


def test_a_frozen_teacher_guides_it_and_its_own_attention_cannot(convmae):
    vit = dict(type='VisionTransformer', arch='deit-tiny', img_size=48, patch_size=8)
    conv = dict(type='mmattmask.ConvViT', arch=TINY, img_size=48)
    scheduled = dict(type='mmattmask.SoftToHardMaskGenerator', hard=(1.0, 1.0))
    for backbone in (vit, conv):
        init = dict(type='TruncNormal', layer='Linear', std=0.5)
        teacher = dict(
            type='mmattmask.FrozenTeacher',
            backbone={**backbone, 'init_cfg': init},
            block=1,
            head=2,
        )
        model = convmae(mask_generator=scheduled, scorer=teacher)
        images = torch.randn(2, 3, 48, 48)
        score, partition = model.guidance.guide(images, None)
        highest = score.topk(27, dim=1).indices
        assert torch.equal(partition.mask.gather(1, highest), torch.ones(2, 27))
        assert model(images, None, mode='loss')['loss'].isfinite()
    with pytest.raises(ValueError, match='ConvMAEViT has no CLS token'):
        convmae(mask_generator=AMT, scorer=dict(type='mmattmask.CachedAttention'))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(img_size=50), r'patch size \(8\) does not divide .* \(50 x 50\)'),
        (dict(arch='huge'), r"one of \('base', 'small'\), got 'huge'"),
        (dict(arch=dict(depths=(1, 1))), r"got \['depths'\]"),
        (dict(arch={**TINY, 'depths': (1, 2)}), "'embed_dims': 3, 'depths': 2"),
        (dict(out_indices=3), r'in \[-3, 3\), got \(3,\)'),
        (dict(out_indices=(0, 2)), r"stages \(0, 2\) are maps.*got 'raw'"),
        (dict(out_type='cls_token'), "got 'cls_token'"),
        (dict(mask_ratio=1.5), '1.5'),
        (dict(mask_ratio=0.99), '0 visible, 36 masked'),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        ConvMAEViT(**{'arch': TINY, 'img_size': 48, **options})


def test_images_that_cannot_be_cut_are_refused(convmae):
    backbone = convmae().backbone
    for mask in (True, None):
        with pytest.raises(ValueError, match=r'\(8\) does not divide .* \(48 x 44\)'):
            backbone(torch.zeros(1, 3, 48, 44), mask=mask)
