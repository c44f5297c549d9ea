"""Schedules beside what the run does."""

import pytest
import torch
from mmengine.optim import CosineAnnealingLR, LinearLR

from mmattmask.engine import AttentionRefreshHook
from mmattmask.inspection.schedules import (
    batch_sizes,
    learning_rates,
)
from tests.inspection.tiny_plan import tiny_config

WARMUP = dict(type='LinearLR', start_factor=0.1, end=2, convert_to_iter_based=True)
COSINE = dict(type='CosineAnnealingLR', begin=2, convert_to_iter_based=True)
DECAY = dict(type='mmpretrain.CosineAnnealingWeightDecay', eta_min=0.4)


def test_constant_without_schedules():
    values = learning_rates(tiny_config(), 6, 'epoch', [0, 5])
    assert values == [(1e-3, 0.05)] * 2


def test_learning_rate_is_that_of_the_run():
    cfg = tiny_config(param_scheduler=[WARMUP, COSINE])
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1e-3)
    length = 500  # iterations of a real epoch
    run = [
        LinearLR.build_iter_from_epoch(
            optimizer, start_factor=0.1, end=2, epoch_length=length
        ),
        CosineAnnealingLR.build_iter_from_epoch(
            optimizer, begin=2, end=10, epoch_length=length
        ),
    ]
    expected = []
    for step in range(10 * length):
        if step % length == 0:
            expected.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for scheduler in run:
            scheduler.step()
    found = [lr for lr, _ in learning_rates(cfg, 10, 'epoch', range(10))]
    assert found == pytest.approx(expected, rel=0.05)
    assert found[0] == pytest.approx(1e-4)
    assert max(found) == found[2] == pytest.approx(1e-3)


def test_weight_decay_has_a_schedule_too():
    cfg = tiny_config(param_scheduler=[DECAY])
    decays = [d for _, d in learning_rates(cfg, 10, 'epoch', [0, 5, 9])]
    assert decays[0] == pytest.approx(0.05)
    assert decays[1] == pytest.approx((0.05 + 0.4) / 2)
    assert 0.39 < decays[2] < 0.4


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (dict(begin=40, interval=40), [40, 80, 120, 160]),
        (dict(begin=0, interval=None), [0]),
        (dict(begin=200, interval=40), []),
        (dict(begin=200, interval=None), []),
        (dict(begin=40, interval=10, rolling=True), [40]),
    ],
)
def test_refreshes_are_those_of_the_hook(options, expected):
    hook = AttentionRefreshHook(**options)
    assert [epoch for epoch in range(200) if hook._is_due(epoch)] == expected


@pytest.mark.parametrize(
    ('gpus', 'expected'), [(None, (4, 2, 3)), (16, (4, 16, 3))], ids=str
)
def test_batch_sizes(gpus, expected):
    cfg = tiny_config(**{'optim_wrapper.accumulative_counts': 3})
    assert batch_sizes(cfg, gpus) == expected
