"""Thrown patches cost nothing: not in the encoder, not in the decoder, not in loss."""

import pytest
import torch

from mmattmask.masking import PatchBudget, partition_patches

AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)


def tokens_seen(model, images) -> dict[str, list]:
    """Shapes of the inputs of every block of encoder and decoder in one step."""
    seen = {'encoder': [], 'decoder': []}
    blocks = {'encoder': model.backbone.layers, 'decoder': model.neck.decoder_blocks}
    handles = [
        block.register_forward_pre_hook(
            lambda module, args, part=part: seen[part].append(tuple(args[0].shape))
        )
        for part in blocks
        for block in blocks[part]
    ]
    model(images, None, mode='loss')
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize(
    ('generator', 'encoder', 'decoder'),
    [
        (AMT, 1 + 30, 1 + 118),
        ({**AMT, 'throw': 'low'}, 1 + 30, 1 + 118),
        ({**AMT, 'type': 'mmattmask.RandomMaskGenerator'}, 1 + 30, 1 + 118),
        ({**AMT, 'mask_ratio': 0.75, 'throw_ratio': 0.0}, 1 + 49, 1 + 196),
        ({**AMT, 'mask_ratio': 0.75, 'throw_ratio': 0.1}, 1 + 30, 1 + 177),
    ],
)
def test_thrown_tokens_are_never_computed(guided_mae, generator, encoder, decoder):
    model = guided_mae(img_size=56, patch_size=4, dims=24, mask_generator=generator)
    seen = tokens_seen(model, torch.randn(2, 3, 56, 56))
    assert seen['encoder'] == [(2, encoder, 24)] * 2
    assert seen['decoder'] == [(2, decoder, 32)] * 2


def test_predictions_of_thrown_patches_are_zero_and_of_all_others_are_not(guided_mae):
    model = guided_mae(mask_generator=AMT)
    images = torch.randn(3, 3, 48, 48)
    partition = model.guidance.guide(images, None)[1]
    latent, mask, ids_restore = model.backbone(images, partition)
    pred = model.neck(latent, ids_restore, partition)
    assert torch.equal(mask, partition.mask)
    assert pred.shape == (3, 36, 192)
    assert torch.equal((pred == 0).all(-1), partition.thrown)


def test_loss_is_that_of_the_masked_patches_alone(guided_mae):
    model = guided_mae(mask_generator=AMT)
    images = torch.randn(3, 3, 48, 48)
    partition = model.guidance.guide(images, None)[1]
    model.guidance.guide = lambda inputs, data_samples: (None, partition)
    loss = model(images, None, mode='loss')['loss']

    pred = model.neck(*model.backbone(images, partition)[::2], partition)
    target = model.head.construct_target(images)
    index = partition.ids_mask.unsqueeze(-1).expand(-1, -1, 192)
    compacted = (pred.gather(1, index) - target.gather(1, index)).square().mean()
    torch.testing.assert_close(loss, compacted)


def compacted_decoder(neck, latent, partition):
    """The decoder on kept tokens only, put together differently: by adding the
    position embedding in raster order first and selecting after."""
    ids = torch.cat([partition.ids_keep, partition.ids_mask], dim=1)
    tokens = neck.mask_token.repeat(len(ids), neck.num_patches, 1)
    embedded = neck.decoder_embed(latent)
    visible = partition.ids_keep.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
    tokens = tokens.scatter(1, visible, embedded[:, 1:])
    tokens = tokens + neck.decoder_pos_embed[:, 1:]
    kept = [row[i.sort().values] for row, i in zip(tokens, ids, strict=True)]
    cls_token = embedded[:, :1] + neck.decoder_pos_embed[:, :1]
    x = torch.cat([cls_token, torch.stack(kept)], dim=1)
    for block in neck.decoder_blocks:
        x = block(x)
    return neck.decoder_pred(neck.decoder_norm(x))[:, 1:], ids.sort(1).values


def test_decoder_equals_one_on_the_kept_tokens_in_raster_order(guided_mae):
    model = guided_mae(mask_generator=AMT).double()
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    partition = model.guidance.guide(images, None)[1]
    latent, _, ids_restore = model.backbone(images, partition)
    pred = model.neck(latent, ids_restore, partition)
    expected, ids = compacted_decoder(model.neck, latent, partition)
    rows = pred.gather(1, ids.unsqueeze(-1).expand_as(expected))
    torch.testing.assert_close(rows, expected)


def test_the_encoder_sees_the_visible_patches_with_their_own_positions(guided_mae):
    """Pixels of masked and thrown patches have no influence; those of visible do."""
    model = guided_mae(mask_generator=AMT)
    images = torch.randn(1, 3, 48, 48)
    budget = PatchBudget(6, 16, 14)
    partition = partition_patches(torch.randperm(36)[None], budget)
    latent = model.backbone(images, partition)[0]
    for ids, changes in (
        (partition.ids_mask, False),
        (partition.ids_throw, False),
        (partition.ids_keep[:, :1], True),
    ):
        patches = model.head.patchify(images).clone()
        patches[0, ids[0]] += 1
        other = model.backbone(model.head.unpatchify(patches), partition)[0]
        assert torch.equal(other, latent) != changes


def test_without_throwing_the_order_of_predictions_is_the_stock_one(guided_mae):
    """The decoder's two paths agree where both could run."""
    model = guided_mae(mask_generator={**AMT, 'mask_ratio': 0.75, 'throw_ratio': 0.0})
    model.double()
    images = torch.randn(2, 3, 48, 48, dtype=torch.float64)
    partition = model.guidance.guide(images, None)[1]
    latent, _, ids_restore = model.backbone(images, partition)
    pred = model.neck(latent, ids_restore, partition)
    expected, ids = compacted_decoder(model.neck, latent, partition)
    assert torch.equal(ids, torch.arange(36).expand(2, -1))
    torch.testing.assert_close(pred, expected)


def test_compiled_loss_equals_the_eager_one(guided_mae):
    model = guided_mae(mask_generator=AMT, depth=1, neck__decoder_depth=1)
    images = torch.randn(2, 3, 48, 48)
    losses, gradients = [], []
    compiled = torch.compile(model, backend='eager')
    for function in (model, compiled):
        model.zero_grad()
        torch.manual_seed(2)
        losses.append(function(images, None, mode='loss')['loss'])
        losses[-1].backward()
        gradients.append(model.neck.mask_token.grad.clone())
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])
