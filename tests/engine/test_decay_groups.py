"""Two parameter groups: the official names, the values in them, bad input."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpretrain.models import VisionTransformer
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from mmattmask.engine.decay_groups import split_by_decay

OFFICIAL_NAMES = {
    'mask_token': 'masked_embed',
    'patch_embed.projection': 'patch_embed.proj',
    'layers.': 'blocks.',
    'ffn.blocks.0.0': 'mlp.fc1',
    'ffn.blocks.1': 'mlp.fc2',
    'ln1': 'norm1',
    'ln2': 'norm2',
    'backbone.norm1': 'backbone.norm',
    'parametrizations.weight.original0': 'weight_g',
    'parametrizations.weight.original1': 'weight_v',
}


class Student(nn.Module):
    """A vision transformer and iBOT's head, whose last layer may be shared."""

    def __init__(self, train_norm=True, depth=3, head_layers=3):
        super().__init__()
        arch = dict(
            embed_dims=12, num_layers=depth, num_heads=2, feedforward_channels=24
        )
        self.backbone = VisionTransformer(arch, img_size=16, patch_size=8)
        self.backbone.mask_token = nn.Parameter(torch.zeros(1, 1, 12))
        self.head = nn.Module()
        self.head.mlp = nn.Sequential(nn.Linear(12, 8))
        for _ in range(head_layers - 1):
            self.head.mlp.extend([nn.GELU(), nn.Linear(8, 8)])
        self.head.last_layer = weight_norm(nn.Linear(8, 9, bias=False))
        self.head.last_layer2 = self.head.last_layer
        norm = self.head.last_layer.parametrizations.weight.original0
        norm.requires_grad = train_norm


def build(model, **changes):
    optimizer = dict(type='AdamW', lr=0.1, weight_decay=0.04)
    cfg = dict(
        type='OptimWrapper',
        constructor='mmattmask.DecayGroupsOptimWrapperConstructor',
        optimizer=optimizer,
    )
    return build_optim_wrapper(model, {**cfg, **changes})


def names_of(model, group):
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {names[parameter] for parameter in group['params']}


def official(name):
    for ours, theirs in OFFICIAL_NAMES.items():
        name = name.replace(ours, theirs)
    return name


def test_named_tensors_fall_into_the_official_groups(golden):
    case = golden('ibot_optim_rules')
    names = {
        nn.Parameter(case[key]): key.removeprefix('weights_student/')
        for key in case.arrays
        if key.startswith('weights_student/')
    }
    groups = split_by_decay((name, parameter) for parameter, name in names.items())
    for group, key in zip(groups, ('out/decayed', 'out/not_decayed'), strict=True):
        assert {names[parameter] for parameter in group} == set(case.arrays[key])


def test_a_student_falls_into_the_official_groups(golden):
    case = golden('ibot_optim_rules')
    keys = ('out/vit_decayed', 'out/vit_not_decayed')
    names = [name.split('.') for name in case.arrays[keys[0]]]
    model = Student(
        depth=len({name[2] for name in names if name[1] == 'blocks'}),
        head_layers=len({name[2] for name in names if name[1] == 'mlp'}),
    )
    groups = build(model).optimizer.param_groups
    for group, key in zip(groups, keys, strict=True):
        assert {official(n) for n in names_of(model, group)} == set(case.arrays[key])
    assert [group['weight_decay'] for group in groups] == [0.04, 0.0]
    assert [group['lr'] for group in groups] == [0.1, 0.1]


def test_the_rule_equals_stock_options_that_make_a_group_of_each_parameter():
    model = Student()
    model.head.last_layer2 = None  # stock groups would hold a shared layer twice
    rule = dict(flat_decay_mult=0.0, bias_decay_mult=0.0, norm_decay_mult=0.0)
    stock = build(
        model, constructor='DefaultOptimWrapperConstructor', paramwise_cfg=rule
    )
    assert len(stock.optimizer.param_groups) == 51
    expected = {
        group['params'][0]: group['weight_decay']
        for group in stock.optimizer.param_groups
    }
    ours = {
        parameter: group['weight_decay']
        for group in build(model).optimizer.param_groups
        for parameter in group['params']
    }
    assert ours == expected


def test_a_bias_of_two_dimensions_is_not_decayed():
    table, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    names = [('attn.bias_table', table), ('attn.bias', bias)]
    decayed, others = split_by_decay(names)
    assert decayed == [table]
    assert others == [bias]


def test_what_is_not_trained_has_no_group():
    model = Student(train_norm=False)
    model.backbone.requires_grad_(False)
    groups = build(model).optimizer.param_groups
    decayed, others = (names_of(model, group) for group in groups)
    assert decayed == {
        'head.mlp.0.weight',
        'head.mlp.2.weight',
        'head.mlp.4.weight',
        'head.last_layer.parametrizations.weight.original1',
    }
    assert others == {'head.mlp.0.bias', 'head.mlp.2.bias', 'head.mlp.4.bias'}


def test_other_rules_are_refused():
    with pytest.raises(ValueError, match=r"paramwise_cfg=.*'norm_decay_mult': 0\.5"):
        build(Student(), paramwise_cfg=dict(norm_decay_mult=0.5))


def test_a_step_decays_only_the_first_group():
    model = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3))
    wrapper = build(model, optimizer=dict(type='SGD', lr=0.5, weight_decay=0.2))
    before = [parameter.clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    wrapper.step()
    factors = [0.9, 1.0, 1.0, 1.0]  # weight, bias, weight and bias of the norm
    for old, new, factor in zip(before, model.parameters(), factors, strict=True):
        torch.testing.assert_close(new, factor * old)


def test_a_wrapped_model_has_the_same_groups():
    wrapper = build(nn.DataParallel(Student()))
    sizes = [len(group['params']) for group in wrapper.optimizer.param_groups]
    assert sizes == [21, 30]
