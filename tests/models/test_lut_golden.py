"""Losses, features, masks, gradients, batch norm and training of the official LUT."""

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmattmask.engine.ema_teacher_hook import cosine_momentum
from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.models import LUT
from mmattmask.models.lut import next_partition

from ..golden import each
from .training_step import norms_of, sizes_of

DTYPES = [torch.float32, torch.float64]
BUFFERS = ('running_mean', 'running_var', 'num_batches_tracked')


def build(case, config, dtype, mask_ratio, teacher='weights_student', **changes) -> LUT:
    """The official model of a case, with its weights under our names."""
    sizes = case.config
    changes = dict(
        **sizes_of(case),
        mask_generator__mask_ratio=mask_ratio,
        type='mmattmask.LUT',
        hid_channels=sizes['head_mlp_dim'],
        context_weight=sizes['w_bc'],
        **changes,
    )
    model = MODELS.build(config(**changes))
    layer_norm = not hasattr(model.projector.bn0, 'running_mean')
    state = {
        **case.state_dict('weights_student'),
        **{
            f'teacher.{name}': value
            for name, value in case.state_dict(teacher).items()
            if name.startswith(('backbone.', 'projector.'))
        },
    }
    if layer_norm:
        state = {k: v for k, v in state.items() if not k.endswith(BUFFERS)}
    model.load_state_dict(state, strict=True)
    return model.to(dtype).train()


def replay(monkeypatch, noise):
    monkeypatch.setattr(torch, 'rand', lambda *shape, **options: noise)


def watch(model):
    """Outputs of the parts, in the order of their calls."""
    seen = {name: [] for name in ('backbone', 'neck', 'predictor')}
    for name, outputs in seen.items():
        model.get_submodule(name).register_forward_hook(
            lambda module, args, output, to=outputs: to.append(output)
        )
    return seen


@pytest.mark.parametrize('dtype', DTYPES)
@each('lut_forward', lambda case: case.config['variants'])
def test_one_step_equals_official_lut(
    golden, guided_mae_config, monkeypatch, variant, dtype
):
    case = golden('lut_forward')
    norm, activation, mask_ratio, norm_pix = case.config['variants'][variant]
    norm_cfg = dict(type='LN', eps=1e-6) if norm == 'LN' else None
    model = build(
        case,
        guided_mae_config,
        dtype,
        mask_ratio,
        teacher='weights_teacher',
        norm_pix=norm_pix,
        norm_cfg=norm_cfg,
    )
    if activation == 'GELU':  # stock NonLinearNeck knows ReLU only
        for head in (model.projector, model.predictor, model.teacher['projector']):
            head.relu = nn.GELU()
    seen = watch(model)
    before = {key: value.clone() for key, value in model.teacher.state_dict().items()}
    replay(monkeypatch, case[f'draw/{variant}/noise'])
    views = [case['in/view1'].to(dtype), case['in/view2'].to(dtype)]
    losses = model(views, None, mode='loss')
    total = sum(losses.values())
    total.backward()

    kind = 'f64' if dtype == torch.float64 else 'out'
    weight = case.config['w_bc']
    case.assert_close(losses['loss'], f'{kind}/{variant}/loss_mae')
    case.assert_close(losses['loss_context'] / weight, f'{kind}/{variant}/loss_bc')
    case.assert_close(total, f'{kind}/{variant}/loss_total')
    (student_1,), (student_2,) = seen['predictor']
    students = torch.cat([student_1, student_2])
    case.assert_close(students, f'{kind}/{variant}/student_output')
    teachers = torch.cat(model.teach(views))
    case.assert_close(teachers, f'{kind}/{variant}/teacher_output')
    if kind == 'out':
        (latent_1, *_), (latent_2, *_) = seen['backbone']
        case.assert_close(latent_1, f'out/{variant}/latent1')
        case.assert_close(latent_2, f'out/{variant}/latent2')
        case.assert_close(seen['neck'][0][0], f'out/{variant}/pred')
    (_, mask_1, ids_restore), (_, mask_2, _) = seen['backbone']
    assert torch.equal(mask_1, case[f'out/{variant}/mask1'])
    assert torch.equal(mask_2, case[f'out/{variant}/mask2'])
    assert torch.equal(ids_restore, case[f'out/{variant}/ids_restore'])

    names = case.meta['param_map']
    gradients = {name: value.grad for name, value in model.named_parameters()}
    official = case.arrays[f'out/{variant}/param_names'].tolist()
    norms = [
        -torch.ones((), dtype=torch.float64)
        if gradients[names[name]] is None
        else gradients[names[name]].double().norm()
        for name in official
    ]
    case.assert_close(torch.stack(norms), f'{kind}/{variant}/grad_norms')
    keys = case.under(f'{kind}/{variant}/grad/')
    assert keys
    for name, key in keys.items():
        case.assert_close(gradients[names[name]], key)

    keys = case.under(f'{kind}/{variant}/buffers_after/')
    assert bool(keys) == (norm == 'BN')
    for name, key in keys.items():
        value = model.get_buffer(names[name])
        if value.is_floating_point():
            case.assert_close(value, key)
        else:
            assert torch.equal(value, case[key])
    after = model.teacher.state_dict()
    assert all(torch.equal(value, after[key]) for key, value in before.items())


def adamw(model, case):
    """The official groups: no decay on vectors and biases."""
    groups = {0.0: [], case.config['weight_decay']: []}
    for name, value in model.named_parameters():
        if value.requires_grad:
            is_plain = value.ndim == 1 or name.endswith('.bias')
            decay = 0.0 if is_plain else case.config['weight_decay']
            groups[decay].append(value)
    return torch.optim.AdamW(
        [dict(params=params, weight_decay=decay) for decay, params in groups.items()],
        betas=case.config['betas'],
    )


@pytest.mark.parametrize('dtype', DTYPES)
def test_training_steps_equal_official_lut(
    golden, guided_mae_config, monkeypatch, dtype
):
    case = golden('lut_train_steps')
    sizes = case.config
    model = build(case, guided_mae_config, dtype, sizes['mask_ratio'])
    optimizer = adamw(model, case)
    kind = 'f64' if dtype == torch.float64 else 'out'
    names = case.meta['param_map']
    official = case.arrays['out/param_names'].tolist()
    in_teacher = torch.tensor(
        [names[name].startswith(('backbone.', 'projector.')) for name in official]
    )
    total_steps = sizes['epochs'] * sizes['iters']
    count = sum(key.endswith('/noise') for key in case.arrays)
    assert count
    for step in range(count):
        replay(monkeypatch, case[f'draw/it{step}/noise'])
        views = [case[f'in/it{step}/view{view}'].to(dtype) for view in (1, 2)]
        for group in optimizer.param_groups:
            group['lr'] = float(case['out/lr'][step])
        losses = model(views, None, mode='loss')
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        momentum = cosine_momentum(step, total_steps, 1 - sizes['ema_decay'], 0.0)
        assert 1 - momentum == pytest.approx(float(case['out/ema_decay'][step]))
        model.teacher.move(momentum)

        def at(values, step=step):
            return values[step]

        context = losses['loss_context'].double() / sizes['w_bc']
        case.assert_close(losses['loss'].double(), f'{kind}/loss_mae', at)
        case.assert_close(context, f'{kind}/loss_bc', at)
        state = {name: model.state_dict()[names[name]] for name in official}
        case.assert_close(norms_of(state, official), f'{kind}/student_norms', at)
        ours = [name for name, known in zip(official, in_teacher, strict=True) if known]
        state = {name: model.state_dict()[f'teacher.{names[name]}'] for name in ours}
        case.assert_close(
            norms_of(state, ours),
            f'{kind}/teacher_norms',
            lambda values, step=step: values[step][in_teacher],
        )
    finals = case.under(f'{kind}/final_').values()
    assert bool(finals) == (count == sizes['iters'] * len(sizes['run_epochs']))
    for key in finals:
        _, owner, name = key.split('/')
        prefix = 'teacher.' if owner == 'final_teacher' else ''
        if prefix and not names[name].startswith(('backbone.', 'projector.')):
            continue  # the released teacher has a decoder that it never uses
        value = model.state_dict()[prefix + names[name]]
        if value.is_floating_point():
            case.assert_close(value, key)
        else:
            assert torch.equal(value, case[key])


def test_second_view_sees_the_next_patches_of_the_same_order(full_golden):
    case = full_golden('lut_forward')
    for variant, (_, _, mask_ratio, _) in case.config['variants'].items():
        order = case[f'draw/{variant}/noise'].argsort(dim=1)
        budget = PatchBudget.from_mask_ratio(order.shape[1], mask_ratio)
        first = partition_patches(order, budget)
        visible = budget.num_visible
        second = next_partition(first)
        assert torch.equal(second.ids_keep, order[:, visible : 2 * visible])
