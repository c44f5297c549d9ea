"""Losses, masks, gradients and EMA of the official HPM code."""

import functools

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, TASK_UTILS

from mmattmask.mask_generators.progress import training_progress
from mmattmask.masking import relative_order_loss, shuffle_soft_to_hard, z_score_loss

from ..golden import each
from .training_step import names_with_copies, sizes_of

DTYPES = [torch.float32, torch.float64]
HPM_MASKS = dict(
    type='mmattmask.SoftToHardMaskGenerator',
    soft=(0, 0),
    hard=(0, 0.5),
    include_current=True,
)
PREDICTION_PARTS = {
    'decoder_blocks_losspred.': 'guidance.scorer.decoder.blocks.',
    'decoder_norm_losspred.': 'guidance.scorer.decoder.ln1.',
    'decoder_pred_losspred.': 'guidance.scorer.decoder.pred.',
}


def replay(monkeypatch, noise, epoch, total) -> None:
    """Make masks from ``noise`` at an epoch (from 0) of a run."""
    hub = MessageHub('golden')
    hub.update_info_dict(dict(epoch=epoch, max_epochs=total))
    monkeypatch.setattr(MessageHub, 'get_current_instance', lambda: hub)
    monkeypatch.setattr(
        'mmattmask.mask_generators.soft_to_hard.shuffle_soft_to_hard',
        functools.partial(shuffle_soft_to_hard, noise=noise),
    )


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize(
    ('loss', 'name'), [(relative_order_loss, 'relative'), (z_score_loss, 'absolute')]
)
def test_losses_and_gradients(golden, loss, name, dtype):
    case = golden('hpm_loss')
    pred = case['in/loss_pred'].to(dtype).requires_grad_()
    value = loss(pred, case['in/loss_target'].to(dtype))
    value.backward()
    if dtype == torch.float32:
        case.assert_close(value, f'out/{name}/loss')
    elif name == 'absolute':
        case.assert_close(value, 'f64/absolute/loss')
        case.assert_close(pred.grad, 'f64/absolute/grad')
    else:  # Differs from HPM: no 1e-6 inside the logarithm
        close = torch.testing.assert_close
        close(value.detach(), case['f64/relative/loss'], rtol=1e-5, atol=0)
        close(pred.grad, case['f64/relative/grad'], rtol=1e-5, atol=5e-7)


@each('hpm_masking', lambda case: case.config['L'], 'num_patches')
def test_masks_and_counts(golden, monkeypatch, num_patches):
    case = golden('hpm_masking')
    size, total = f'L{num_patches}', case.config['total_epochs']
    score, noise = case[f'in/{size}/loss_pred'], case[f'draw/{size}/noise']
    calls = [
        (mask_ratio, epoch)
        for mask_ratio in case.config['mask_ratios']
        for epoch in case.config['epochs']
    ]
    golden_masks = case[f'out/{size}/mask']
    assert calls
    for (mask_ratio, epoch), expected in zip(calls, golden_masks, strict=True):
        generator = TASK_UTILS.build(dict(HPM_MASKS, mask_ratio=mask_ratio))
        replay(monkeypatch, noise, epoch, total)
        progress = training_progress(generator.by_epoch, generator.include_current)
        mask = generator(score, progress=progress).mask
        assert torch.equal(mask, expected.to(mask.dtype)), (mask_ratio, epoch)


def in_teacher(name: str) -> str:
    """Our name of a teacher's parameter, by that of the student's."""
    return 'guidance.scorer.teacher.' + name.removeprefix('guidance.scorer.')


def build(case, config, dtype, monkeypatch, relative=True, **changes):
    """The official student and its EMA model."""
    sizes = case.config
    model = MODELS.build(
        config(
            scorer=dict(type='mmattmask.PredictedLoss', relative=relative),
            **sizes_of(case),
            mask_generator=dict(HPM_MASKS, mask_ratio=sizes['mask_ratio']),
            **changes,
        )
    )
    names = names_with_copies(case, PREDICTION_PARTS)
    state = case.state_dict('weights_student', names)
    teacher = case.state_dict('weights_teacher', names)
    state.update({in_teacher(name): value for name, value in teacher.items()})
    missing, unexpected = model.load_state_dict(state, strict=False)
    assert not unexpected
    model.to(dtype)
    replay(monkeypatch, case['draw/noise'], sizes['epoch'], sizes['total_epochs'])
    if missing:  # the repository's copy has outputs of the encoders, not their weights
        owners = ('backbone.', in_teacher(''))
        assert all(name.startswith(owners) for name in missing)
        kind = 'f64' if dtype == torch.float64 else 'out'
        model.guidance.scorer.predict = lambda images: case[f'{kind}/teacher_loss_pred']
        latent = case['ref/latent'].to(dtype).requires_grad_()
        model.backbone.forward = lambda inputs, partition: (
            latent,
            partition.mask,
            partition.ids_restore,
        )
    return model, not missing


def norm_pix_of(case):
    return [flag for flag in (True, False) if case.under(f'out/normpix{int(flag)}/')]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('relative', [True, False])
@each('hpm_forward', norm_pix_of, 'norm_pix')
def test_one_step(golden, guided_mae_config, monkeypatch, norm_pix, relative, dtype):
    case = golden('hpm_forward')
    model, _ = build(
        case,
        guided_mae_config,
        dtype,
        monkeypatch,
        norm_pix=norm_pix,
        relative=relative,
    )
    seen = {}
    scorer = model.guidance.scorer
    learn = scorer.loss

    def spy(score, partition, error, progress, tokens):
        seen.update(pred=partition.to_raster(scorer.decoder(tokens)[:, 1:]))
        seen.update(target=error, mask=partition.mask.bool())
        return learn(score, partition, error, progress, tokens)

    scorer.loss = spy
    losses = model(case['in/imgs'].to(dtype), None, mode='loss')
    assert list(losses) == ['loss', 'loss_prediction']
    assert torch.equal(seen['mask'], case['out/mask'])
    kind = 'f64' if dtype == torch.float64 else 'out'
    prefix = f'{kind}/normpix{int(norm_pix)}'
    case.assert_close(losses['loss'], f'{prefix}/loss_rec')

    def masked(values):  # in raster order, as theirs
        return values[seen['mask']].unflatten(0, (len(values), -1))

    case.assert_close(masked(seen['target']), f'{prefix}/loss_rec_per_patch')
    case.assert_close(masked(seen['pred']), f'{kind}/loss_pred_masked')
    if not relative:
        case.assert_close(losses['loss_prediction'], f'{prefix}/loss_pred_absolute')
        return
    # Differs from HPM: no 1e-6 inside the logarithm
    expected = case[f'{prefix}/loss_pred_relative']
    close = functools.partial(torch.testing.assert_close, rtol=1e-5, atol=1e-7)
    close(losses['loss_prediction'].detach(), expected)
    sum(losses.values()).backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    names = names_with_copies(case, PREDICTION_PARTS)
    ordered = case.arrays['out/param_names'].tolist()
    compared = set()
    for name, norm in zip(ordered, case[f'{prefix}/grad_norms'], strict=True):
        if f'weights_student/{name}' in case and names[name] in gradients:
            if names[name].startswith('backbone.') and gradients[names[name]] is None:
                continue  # stands for an encoder that is not there
            close(gradients[names[name]].norm().double(), norm, rtol=2e-4, atol=2e-6)
            compared.add(name)
    for part in ('decoder_blocks.', *PREDICTION_PARTS):
        assert any(name.startswith(part) for name in compared), part


def test_teacher_predicts_the_loss_of_whole_views(
    golden, guided_mae_config, monkeypatch
):
    case = golden('hpm_forward')
    for dtype in DTYPES:
        monkeypatch.undo()  # the recorded masks would be tried
        model, complete = build(case, guided_mae_config, dtype, monkeypatch)
        if not complete:
            pytest.skip('the weights are in the full folder only')
        kind = 'f64' if dtype == torch.float64 else 'out'
        pred = model.guidance.scorer.predict(case['in/imgs'].to(dtype))
        case.assert_close(pred, f'{kind}/teacher_loss_pred')


@pytest.mark.parametrize('dtype', DTYPES)
def test_teacher_moves(golden, guided_mae_config, monkeypatch, dtype):
    case = golden('hpm_forward')
    model, _ = build(case, guided_mae_config, dtype, monkeypatch)
    model.guidance.scorer.teacher.move(1 - case.config['ema_decay'])
    state, names = model.state_dict(), names_with_copies(case, PREDICTION_PARTS)
    kind = 'f64' if dtype == torch.float64 else 'out'
    keys = case.under(f'{kind}/ema/')
    assert keys
    for name, key in keys.items():
        case.assert_close(state[in_teacher(names[name])], key)
