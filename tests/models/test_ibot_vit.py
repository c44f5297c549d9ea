"""The ViT of iBOT: masks, sizes of crops, outputs, initial and loaded weights."""

import math

import pytest
import torch
from mmpretrain.models import VisionTransformer
from torch.nn import functional as F

from mmattmask.models import IBOTViT

ARCH = dict(embed_dims=12, num_layers=2, num_heads=2, feedforward_channels=24)


def vit(img_size=32, seed=0, **changes):
    torch.manual_seed(seed)
    options = dict(arch=ARCH, img_size=img_size, patch_size=8, drop_path_rate=0.0)
    model = IBOTViT(**{**options, **changes})
    model.init_weights()
    if model.mask_token is not None:
        torch.nn.init.normal_(model.mask_token)
    return model


@pytest.mark.parametrize('out_type', ['raw', 'cls_token', 'featmap', 'avg_featmap'])
def test_without_a_mask_it_is_the_stock_vit(out_type):
    own = vit(out_type=out_type, out_indices=[0, 1])
    stock = VisionTransformer(
        arch=ARCH, img_size=32, patch_size=8, out_type=out_type, out_indices=[0, 1]
    )
    stock.load_state_dict(own.state_dict(), strict=False)
    images = torch.randn(2, 3, 32, 32)
    for value, expected in zip(own(images), stock(images), strict=True):
        assert torch.equal(value, expected)


@pytest.mark.parametrize('size', [(32, 32), (16, 40)])
@pytest.mark.parametrize('flat', [False, True])
def test_masked_patches_are_hidden_and_nothing_else(size, flat):
    model = vit()
    grid = (size[0] // 8, size[1] // 8)
    images = torch.randn(2, 3, *size)
    mask = torch.zeros(2, *grid, dtype=torch.bool)
    mask[0, 0, 1] = mask[1, 1, 3] = True
    given = mask.flatten(1).float() if flat else mask
    (tokens,) = model(images, given)
    assert tokens.shape == (2, 1 + grid[0] * grid[1], 12)
    pixels = mask.repeat_interleave(8, 1).repeat_interleave(8, 2).unsqueeze(1)
    (changed,) = model(torch.where(pixels, 5.0, images), given)
    assert torch.equal(changed, tokens)
    (changed,) = model(torch.where(pixels, images, 5.0), given)
    assert not torch.allclose(changed, tokens)
    (nothing,) = model(images, torch.zeros_like(given))
    assert torch.equal(nothing, model(images)[0])
    assert not torch.allclose(nothing, tokens)


def test_the_mask_token_learns_from_masked_patches_only():
    model = vit()
    mask = torch.zeros(1, 16)
    model(torch.randn(1, 3, 32, 32), mask)[0].square().sum().backward()
    assert not model.mask_token.grad.any()
    mask[0, 3] = 1
    model(torch.randn(1, 3, 32, 32), mask)[0].square().sum().backward()
    assert model.mask_token.grad.any()


def test_a_mask_without_a_mask_token_is_refused():
    model = vit(with_mask_token=False)
    assert 'mask_token' not in model.state_dict()
    with pytest.raises(ValueError, match='set with_mask_token=True'):
        model(torch.randn(1, 3, 32, 32), torch.zeros(1, 16))


def test_a_position_of_another_size_is_sampled_where_the_released_code_does():
    model = vit(img_size=56)
    square = model.pos_embed[:, 1:].reshape(1, 7, 7, 12).permute(0, 3, 1, 2)
    scale = 3.1 / math.sqrt(49)
    expected = F.interpolate(square, scale_factor=(scale, scale), mode='bicubic')
    positions = model.positions((3, 3))
    torch.testing.assert_close(
        positions[:, 1:].reshape(1, 3, 3, 12).permute(0, 3, 1, 2), expected
    )
    assert torch.equal(positions[:, 0], model.pos_embed[:, 0])
    other = F.interpolate(square, size=(3, 3), mode='bicubic')
    assert not torch.allclose(expected, other, atol=1e-4)  # as MMPretrain does


@pytest.mark.parametrize('built', [(32, 32), (24, 48)])
@pytest.mark.parametrize('grid', [(6, 6), (2, 5), (12, 3), (4, 4), (6, 3), (3, 6)])
def test_positions_on_any_grid(built, grid):
    model = vit(img_size=built)
    height, width = built[0] // 8, built[1] // 8
    rows = torch.arange(height).view(-1, 1).expand(height, width)
    with torch.no_grad():  # a ramp from top to bottom, constant in a row
        model.pos_embed[0, 1:] = rows.reshape(-1, 1).float()
    positions = model.positions(grid)[0, 1:, 0].unflatten(0, grid)
    assert positions.shape == grid
    torch.testing.assert_close(positions, positions[:, :1].expand(grid))
    assert (positions[1:, 0] > positions[:-1, 0]).all()


def test_initial_weights_are_those_of_the_released_code():
    model = vit(arch={**ARCH, 'embed_dims': 64, 'feedforward_channels': 128}, seed=1)
    weights = model.state_dict()
    for name, value in weights.items():
        if name.endswith(('qkv.weight', 'proj.weight')) or '.ffn.' in name:
            if name.endswith('bias'):
                assert not value.any(), name
            else:
                assert value.std() == pytest.approx(0.02, rel=0.1), name
    assert weights['pos_embed'].std() == pytest.approx(0.02, rel=0.1)
    assert weights['cls_token'].std() == pytest.approx(0.02, rel=0.5)
    fresh = IBOTViT(arch=ARCH, img_size=32, patch_size=8)
    fresh.init_weights()
    assert not fresh.mask_token.any()


def test_a_teacher_takes_its_students_weights():
    student, teacher = vit(), vit(with_mask_token=False, seed=2)
    result = teacher.load_state_dict(student.state_dict(), strict=True)
    assert not result.missing_keys
    assert not result.unexpected_keys
    images = torch.randn(1, 3, 32, 32)
    assert torch.equal(teacher(images)[0], student(images)[0])
