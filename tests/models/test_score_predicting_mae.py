"""ScorePredictingMAE: pixels as in MAE, losses, precision, checkpoints, options."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS

from mmattmask.models.attention_head import VARIANTS

from .training_step import gradients, step


@pytest.mark.parametrize('variant', VARIANTS)
def test_pixels_do_not_notice_and_the_encoder_learns_from_both(
    score_predicting_mae, guided_mae, variant
):
    model = score_predicting_mae(variant, progress=0.8)
    alone = guided_mae()
    state = model.state_dict()
    alone.load_state_dict({name: state[name] for name in alone.state_dict()})
    loss = step(model)['loss']
    torch.manual_seed(5)
    expected = alone(torch.randn(3, 3, 48, 48), None, mode='loss')['loss']
    assert torch.equal(loss, expected)
    expected.backward()
    for name in ('backbone.cls_token', 'neck.decoder_embed.weight'):
        grads = [dict(m.named_parameters())[name].grad for m in (model, alone)]
        assert not torch.allclose(*grads), name


@pytest.mark.parametrize('has_head', [True, False])
def test_a_file_of_the_whole_model(score_predicting_mae, tmp_path, has_head):
    """Its second decoder is loaded, or without one begins as a copy of the first."""
    model = score_predicting_mae('released')
    state = {name: torch.randn_like(v) for name, v in model.state_dict().items()}
    if not has_head:
        state = {k: v for k, v in state.items() if not k.startswith('attention_head.')}
    torch.save(dict(state_dict=state), tmp_path / 'x.pth')
    init = dict(type='Pretrained', checkpoint=str(tmp_path / 'x.pth'))
    found = score_predicting_mae('released', init_cfg=init).state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())
    own = found['attention_head.decoder.blocks.0.attn.qkv.weight']
    first = found['neck.decoder_blocks.0.attn.qkv.weight']
    assert torch.equal(own, first) != has_head


def test_weight_decay_spares_a_waiting_decoder(score_predicting_mae):
    """The line that the documentation gives: without it, waiting weights shrink."""
    shrunk = []
    for custom_keys in ({}, {'attention_head': dict(decay_mult=0.0)}):
        model = score_predicting_mae('released', progress=0.5)
        before = copy.deepcopy(model.attention_head.state_dict())
        optim_wrapper = build_optim_wrapper(
            model,
            dict(
                optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.5),
                paramwise_cfg=dict(custom_keys=custom_keys),
            ),
        )
        for _ in range(2):
            losses = model(torch.randn(3, 3, 48, 48), None, mode='loss')
            optim_wrapper.update_params(model.parse_losses(losses)[0])
        after = model.attention_head.state_dict()
        shrunk.append(not all(torch.equal(after[name], before[name]) for name in after))
    assert shrunk == [True, False]


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
@pytest.mark.parametrize('progress', [0.5, 0.8])
@pytest.mark.parametrize('variant', VARIANTS)
def test_mixed_precision_is_finite_for_large_predictions(
    score_predicting_mae, variant, progress, dtype
):
    model = score_predicting_mae(variant, progress)
    decoder = model.attention_head.decoder
    output = decoder if variant == 'shared' else decoder.pred
    with torch.no_grad():  # predictions of about 1000: their squares exceed float16
        output.weight.mul_(100.0)
        output.bias.add_(1000.0)
    with torch.autocast('cpu', dtype=dtype):
        losses = step(model)
    assert losses['loss_attention'].dtype == torch.float32
    assert all(loss.isfinite() for loss in losses.values())
    assert all(grad.isfinite().all() for grad in gradients(model).values())


@pytest.mark.parametrize('variant', VARIANTS)
def test_checkpoint_round_trip(score_predicting_mae, variant):
    model = score_predicting_mae(variant, progress=0.8)
    step(model)
    with torch.no_grad():
        for value in model.attention_head.parameters():
            value.add_(torch.randn_like(value))
    restored = score_predicting_mae(variant, progress=0.8)
    restored.score = model.guidance.score
    assert step(restored)['loss_attention'] != step(model)['loss_attention']
    restored.load_state_dict(model.state_dict(), strict=True)
    assert step(restored)['loss_attention'] == step(model)['loss_attention']


def test_grids_that_are_not_square(score_predicting_mae):
    model = score_predicting_mae(
        img_size=(48, 32), head__type='mmattmask.GuidedMAEHead'
    )
    assert step(model, size=(48, 32))['loss_attention'] > 0


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(variant='papr'), r"variant must be one of .*'paper'.* got 'papr'"),
        (dict(scope='thrown'), r"scope must be one of .*'masked'.* got 'thrown'"),
        (dict(loss_weight=-1.0), r'loss_weight \(-1.0\)'),
        (dict(switch=1.5), r'switch \(1.5\)'),
        (dict(depth=3), r'depth must be in 1\.\.2.* got 3'),
        (dict(depth=0), r'depth must be in 1\.\.2.* got 0'),
        (dict(variant='shared', depth=1), r"depth \(1\) is not for variant='shared'"),
        (dict(variant='intended', depth=1), r"depth \(1\).*variant='intended'"),
        (dict(scorer=None), 'ScorePredictingMAE needs a scorer'),
    ],
)
def test_bad_options(guided_mae_config, changes, message):
    scorer = changes.pop('scorer', dict(type='mmattmask.CachedAttention'))
    config = guided_mae_config(
        type='mmattmask.ScorePredictingMAE', attention_head=changes, scorer=scorer
    )
    before = copy.deepcopy(config)
    with pytest.raises(ValueError, match=message):
        MODELS.build(config)
    assert config == before


def test_paper_is_the_default(guided_mae):
    scorer = dict(type='mmattmask.CachedAttention')
    model = guided_mae(type='mmattmask.ScorePredictingMAE', scorer=scorer)
    head = model.attention_head
    assert head.variant == VARIANTS['paper']
    assert (head.scope, head.loss_weight) == ('masked', 1.0)
