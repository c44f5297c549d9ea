"""Stock schedules as iBOT's, and a whole run of the recipe beside plain torch."""

import numpy as np
import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import PARAM_SCHEDULERS
from torch import nn

from mmattmask.engine.ema_teacher_hook import cosine_momentum

from .toy_run import assert_equal_weights, train, weights
from .toy_student import EPOCH, recipe


def cosine(start, end, count):
    """Return ``count`` values of half a cosine that would reach ``end`` next."""
    return end + (start - end) * (1 + np.cos(np.pi * np.arange(count) / count)) / 2


def run_schedules(cfgs, epochs, epoch_length, warmup_epochs, lr, weight_decay=0.04):
    """Return the values of lr and weight decay of each iteration, both groups."""
    wrapper = build_optim_wrapper(
        nn.Linear(2, 2),
        dict(
            type='OptimWrapper',
            constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
            optimizer=dict(type='AdamW', lr=lr, weight_decay=weight_decay),
        ),
    )
    ends = (warmup_epochs, epochs, epochs)
    schedulers = []
    for cfg, end in zip(cfgs, ends, strict=True):
        cfg.end = end  # the runner's default, except for the warm-up
        if 'begin' in cfg:
            cfg.begin = warmup_epochs
        default = dict(optimizer=wrapper, epoch_length=epoch_length)
        schedulers.append(PARAM_SCHEDULERS.build(cfg, default_args=default))
    rows = []
    for _ in range(epochs * epoch_length):
        groups = wrapper.optimizer.param_groups
        rows.append([group[key] for key in ('lr', 'weight_decay') for group in groups])
        for scheduler in schedulers:
            scheduler.step()
    return np.array(rows).T


def test_stock_schedulers_give_the_official_values(golden, tmp_path):
    case = golden('ibot_schedules')
    config = case.config
    cfgs = recipe(tmp_path).param_scheduler
    cfgs[1].eta_min, cfgs[2].eta_min = config['min_lr'], config['wd_end']
    values = run_schedules(
        cfgs,
        config['epochs'],
        config['iters'],
        config['warmup_epochs'],
        config['lr'] * config['global_batch'] / 256,
        config['wd'],
    )
    # far below the case's tolerance, which is one of float32
    close = dict(rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(values[0], case.arrays['out/lr'], **close)
    np.testing.assert_allclose(values[1], values[0], **close)
    np.testing.assert_allclose(values[2], case.arrays['out/weight_decay'], **close)
    assert not values[3].any()


def test_a_run_shorter_than_its_warmup_is_refused(tmp_path):
    cfg = recipe(tmp_path)
    cfg.param_scheduler[0].end = cfg.param_scheduler[1].begin = 10
    with pytest.raises(ValueError, match=f'begin={10 * EPOCH}, end={3 * EPOCH}'):
        train(cfg)


def test_momentum_of_the_teacher_is_the_official_one(golden):
    case = golden('ibot_schedules')
    count = case.config['epochs'] * case.config['iters']
    start = 1 - case.config['momentum']
    ours = [1 - cosine_momentum(step, count, start, 0.0) for step in range(count)]
    np.testing.assert_allclose(ours, case.arrays['out/momentum'], rtol=1e-12)


def replay(tape, warmup, total):
    """Yield the weights after each step of the official rules, one by one."""
    start, *_ = tape.weights
    parameters = {name: nn.Parameter(start[name].clone()) for name in tape.grads[0]}
    decayed = [p for p in parameters.values() if p.ndim > 1]
    others = [p for p in parameters.values() if p.ndim == 1]
    optimizer = torch.optim.AdamW(
        [dict(params=decayed), dict(params=others, weight_decay=0.0)], foreach=False
    )
    lr = np.r_[np.linspace(0, 0.02, warmup), cosine(0.02, 1e-6, total - warmup)]
    weight_decay = cosine(0.04, 0.4, total)
    for step, grads in enumerate(tape.grads):
        for group in optimizer.param_groups:
            group['lr'] = lr[step]
        optimizer.param_groups[0]['weight_decay'] = weight_decay[step]
        for name, parameter in parameters.items():
            factor = 0.3 / (grads[name].norm().item() + 1e-6)
            parameter.grad = grads[name] * factor if factor < 1 else grads[name]
            if step < EPOCH and 'last_layer' in name:
                parameter.grad = None
        optimizer.step()
        yield parameters


def test_a_run_equals_plain_torch(tmp_path):
    cfg = recipe(tmp_path)
    cfg.custom_hooks.append(dict(type='TapeHook'))
    tape = train(cfg).tape
    assert len(tape.grads) == 3 * EPOCH
    norms = [[g.norm().item() for g in grads.values()] for grads in tape.grads]
    assert np.min(norms) < 0.3 < np.max(norms)
    steps = zip(replay(tape, EPOCH, 3 * EPOCH), tape.weights[1:], strict=True)
    for step, (expected, actual) in enumerate(steps):
        for name, parameter in expected.items():
            torch.testing.assert_close(
                actual[name],
                parameter.detach(),
                rtol=1e-5,
                atol=1e-6,
                msg=lambda text, where=(step, name): f'{where}: {text}',
            )


@pytest.mark.parametrize('accumulated', [1, 2])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, accumulated):
    # 4 epochs: a checkpoint at a multiple of the accumulated iterations
    changes = dict(train_cfg__max_epochs=4)
    changes['optim_wrapper__accumulative_counts'] = accumulated
    whole = train(recipe(tmp_path / 'whole', **changes))
    resumed = train(
        recipe(
            tmp_path / 'resumed',
            load_from=str(tmp_path / 'whole' / 'epoch_2.pth'),
            resume=True,
            **changes,
        )
    )
    assert_equal_weights(weights(whole), weights(resumed))
    for key in ('lr', 'weight_decay'):
        first, second = (
            [group[key] for group in runner.optim_wrapper.param_groups]
            for runner in (whole, resumed)
        )
        assert first == second
