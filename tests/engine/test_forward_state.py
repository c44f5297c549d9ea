"""Centres and batch norm follow the optimizer: windows, and steps that are skipped."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from mmengine.registry import MODELS, DefaultScope

from mmattmask.engine import EMATeacherHook

from ..models.ibot_model import build
from .toy_run import toy_config


class ScaledOptimWrapper(OptimWrapper):
    """MMEngine's AmpOptimWrapper without its GPU: a loss scaler on the CPU."""

    def __init__(self, optimizer, init_scale=8.0, fixed=None, **kwargs):
        super().__init__(optimizer, **kwargs)
        self.fixed = fixed
        self.loss_scaler = torch.amp.GradScaler('cpu', init_scale=init_scale)

    def backward(self, loss, **kwargs):
        self.loss_scaler.scale(loss).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        self.loss_scaler.step(self.optimizer, **kwargs)
        self.loss_scaler.update(self.fixed)


def ibot():
    return build(patch_weight=0).double()


def lut():
    changes = dict(model__type='mmattmask.LUT', model__hid_channels=32)
    cfg = toy_config('', '', **changes, model__scorer=None)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    return model.double()


def batch(model, seed, count=8):
    side = model.backbone.img_size[0]
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, side, side)
    return [torch.rand(shape, generator=generator).double() for _ in range(2)]


def run(model, batches, wrapper=OptimWrapper, lr=0.01, **options):
    """Train with the hook, as a run does."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    optim_wrapper = wrapper(optimizer, **options)
    runner = SimpleNamespace(
        model=model, optim_wrapper=optim_wrapper, iter=0, max_iters=len(batches)
    )
    hook = EMATeacherHook(0.3, 0.3)
    hook.before_train(runner)
    for views in batches:
        losses = model(views, None, mode='loss')
        optim_wrapper.update_params(sum(losses.values()))
        hook.after_train_iter(runner, runner.iter)
        runner.iter += 1
    return {k: v.clone() for k, v in model.state_dict().items()}


def test_centres_of_two_halves_are_those_of_the_batch():
    whole = batch(ibot(), 1)
    halves = [[view[start : start + 4] for view in whole] for start in (0, 4)]
    one = run(ibot(), [whole], lr=0.0)
    two = run(ibot(), halves, lr=0.0, accumulative_counts=2)
    name = 'distillation.cls_center'
    assert one[name].any()
    torch.testing.assert_close(two[name], one[name])


@pytest.mark.parametrize('make', [ibot, lut])
@pytest.mark.parametrize('count', [1, 2])
@pytest.mark.parametrize('bad', ['nan', 'overflow'])
def test_a_skipped_step_leaves_no_trace(make, count, bad):
    """NaN pixels, or gradients that overflow; then training goes on."""
    model = make()
    good = [batch(model, seed) for seed in range(count)]
    broken = [[view.clone() for view in views] for views in good]
    if bad == 'nan':
        broken[-1][0][0, 0, 0, 0] = float('nan')
    options = dict(wrapper=ScaledOptimWrapper, accumulative_counts=count)
    if bad == 'overflow':
        model.backbone.patch_embed.projection.weight.register_hook(
            lambda grad: grad * float('inf')
        )
    before = {k: v.clone() for k, v in model.state_dict().items() if 'teacher' not in k}
    after = run(model, broken, **options)
    for name, value in before.items():
        assert torch.equal(after[name], value), name
    # and the same model learns from the next batch
    later = run(make(), [*broken, *good], **options) if bad == 'nan' else None
    if later is not None:
        assert all(torch.isfinite(value.double()).all() for value in later.values())
        changed = [k for k in before if not torch.equal(later[k], before[k])]
        assert any(k.endswith(('running_mean', 'cls_center')) for k in changed)


def test_with_a_fixed_scale_nan_is_noticed():
    model = lut()
    views = batch(model, 0)
    views[0][0, 0, 0, 0] = float('nan')
    state = run(model, [views], wrapper=ScaledOptimWrapper, fixed=8.0)
    assert all(torch.isfinite(value.double()).all() for value in state.values())
