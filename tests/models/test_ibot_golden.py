"""Networks, losses, centres, gradients and masks of the official iBOT and AttMask."""

import math
from functools import partial

import pytest
import torch

from mmattmask.engine.teacher_temperature_hook import warmup_value
from mmattmask.masking import rank_by_score
from tests.models.official_ibot import to_official_ibot

from ..golden import each
from .ibot_model import (
    GivenMasks,
    crops,
    given,
    loss_options,
    official_model,
    weights,
)

DTYPES = [torch.float32, torch.float64]


def kind_of(dtype):
    return 'f64' if dtype == torch.float64 else 'out'


def gradients(model):
    """Gradients of the student under official names."""
    grads = {
        name: value.grad
        for name, value in model.named_parameters()
        if value.grad is not None
    }
    return {
        name.removeprefix('module.'): grad
        for name, grad in to_official_ibot(grads)['student'].items()
    }


def assert_gradients(case, model, key):
    """Compare the norms of all gradients, and those that are there in full."""
    grads = gradients(model)
    names = case.arrays['out/param_names'].tolist()
    missing = -torch.ones((), dtype=torch.float64)
    norms = [grads[n].double().norm() if n in grads else missing for n in names]
    case.assert_close(torch.stack(norms), f'{key}/grad_norms')
    for name, full in case.under(f'{key}/grad/').items():
        case.assert_close(grads[name], full)


def assert_losses(case, model, losses, key):
    case.assert_close(losses['loss_cls'], f'{key}/loss_cls')
    case.assert_close(losses['loss_patch'], f'{key}/loss_patch')
    case.assert_close(sum(losses.values()), f'{key}/loss')
    distillation = model.distillation
    distillation.move_centers()
    case.assert_close(distillation.cls_center[None], f'{key}/center_after')
    case.assert_close(distillation.patch_center[None, None], f'{key}/center2_after')


def set_temperatures(model, temps, epoch):
    """Set those of an epoch as the official schedules do; return them."""
    warmup, begin = temps['warmup_teacher_temp_epochs'], temps.get('mim_start_epoch', 0)
    model.teacher_temp = warmup_value(
        epoch, warmup, temps['warmup_teacher_temp'], temps['teacher_temp']
    )
    model.teacher_patch_temp = warmup_value(
        epoch - begin, warmup, temps['warmup_teacher_temp2'], temps['teacher_temp2']
    )
    values = [model.teacher_temp, model.teacher_patch_temp]
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize('dense', [False, True])
@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('name', ['ibot_shared_head', 'ibot_unshared_head'])
def test_losses_centres_and_gradients(full_golden, name, dtype, dense):
    case, kind = full_golden(name), kind_of(dtype)
    mask = case['in/masks'].flatten(0, 1)
    for call, (temps, epoch) in enumerate(case.config['loss_calls']):
        temps = case.config['temps'][temps]
        model = official_model(
            case,
            given(mask),
            dtype,
            dense=dense,
            **loss_options(temps),
        )
        key = f'{kind}/call{call}'
        case.assert_close(
            set_temperatures(model, temps, epoch), f'f64/call{call}/temps'
        )
        losses = model(crops(case, dtype), None, mode='loss')
        sum(losses.values()).backward()
        assert_losses(case, model, losses, key)
        assert_gradients(case, model, key)


@pytest.mark.parametrize('name', ['ibot_shared_head', 'ibot_unshared_head'])
@pytest.mark.parametrize('dtype', DTYPES)
def test_tokens_outputs_and_attention(full_golden, name, dtype):
    case, kind = full_golden(name), kind_of(dtype)
    mask = case['in/masks'].flatten(0, 1)
    model = official_model(case, given(mask), dtype).eval()
    views = crops(case, dtype)
    num_global = len(case['in/global'])
    images, small = torch.cat(views[:num_global]), torch.cat(views[num_global:])
    tokens, attention = model.teach(images)
    first = attention[: len(views[0])]
    row = case[f'{kind}/teacher_last_attention_cls'][..., 1:].mean(1)
    torch.testing.assert_close(first, row, rtol=1e-5, atol=1e-7)
    student, local = model.backbone(images, mask)[-1], model.backbone(small)[-1]
    (teacher_cls, teacher_patch) = model.teacher['head'](tokens)
    student_cls, student_patch = model.head(student)
    outputs = dict(
        student_tokens=student,
        local_tokens=local,
        knn_feature=tokens[: len(views[0]), 0],
        teacher_cls=teacher_cls,
        teacher_patch=teacher_patch,
        student_cls=student_cls,
        student_patch=student_patch,
        student_local_cls=model.head(local)[0],
        local_pos_embed=model.teacher['backbone'].positions(case.grid('local_size')),
    )
    there = [output for output in outputs if f'{kind}/{output}' in case]
    assert there == list(outputs) or kind == 'f64'  # that has only small arrays
    assert there
    for output in there:
        case.assert_close(outputs[output], f'{kind}/{output}')


@pytest.mark.parametrize('name', ['ibot_shared_head', 'ibot_unshared_head'])
def test_names_are_the_official_ones(full_golden, name):
    case = full_golden(name)
    model = official_model(case, GivenMasks(None), torch.float32)
    content = to_official_ibot(model.state_dict())
    for net, wrapper in (('student', 'module.'), ('teacher', '')):
        official = weights(case, f'weights_{net}')
        assert set(content[net]) == {wrapper + key for key in official}
        for key, value in official.items():
            assert torch.equal(content[net][wrapper + key], value), key


def attmask(case, mode):
    """AttMask's masks for the draws of a case."""
    kind, probability, ratio, show_ratio, _ = case.config['masking'][mode]

    def choose(score):
        count = int(score.shape[1] * ratio)
        rank = partial(rank_by_score, lowest_first=kind == 'attmask_low')
        mask = torch.zeros(score.shape).scatter_(1, rank(score)[:, :count], 1.0)
        mask[case[f'draw/{mode}/u'] > probability] = 0
        if kind == 'attmask_hint':
            reveal = case[f'draw/{mode}/reveal']
            assert reveal.shape[1] == int(score.shape[1] * show_ratio)
            mask.scatter_(1, reveal, 0.0)
        return mask

    num_patches = math.prod(case.grid())
    return GivenMasks(choose, max_masked=int(num_patches * ratio))


@pytest.mark.parametrize('dtype', DTYPES)
@each('attmask_step', lambda case: case.config['masking'], 'mode')
def test_attmask_step(golden, mode, dtype):
    case, kind = golden('attmask_step'), kind_of(dtype)
    generator = attmask(case, mode)
    model = official_model(case, generator, dtype, **loss_options(case.config['loss']))
    set_temperatures(model, case.config['loss'], case.config['epoch'])
    losses = model(crops(case, dtype), None, mode='loss')
    sum(losses.values()).backward()
    case.assert_close(generator.score, f'{kind}/cls_attention')
    assert generator.grid == case.grid()
    mask = generator.mask(generator.score)
    assert torch.equal(mask.bool(), case[f'out/{mode}/masks'].flatten(0, 1).flatten(1))
    assert_losses(case, model, losses, f'{kind}/{mode}')
    assert_gradients(case, model, f'{kind}/{mode}')
