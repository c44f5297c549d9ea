"""Temperatures of the teacher: the official schedule, resuming, wrong options."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmattmask.engine import TeacherTemperatureHook
from mmattmask.models import IBOT

from ..golden import each

LENGTH = 5  # iterations of an epoch


def runner_of(epochs, iteration=0):
    model = IBOT.__new__(IBOT)  # what the hook sets, and nothing else
    nn.Module.__init__(model)
    model.teacher_temp = model.teacher_patch_temp = 1.0
    object.__setattr__(model, 'guidance', SimpleNamespace(masking=True))
    return SimpleNamespace(
        model=model,
        iter=iteration,
        max_iters=epochs * LENGTH,
        train_dataloader=range(LENGTH),
    )


def values(hook, epochs):
    """Temperatures and masking in the first and the last iteration of each epoch."""
    found = []
    for iteration in range(epochs * LENGTH):
        runner = runner_of(epochs, iteration)  # each time as after resuming
        hook.before_train(runner)
        hook.before_train_iter(runner, 0)
        model = runner.model
        found.append(
            (model.teacher_temp, model.teacher_patch_temp, model.guidance.masking)
        )
    assert found[::LENGTH] == found[LENGTH - 1 :: LENGTH]
    return found[::LENGTH]


@each(
    'ibot_schedules', lambda case: map(int, case.under('out/temp_cls_start')), 'start'
)
def test_epochs_have_the_official_temperatures(golden, start):
    case = golden('ibot_schedules')
    temps = case.config['temps']
    hook = TeacherTemperatureHook(
        temps['warmup_teacher_temp'],
        temps['teacher_temp'],
        temps['warmup_teacher_temp_epochs'],
        temps['warmup_teacher_temp2'],
        temps['teacher_temp2'],
        pred_start_epoch=start,
    )
    cls, patch, masking = zip(*values(hook, case.config['epochs']), strict=True)
    for name, ours in (('cls', cls), ('patch', patch)):
        official = case[f'out/temp_{name}_start{start}']
        torch.testing.assert_close(torch.tensor(ours, dtype=torch.float64), official)
    assert list(masking) == [epoch >= start for epoch in range(len(masking))]


def test_patches_follow_the_cls_tokens_unless_told_otherwise():
    assert values(TeacherTemperatureHook(0.1, 0.4, 4), 5)[1] == (0.2, 0.2, True)
    own = TeacherTemperatureHook(0.1, 0.4, 4, 0.2, 0.5)
    assert values(own, 5)[1] == pytest.approx((0.2, 0.3, True))


def test_short_warm_ups():
    assert values(TeacherTemperatureHook(0.1, 0.4, 0), 1) == [(0.4, 0.4, True)]
    assert values(TeacherTemperatureHook(0.1, 0.4, 1), 2) == [
        (0.1, 0.1, True),
        (0.4, 0.4, True),
    ]


def test_a_run_that_ends_in_the_warm_up_is_refused():
    TeacherTemperatureHook(warmup_epochs=3, pred_start_epoch=1).before_train(
        runner_of(epochs=4)
    )
    message = r'after 3 epochs.*warmup_epochs \(3\) \+ pred_start_epoch \(1\)'
    with pytest.raises(ValueError, match=message):
        TeacherTemperatureHook(warmup_epochs=3, pred_start_epoch=1).before_train(
            runner_of(epochs=3)
        )


def test_a_model_without_temperatures_is_refused():
    runner = runner_of(30)
    runner.model = nn.Linear(1, 1)
    with pytest.raises(ValueError, match=r'such as mmattmask\.IBOT, got Linear'):
        TeacherTemperatureHook().before_train(runner)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(warmup_temp=0.0), r'positive, got \(0\.0, 0\.07\)'),
        (dict(patch_temp=-1), r'\(0\.04, -1\) for patches'),
        (dict(warmup_epochs=-2), r'warmup_epochs \(-2\)'),
        (dict(pred_start_epoch=-1), r'pred_start_epoch \(-1\)'),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TeacherTemperatureHook(**options)
