"""The attention head: what it learns, from which patches, and when."""

import pytest
import torch

from mmattmask.models.attention_head import VARIANTS

from .training_step import gradients, step

PROGRESS = [0.0, 0.5, 0.75, 0.8]
THROWING = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)
SECOND_DECODER = [name for name in VARIANTS if name != 'shared']


@pytest.mark.parametrize('with_score', [True, False])
@pytest.mark.parametrize('progress', PROGRESS)
@pytest.mark.parametrize('variant', VARIANTS)
def test_no_parameter_is_unused_at_any_time(
    score_predicting_mae, variant, progress, with_score
):
    model = score_predicting_mae(
        variant, progress, **({} if with_score else dict(score=None))
    )
    losses = step(model)
    assert list(losses) == ['loss', 'loss_attention']
    assert all(loss.isfinite() for loss in losses.values())
    found = gradients(model)
    assert [name for name, grad in found.items() if grad is None] == []
    learns = [
        grad.any().item()
        for name, grad in gradients(model, 'attention_head').items()
        # a shift of all predictions does not change their order
        if not (variant == 'relative' and name.endswith('pred.bias'))
    ]
    waits = variant in ('released', 'intended') and progress <= 0.75
    assert all(learns) if with_score and not waits else not any(learns)
    idle = not with_score or (variant == 'intended' and waits)
    assert (losses['loss_attention'] == 0) == idle


def test_loss_weight_scales_value_and_gradient(score_predicting_mae):
    once, thrice = (
        score_predicting_mae(loss_weight=1.0),
        score_predicting_mae(loss_weight=3.0),
    )
    losses = [step(model)['loss_attention'] for model in (once, thrice)]
    torch.testing.assert_close(3 * losses[0], losses[1])
    pairs = zip(
        *(gradients(m, 'attention_head').values() for m in (once, thrice)), strict=True
    )
    for first, second in pairs:
        torch.testing.assert_close(3 * first, second)


def changed_by(model, patches) -> bool:
    """Whether the loss changes with the predictions of some patches (3, L) alone."""
    seen = {}
    compare = model.attention_head.compare

    def spy(pred, score, partition):
        seen.update(pred=pred.detach(), score=score, partition=partition)
        return compare(pred, score, partition)

    model.attention_head.compare = spy
    step(model)
    before = compare(seen['pred'], seen['score'], seen['partition'])
    pred = seen['pred'] + torch.randn(3, 36) * patches(seen['partition'])
    return compare(pred, seen['score'], seen['partition']) != before


@pytest.mark.parametrize('scope', [None, 'masked', 'all'])
@pytest.mark.parametrize('variant', VARIANTS)
def test_scope_of_the_loss(score_predicting_mae, variant, scope):
    sees_all = (scope or ('all' if variant == 'released' else 'masked')) == 'all'
    sets = {
        'masked': (lambda p: p.mask, True),
        'visible': (lambda p: 1 - p.mask - p.thrown.float(), sees_all),
        'thrown': (lambda p: p.thrown.float(), False),
    }
    for name, (patches, expected) in sets.items():
        model = score_predicting_mae(variant, 0.8, scope=scope, mask_generator=THROWING)
        assert changed_by(model, patches) == expected, name


@pytest.mark.parametrize('progress', [0.5, 0.8])
@pytest.mark.parametrize('variant', VARIANTS)
def test_thrown_patches_are_not_decoded_and_predictions_stay_in_place(
    score_predicting_mae, variant, progress
):
    """With and without throwing, a visible or masked patch is the same one."""
    model = score_predicting_mae(variant, progress, mask_generator=THROWING)
    head, neck, images = model.attention_head, model.neck, torch.randn(3, 3, 48, 48)
    partition = model.guidance.guide(images, None)[1]
    seen = []
    for module in head.modules():
        module.register_forward_pre_hook(lambda m, args: seen.append(args[0].shape[1]))
    kept = (~partition.thrown).float()
    with torch.no_grad():
        latent, _, ids_restore = model.backbone(images, partition)
        tokens = neck.embed(latent, ids_restore, partition)
        features = neck.decode(tokens)
        pred = head.predict(tokens, features)[:, 1:]
        raster = partition.to_raster(pred)
    assert set(seen) == {1 + partition.budget.num_visible + partition.budget.num_masked}
    assert torch.equal(raster != 0, kept.bool())
    ids = torch.cat([partition.ids_keep, partition.ids_mask], dim=1)
    assert torch.equal(raster.gather(1, ids), pred)


@pytest.mark.parametrize('variant', SECOND_DECODER)
def test_second_decoder_starts_as_a_copy_of_the_first(score_predicting_mae, variant):
    xavier = dict(type='Xavier', layer='Linear', distribution='uniform')
    model = score_predicting_mae(variant, init_cfg=[xavier])
    blocks = model.attention_head.decoder.blocks.state_dict()
    for name, value in model.neck.decoder_blocks.state_dict().items():
        assert torch.equal(blocks[name], value), name
    assert not torch.equal(
        model.attention_head.decoder.pred.weight, model.neck.decoder_pred.weight
    )


def test_intended_decoder_follows_the_pixel_decoder_until_the_switch(
    score_predicting_mae,
):
    model = score_predicting_mae('intended', progress=0.5, switch=0.6)
    mine, pixel = model.attention_head.decoder.pred, model.neck.decoder_pred
    with torch.no_grad():
        for value in model.neck.parameters():
            value.add_(0.01 * torch.randn_like(value))
    step(model)
    assert torch.equal(mine.weight, pixel.weight)
    assert torch.equal(model.attention_head.decoder.ln1.bias, model.neck.ln1.bias)
    score_predicting_mae.set_progress(0.61)
    with torch.no_grad():
        pixel.weight.add_(1.0)
    losses = step(model)
    assert losses['loss_attention'] > 0
    torch.testing.assert_close(mine.weight + 1.0, pixel.weight)


def test_shared_adds_one_linear_layer_and_a_second_decoder_its_own_weights(
    score_predicting_mae, guided_mae
):
    alone = sum(value.numel() for value in guided_mae().parameters())

    def added(**head):
        return (
            sum(value.numel() for value in score_predicting_mae(**head).parameters())
            - alone
        )

    assert added(variant='shared') == 32 + 1
    block = added() - added(depth=1)
    decoder = guided_mae().neck.decoder_blocks[0]
    assert block == sum(value.numel() for value in decoder.parameters())
    assert added(depth=1) == block + 2 * 32 + 33 * 192


@pytest.mark.parametrize('variant', VARIANTS)
def test_targets_are_values_or_only_their_order(score_predicting_mae, variant):
    score = torch.rand(3, 36)
    losses = [
        step(score_predicting_mae(variant, 0.8, score=value))['loss_attention']
        for value in (score, 5 * score + 2, score.square())
    ]
    torch.testing.assert_close(losses[0], losses[1], rtol=1e-4, atol=1e-6)
    same = torch.allclose(losses[0], losses[2], rtol=1e-4)
    assert same == (variant == 'relative')
