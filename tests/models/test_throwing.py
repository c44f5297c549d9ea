"""Thrown patches cost nothing: not in the encoder, not in the decoder, not in loss."""

import pytest
import torch

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
