"""The projection head: official numbers, lengths of prototypes, mean output."""

import copy

import pytest
import torch

from mmattmask.models import IBOTHead
from tests.models.official_ibot import from_official_ibot

from ..golden import each

DTYPES = [torch.float32, torch.float64]


def official_head(case, name, dtype, **options):
    """The head of a golden case with its weights."""
    sizes = case.config
    head = IBOTHead(
        sizes['in_dim'],
        sizes['out_dim'],
        hid_channels=sizes['hidden'],
        bottleneck_channels=sizes['bottleneck'],
        **options,
    )
    keys = case.under(f'weights_{name}/')
    weights = {f'head.{part}': case[key] for part, key in keys.items()}
    state = from_official_ibot({'student': weights})
    state = {key.removeprefix('head.'): value for key, value in state.items()}
    head.load_state_dict(state, strict=True)
    return head.to(dtype)


def compare(case, key, dtype, **values):
    kind = 'out' if dtype == torch.float32 else 'f64'
    keys = case.under(f'{kind}/{key}/')
    assert keys
    for name, full in keys.items():
        case.assert_close(values[name], full)


def dino_heads(case):
    heads = case.config['dino']  # heads with norms are not built here
    return [name for name, options in heads.items() if 'norm' not in options]


@pytest.mark.parametrize('dtype', DTYPES)
@each('ibot_heads', dino_heads, 'name')
def test_cls_output_equals_official_dino(golden, name, dtype):
    case = golden('ibot_heads')
    options = case.config['dino'][name]
    head = official_head(
        case,
        f'dino_{name}',
        dtype,
        num_layers=options['nlayers'],
        norm_last_layer=options['norm_last_layer'],
        act_cfg=dict(type='ReLU') if options.get('act') == 'relu' else None,
    )
    x = case['in/x2d'].to(dtype).requires_grad_()
    y = head.cls_logits(head.project(x))
    y.square().sum().backward()
    parametrized = head.last_layer.parametrizations.weight
    values = dict(
        y=y,
        grad_x=x.grad,
        effective_weight=head.last_layer.weight,
        grad_weight_v=parametrized.original1.grad,
    )
    if parametrized.original0.requires_grad:
        values['grad_weight_g'] = parametrized.original0.grad
    compare(case, f'dino_{name}', dtype, **values)
    assert parametrized.original0.requires_grad != options['norm_last_layer']


@pytest.mark.parametrize('dtype', DTYPES)
@each('ibot_heads', lambda case: case.config['ibot'], 'name')
def test_all_outputs_equal_official_ibot(golden, name, dtype):
    case = golden('ibot_heads')
    own = None if case.config['ibot'][name] else case.config['patch_out_dim']
    head = official_head(
        case, f'ibot_{name}', dtype, patch_out_channels=own, norm_last_layer=False
    )
    x = case['in/x3d'].to(dtype).requires_grad_()
    cls, patch = head(x)
    (cls.square().sum() + patch.square().sum()).backward()
    parametrized = head.last_layer.parametrizations.weight
    values = dict(
        cls=cls,
        patch=patch,
        grad_x=x.grad,
        cls_from_2d=head.cls_logits(head.project(x[:, 0])),
        grad_weight_v=parametrized.original1.grad,
        grad_weight_g=parametrized.original0.grad,
    )
    compare(case, f'ibot_{name}', dtype, **values)


@torch.no_grad()
@pytest.mark.parametrize('own', [None, 7])
def test_mean_output_needs_no_output(own):
    head = IBOTHead(6, 5, own, hid_channels=8, bottleneck_channels=4).double()
    torch.nn.init.uniform_(head.last_layer.parametrizations.weight.original0)
    z = head.project(torch.randn(3, 9, 6, dtype=torch.float64))
    expected = head.patch_logits(z).mean(dim=(0, 1))
    torch.testing.assert_close(head.mean_patch_logits(z), expected)
    with torch.autocast('cpu', torch.bfloat16):
        assert head.float().mean_patch_logits(z.bfloat16()).dtype == torch.float32
    half = head.bfloat16().mean_patch_logits(z.bfloat16())
    torch.testing.assert_close(half, expected.float(), rtol=0.05, atol=0.01)


@torch.no_grad()
def test_prototypes_start_at_length_one_and_keep_the_stock_directions():
    torch.manual_seed(0)
    head = IBOTHead(6, 50, hid_channels=64, bottleneck_channels=16)
    before = copy.deepcopy(head.last_layer.state_dict())
    head.init_weights()
    for key, value in head.last_layer.state_dict().items():
        assert torch.equal(value, before[key])
    torch.testing.assert_close(head.last_layer.weight.norm(dim=1), torch.ones(50))
    direction = head.last_layer.parametrizations.weight.original1
    assert 0.24 < direction.abs().max() <= 0.25  # uniform up to 1 / sqrt(16)
    assert head.mlp[0].weight.std() == pytest.approx(0.02, rel=0.2)
    assert not head.mlp[0].bias.any()


def test_sizes_below_one_are_refused():
    with pytest.raises(ValueError, match=r'num_layers \(0\)'):
        IBOTHead(6, num_layers=0)
    with pytest.raises(ValueError, match=r'got \[6, 2048, 2048, 0\], 8192 and None'):
        IBOTHead(6, bottleneck_channels=0)
