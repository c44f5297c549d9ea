"""Training steps of the official iBOT, with our optimizer wrapper and teacher."""

import pytest
import torch

from mmattmask.engine import PerTensorClipOptimWrapper
from mmattmask.engine.decay_groups import split_by_decay
from mmattmask.engine.ema_teacher_hook import cosine_momentum
from tests.models.official_ibot import to_official_ibot

from .ibot_model import (
    GivenMasks,
    crops,
    loss_options,
    official_model,
)
from .test_ibot_golden import set_temperatures
from .training_step import norms_of

NETS = ('student', 'teacher')


def optim_wrapper(model, case):
    decayed, others = split_by_decay(model.named_parameters())
    groups = [dict(params=decayed), dict(params=others, weight_decay=0.0)]
    optimizer = torch.optim.AdamW(groups)
    return PerTensorClipOptimWrapper(optimizer, clip_grad=dict(max_norm=case['clip']))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
def test_training_steps_equal_official_ibot(full_golden, dtype):
    case = full_golden('ibot_train_steps')
    sizes = case.config
    kind = 'f64' if dtype == torch.float64 else 'out'
    steps = iter(range(sizes['iters'] * len(sizes['run_epochs'])))
    mask = case['in/it0/masks'].flatten(0, 1)
    generator = GivenMasks(lambda score: mask)
    options = loss_options(sizes['temps'])
    model = official_model(case, generator, dtype, teacher='weights_student', **options)
    wrapper = optim_wrapper(model, sizes)
    frozen = [value for name, value in model.named_parameters() if 'last_layer' in name]
    names = {net: case.arrays[f'out/{net}_names'].tolist() for net in NETS}
    for step in steps:
        epoch = step // sizes['iters']
        mask = case[f'in/it{step}/masks'].flatten(0, 1)
        set_temperatures(model, sizes['temps'], epoch)
        for group in wrapper.optimizer.param_groups:
            group['lr'] = float(case['out/lr'][step])
        decay = float(case['out/weight_decay'][step])
        wrapper.optimizer.param_groups[0]['weight_decay'] = decay
        wrapper.freeze(frozen if epoch < sizes['freeze_last_layer'] else ())
        losses = model(crops(case, dtype, f'in/it{step}'), None, mode='loss')
        total = sum(losses.values())
        wrapper.update_params(total)
        steps_in_all = sizes['epochs'] * sizes['iters']
        momentum = cosine_momentum(step, steps_in_all, 1 - sizes['momentum'], 0.0)
        assert 1 - momentum == pytest.approx(float(case['out/momentum'][step]))
        model.teacher.move(momentum)
        model.distillation.move_centers()

        def at(values, step=step):
            return values[step]

        three = torch.stack([losses['loss_cls'], losses['loss_patch'], total]).double()
        case.assert_close(three, f'{kind}/losses', at)
        case.assert_close(model.distillation.cls_center, f'{kind}/center', at)
        case.assert_close(model.distillation.patch_center, f'{kind}/center2', at)
        official = to_official_ibot(model.state_dict())
        for net in NETS:
            state = {k.removeprefix('module.'): w for k, w in official[net].items()}
            norms = norms_of(state, names[net])
            case.assert_close(norms, f'{kind}/{net}_norms', at)
    for net, prefix in (('student', 'module.'), ('teacher', '')):
        finals = case.under(f'{kind}/final_{net}/')
        assert finals
        for name, key in finals.items():
            case.assert_close(official[net][prefix + name], key)
