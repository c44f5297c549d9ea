"""Images of any shape: positions, patches and errors."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmpretrain.models import MAEPretrainHead

from mmattmask.models import GuidedMAEDecoder, GuidedMAEHead
from mmattmask.models.guidance import attention_maps

LOSS = dict(type='mmpretrain.PixelReconstructionLoss', criterion='L2')
HEAD = dict(type='mmattmask.GuidedMAEHead', norm_pix=True, loss=LOSS)
AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)


def encoding(position: int, dims: int) -> np.ndarray:
    """Sines then cosines of one coordinate at ``dims / 2`` frequencies."""
    half = dims // 2
    angles = position / 10000 ** (np.arange(half) / half)
    return np.concatenate([np.sin(angles), np.cos(angles)])


def table(grid, dims: int, first: int) -> np.ndarray:
    """Embedding of (row, column) in raster order; ``first`` axis comes first."""
    rows = []
    for row in range(grid[0]):
        for column in range(grid[1]):
            pair = (row, column) if first == 0 else (column, row)
            rows.append(np.concatenate([encoding(x, dims // 2) for x in pair]))
    return np.stack(rows)


def first_axis_of_stock() -> int:
    """Which axis the stock initialiser puts first on a square grid."""
    from mmpretrain.models.utils import build_2d_sincos_position_embedding

    stock = build_2d_sincos_position_embedding(4, 16)[0].numpy()
    matches = [np.allclose(stock, table((4, 4), 16, axis)) for axis in (0, 1)]
    assert sum(matches) == 1
    return matches.index(True)


@pytest.mark.parametrize(
    ('img_size', 'grid'),
    [((16, 40), (2, 5)), ((128, 64), (16, 8)), (48, (6, 6)), ((8, 72), (1, 9))],
)
def test_every_patch_has_the_embedding_of_its_row_and_column(
    guided_mae, img_size, grid
):
    generator = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.5)
    model = guided_mae(img_size=img_size, head=HEAD, mask_generator=generator)
    assert model.neck.grid == grid
    first = first_axis_of_stock()
    for embedding in (model.backbone.pos_embed, model.neck.decoder_pos_embed):
        expected = table(grid, embedding.shape[-1], first)
        np.testing.assert_allclose(embedding[0, 1:].numpy(), expected, atol=1e-5)
        assert (embedding[0, 0] == 0).all()
        assert len(embedding[0, 1:].unique(dim=0)) == grid[0] * grid[1]


@pytest.mark.parametrize('img_size', [(16, 40), (128, 64)])
@pytest.mark.parametrize('ratios', [(0.45, 0.40), (0.75, 0.0)])
def test_a_step_on_a_non_square_grid(guided_mae, img_size, ratios):
    generator = {**AMT, 'mask_ratio': ratios[0], 'throw_ratio': ratios[1]}
    model = guided_mae(img_size=img_size, head=HEAD, mask_generator=generator)
    images = torch.randn(2, 3, *img_size)
    partition = model.guidance.guide(images, None)[1]
    model.guidance.guide = lambda inputs, data_samples: (None, partition)
    loss = model(images, None, mode='loss')['loss']
    loss.backward()
    assert model.backbone.cls_token.grad.abs().sum() > 0

    pred = model.neck(*model.backbone(images, partition)[::2], partition)
    for k in range(2):
        ids = partition.ids_mask[k]
        corners = [
            (int(i) // (img_size[1] // 8), int(i) % (img_size[1] // 8)) for i in ids
        ]
        targets = []
        for row, column in corners:
            patch = images[k, :, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            patch = patch.permute(1, 2, 0).flatten()
            targets.append((patch - patch.mean()) / (patch.var() + 1e-6).sqrt())
        loss = loss - (pred[k, ids] - torch.stack(targets)).square().mean() / 2
    assert loss.abs() < 1e-5


@given(
    batch=st.integers(1, 3),
    grid=st.tuples(st.integers(1, 6), st.integers(1, 6)),
    patch_size=st.integers(1, 5),
    channels=st.sampled_from([1, 3, 4]),
)
def test_patchify_and_unpatchify_are_inverse(batch, grid, patch_size, channels):
    head = GuidedMAEHead(LOSS, patch_size=patch_size, in_channels=channels)
    height, width = grid[0] * patch_size, grid[1] * patch_size
    images = torch.randn(batch, channels, height, width)
    patches = head.patchify(images)
    assert patches.shape == (batch, grid[0] * grid[1], patch_size**2 * channels)
    assert torch.equal(head.unpatchify(patches, grid), images)
    last = images[:, :, -patch_size:, -patch_size:].permute(0, 2, 3, 1).flatten(1)
    assert torch.equal(patches[:, -1], last)
    if grid[0] == grid[1]:
        stock = MAEPretrainHead(LOSS, patch_size=patch_size, in_channels=channels)
        assert torch.equal(patches, stock.patchify(images))
        assert torch.equal(head.unpatchify(patches), stock.unpatchify(patches))


def test_maps_of_a_non_square_host_have_its_grid(guided_mae):
    model = guided_mae(
        img_size=(16, 40),
        head=HEAD,
        mask_generator=AMT,
        scorer=dict(type='mmattmask.CachedAttention'),
        backbone__mask_ratio=0.5,
    )
    with torch.no_grad():
        maps = attention_maps(model, torch.randn(2, 3, 16, 40))
    assert maps.shape == (2, 2, 5)


def test_unpatchify_without_a_grid_takes_squares_only():
    head = GuidedMAEHead(LOSS, patch_size=2)
    with pytest.raises((ValueError, RuntimeError)):
        head.unpatchify(torch.zeros(1, 10, 12))


def test_images_that_patches_do_not_divide_are_refused():
    with pytest.raises(ValueError, match=r'patch_size \(8\).*20 x 16'):
        GuidedMAEHead(LOSS, patch_size=8).patchify(torch.zeros(1, 3, 20, 16))


def test_the_decoder_alone_takes_a_square_or_the_grid_it_is_given():
    sizes = dict(embed_dim=24, decoder_embed_dim=16, decoder_depth=1)
    sizes['decoder_num_heads'] = 2
    assert GuidedMAEDecoder(49, 8, **sizes).grid == (7, 7)
    assert GuidedMAEDecoder(10, 8, grid=(5, 2), **sizes).grid == (5, 2)
    with pytest.raises(ValueError, match=r'3 x 3 has 9 patches, num_patches is 10'):
        GuidedMAEDecoder(10, 8, **sizes)
    with pytest.raises(ValueError, match=r'2 x 4 has 8 patches, num_patches is 10'):
        GuidedMAEDecoder(10, 8, grid=(2, 4), **sizes)
