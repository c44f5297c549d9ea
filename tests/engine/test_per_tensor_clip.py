"""Clipping each gradient on its own: golden values, accumulation, AMP, freezing."""

from functools import partial

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.optim.optimizer import amp_optimizer_wrapper
from torch import nn

from mmattmask.engine import PerTensorClipAmpOptimWrapper, PerTensorClipOptimWrapper
from mmattmask.engine.per_tensor_clip import clip_each_grad_

from ..golden import each

CLIP = dict(max_norm=3.0)


def parameters_of(case, dtype=torch.float32):
    """Return the golden parameters that have a gradient, with it."""
    parameters = {}
    for name in case.arrays['out/grad_order']:
        parameters[name] = nn.Parameter(case[f'weights_student/{name}'].to(dtype))
        parameters[name].grad = case[f'in/grad/{name}'].to(dtype, copy=True)
    return parameters


def norms(parameters):
    return torch.stack([parameter.grad.norm() for parameter in parameters])


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 3))


def adam(model):
    return torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.3)


@pytest.fixture
def amp_wrapper(monkeypatch):
    """AMP's wrapper with torch's CPU scaler: it refuses to be built otherwise."""
    monkeypatch.setattr(amp_optimizer_wrapper, 'is_cuda_available', lambda: True)
    scaler = partial(torch.amp.GradScaler, device='cpu')
    monkeypatch.setattr(amp_optimizer_wrapper, 'GradScaler', scaler)
    return partial(PerTensorClipAmpOptimWrapper, loss_scale=dict(init_scale=1024.0))


@each('ibot_optim_rules', lambda case: range(len(case.config['clips'])), 'clip')
def test_gradients_equal_the_official_ones(golden, clip):
    case = golden('ibot_optim_rules')
    max_norm = case.config['clips'][clip]
    for dtype, prefix in ((torch.float32, 'out'), (torch.float64, 'f64')):
        parameters = parameters_of(case, dtype)
        case.assert_close(norms(parameters.values()).double(), f'out/clip{clip}/norms')
        clip_each_grad_(list(parameters.values()), max_norm)
        for name, parameter in parameters.items():
            case.assert_close(parameter.grad, f'{prefix}/clip{clip}/grad/{name}')


def test_accumulated_gradients_are_clipped_once():
    inputs = torch.randn(3, 8, 4)
    models = two_layers(), two_layers()
    wrapper = PerTensorClipOptimWrapper(
        optimizer=adam(models[0]), clip_grad=CLIP, accumulative_counts=3
    )
    wrapper.initialize_count_status(models[0], 0, 3)
    frozen = models[0][1].weight
    before = models[0][0].weight.clone(), frozen.clone()
    wrapper.freeze([frozen])
    for step, batch in enumerate(inputs):
        assert torch.equal(models[0][0].weight, before[0])
        assert step == 0 or frozen.grad is not None
        wrapper.update_params(100 * models[0](batch).square().mean())
    assert torch.equal(frozen, before[1])
    optimizer = adam(models[1])
    (100 * models[1](inputs.flatten(0, 1)).square().mean()).backward()
    assert (norms(models[1].parameters()) > 3).any()
    for parameter in models[1].parameters():
        nn.utils.clip_grad_norm_(parameter, 3.0)
    models[1][1].weight.grad = None
    optimizer.step()
    for first, second in zip(*(m.parameters() for m in models), strict=True):
        torch.testing.assert_close(first, second)


def test_frozen_parameters_have_neither_decay_nor_adam_state():
    model = two_layers()
    wrapper = PerTensorClipOptimWrapper(optimizer=adam(model), clip_grad=CLIP)
    frozen = model[1].weight
    before = frozen.clone()
    wrapper.freeze([frozen])
    for _ in range(2):
        wrapper.update_params(model(torch.randn(2, 4)).square().sum())
    assert torch.equal(frozen, before)
    state = wrapper.optimizer.state
    assert frozen not in state
    assert state[model[1].bias]['step'] == 2
    wrapper.freeze(())
    wrapper.update_params(model(torch.randn(2, 4)).square().sum())
    assert not torch.equal(frozen, before)
    assert state[frozen]['step'] == 1  # its bias correction begins now


def test_mixed_precision_clips_after_unscaling(amp_wrapper):
    models = two_layers(), two_layers()
    wrappers = (
        PerTensorClipOptimWrapper(optimizer=adam(models[0]), clip_grad=CLIP),
        amp_wrapper(optimizer=adam(models[1]), clip_grad=CLIP),
    )
    inputs = torch.randn(2, 4)
    for model, wrapper in zip(models, wrappers, strict=True):
        before = model[1].weight.clone()
        wrapper.freeze([model[1].weight])
        for _ in range(2):
            wrapper.update_params(20 * model(inputs).square().sum())
        assert torch.equal(model[1].weight, before)
        assert not torch.equal(model[0].weight, two_layers()[0].weight)
    assert wrappers[1].loss_scaler.get_scale() == 1024
    for first, second in zip(*(m.parameters() for m in models), strict=True):
        assert torch.equal(first, second)


def test_mixed_precision_passes_over_a_step_with_an_infinite_frozen_gradient(
    amp_wrapper,
):
    model = two_layers()
    wrapper = amp_wrapper(optimizer=adam(model), clip_grad=CLIP)
    wrapper.freeze([model[1].weight])
    model[1].weight.register_hook(lambda grad: grad * torch.inf)
    wrapper.update_params(model(torch.randn(2, 4)).square().sum())
    assert torch.equal(model[0].weight, two_layers()[0].weight)
    assert wrapper.loss_scaler.get_scale() == 512


def test_an_infinite_norm_clips_nothing():
    models = two_layers(), two_layers()
    inputs = torch.randn(2, 4)
    wrappers = (
        PerTensorClipOptimWrapper(
            optimizer=adam(models[0]), clip_grad=dict(max_norm=float('inf'))
        ),
        OptimWrapper(optimizer=adam(models[1])),
    )
    for model, wrapper in zip(models, wrappers, strict=True):
        wrapper.update_params(1e4 * model(inputs).square().sum())
    assert torch.equal(models[0][0].weight, models[1][0].weight)


@pytest.mark.parametrize(
    ('clip_grad', 'message'),
    [
        (None, r'dict\(max_norm=\.\.\.\), got None'),
        (dict(max_norm=3.0, norm_type=1), "got .*'norm_type': 1"),
        (dict(type='value', clip_value=2), "got .*'clip_value': 2"),
        (dict(max_norm=0.0), 'above 0, got 0.0'),
        (dict(max_norm=float('nan')), 'above 0, got nan'),
    ],
)
def test_other_clipping_is_refused(clip_grad, message):
    with pytest.raises(ValueError, match=message):
        PerTensorClipOptimWrapper(optimizer=adam(two_layers()), clip_grad=clip_grad)
