"""Loss, prediction, masks and gradients of the official MAE and AMT codes."""

import dataclasses

import pytest
import torch
from mmengine.registry import MODELS
from torch import Tensor

from mmattmask.models import GuidedMAE

from ..golden import each
from .training_step import sizes_of

DTYPES = [torch.float32, torch.float64]


def amt_variants(case):
    names = case.config['variants']
    return [name for name in names if f'draw/{name}/ids_shuffle' in case]


def random_variants(case):
    return [name for name in case.config['variants'] if f'draw/{name}/noise' in case]


@dataclasses.dataclass
class Step:
    """What one forward and backward pass gave."""

    loss: Tensor
    latent: Tensor
    mask: Tensor
    ids_restore: Tensor
    pred: Tensor
    gradients: dict[str, Tensor | None]


def build(case, config, dtype, **changes) -> GuidedMAE:
    """The official model of a case, with its weights under our names."""
    model = MODELS.build(config(**sizes_of(case), **changes))
    model.load_state_dict(case.state_dict(), strict=True)
    return model.to(dtype)


def run(model, case, dtype) -> Step:
    """One training step on the images of a case."""
    seen = {}
    model.backbone.register_forward_hook(
        lambda module, args, output: seen.update(backbone=output)
    )
    model.neck.register_forward_hook(
        lambda module, args, output: seen.update(neck=output)
    )
    loss = model(case['in/imgs'].to(dtype), None, mode='loss')['loss']
    loss.backward()
    gradients = {name: value.grad for name, value in model.named_parameters()}
    return Step(loss, *seen['backbone'], seen['neck'][0], gradients)


def check(step, case, variant, dtype) -> None:
    """Compare all that the case holds in this precision except pred and mask."""
    kind = 'f64' if dtype == torch.float64 else 'out'
    case.assert_close(step.loss, f'{kind}/{variant}/loss')
    if kind == 'out':
        case.assert_close(step.latent, f'out/{variant}/latent')
    names = case.meta['param_map']
    ordered = [names[name] for name in case.arrays['out/param_names'].tolist()]
    norms = torch.stack([step.gradients[name].double().norm() for name in ordered])
    case.assert_close(norms, f'{kind}/{variant}/grad_norms')
    fixed = {'backbone.pos_embed', 'neck.decoder_pos_embed'}
    assert {name for name, grad in step.gradients.items() if grad is None} == fixed
    assert len(ordered) + len(fixed) == len(step.gradients)
    keys = case.under(f'{kind}/{variant}/grad/')
    assert keys
    for name, key in keys.items():
        case.assert_close(step.gradients[names[name]], key)


@pytest.mark.parametrize('dtype', DTYPES)
@each('mae_random', random_variants)
def test_random_masking_equals_official_mae(
    golden, guided_mae_config, monkeypatch, variant, dtype
):
    case = golden('mae_random')
    mask_ratio, norm_pix = case.config['variants'][variant]
    generator = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=mask_ratio)
    model = build(
        case, guided_mae_config, dtype, norm_pix=norm_pix, mask_generator=generator
    )
    noise = case[f'draw/{variant}/noise']
    monkeypatch.setattr(torch, 'rand', lambda *shape, **options: noise)
    step = run(model, case, dtype)
    check(step, case, variant, dtype)
    assert torch.equal(step.mask, case[f'out/{variant}/mask'])
    assert torch.equal(step.ids_restore, case[f'out/{variant}/ids_restore'])
    if dtype == torch.float32:
        case.assert_close(step.pred, f'out/{variant}/pred')


def score_with_ranking(ranking) -> Tensor:
    """A score whose order from the top is ``ranking``."""
    falling = torch.arange(ranking.shape[1], 0, -1.0).expand(ranking.shape)
    return torch.empty_like(falling).scatter(1, ranking, falling)


@pytest.mark.parametrize('dtype', DTYPES)
@each('amt_mae', amt_variants)
def test_masking_and_throwing_equal_official_amt(
    golden, guided_mae_config, variant, dtype
):
    case = golden('amt_mae')
    mask_ratio, throw_ratio, norm_pix, _ = case.config['variants'][variant]
    generator = dict(
        type='mmattmask.AMTMaskGenerator',
        mask_ratio=mask_ratio,
        throw_ratio=throw_ratio,
        ranking='top',
    )
    model = build(
        case, guided_mae_config, dtype, norm_pix=norm_pix, mask_generator=generator
    )
    score = score_with_ranking(case[f'draw/{variant}/ids_shuffle'])
    model.guidance.score = lambda inputs, data_samples: score
    step = run(model, case, dtype)
    check(step, case, variant, dtype)

    flag = case[f'out/{variant}/flag']  # 1 masked, 0 visible, -1 thrown
    assert torch.equal(step.mask, (flag == 1).float())
    # official places count in [masked | thrown | visible], ours in
    # [visible | masked | thrown]
    num_patches = flag.shape[1]
    num_visible = int((flag[0] == 0).sum())
    official = case[f'out/{variant}/ids_restore']
    assert torch.equal(step.ids_restore, (official + num_visible) % num_patches)

    kept = flag != -1
    pred = torch.stack([row[keep] for row, keep in zip(step.pred, kept, strict=True)])
    if dtype == torch.float32:
        case.assert_close(pred, f'out/{variant}/pred')
    assert (step.pred[~kept] == 0).all()
    assert kept.sum() == step.pred.any(-1).sum()


@pytest.mark.parametrize('dtype', DTYPES)
@each('amt_mae', random_variants)
def test_random_epochs_equal_official_amt(
    golden, guided_mae_config, monkeypatch, variant, dtype
):
    case = golden('amt_mae')
    # the official random branch ignores the ratios of its variant
    _, _, norm_pix, _ = case.config['variants'][variant]
    model = build(case, guided_mae_config, dtype, norm_pix=norm_pix)
    assert model.guidance.mask_generator.mask_ratio == 0.75
    noise = case[f'draw/{variant}/noise']
    monkeypatch.setattr(torch, 'rand', lambda *shape, **options: noise)
    step = run(model, case, dtype)
    check(step, case, variant, dtype)
    assert torch.equal(step.mask, case[f'out/{variant}/flag'])
    if dtype == torch.float32:
        case.assert_close(step.pred, f'out/{variant}/pred')
