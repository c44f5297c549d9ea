"""SimMIM's ViT: stock BEiT where nothing is thrown, a shorter sequence where it is."""

import math

import pytest
import torch
from mmengine.registry import MODELS
from torch import nn

from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.scorers.self_attention import read_cls_attention

from .simmim_config import ABSOLUTE, backbone_config, build

POSITIONS = {'shared bias': {}, 'absolute': ABSOLUTE}
GRID = (4, 6)
BUDGET = PatchBudget(8, 9, 7)


@pytest.fixture(params=POSITIONS)
def config(request):
    """An image of 4 x 6 patches, without stochastic depth."""
    positions = POSITIONS[request.param]
    return backbone_config(img_size=(32, 48), drop_path_rate=0.0, **positions)


def random_partition(batch_size, budget=BUDGET):
    return partition_patches(
        torch.rand(batch_size, budget.num_patches).argsort(1), budget
    )


def encode(vit, images, partition):
    return vit(images, partition)[0]


def test_without_throwing_it_is_stock_beit_bit_for_bit(config):
    vit = build({**config, 'out_type': 'raw', 'out_indices': [0, 1]})
    stock = MODELS.build(
        {**config, 'type': 'mmpretrain.BEiTPretrainViT', 'out_indices': [0, 1]}
    )
    stock.load_state_dict(vit.state_dict())
    images, mask = torch.randn(2, 3, 32, 48), torch.rand(2, *GRID) < 0.6
    for some in (mask.float(), mask.long(), None):
        pairs = zip(vit(images, some), stock(images, some), strict=True)
        for ours, expected in pairs:
            assert torch.equal(ours, expected)
            ours.square().sum().backward(retain_graph=True)
            expected.square().sum().backward(retain_graph=True)
    for (name, ours), expected in zip(
        vit.named_parameters(), stock.parameters(), strict=True
    ):
        assert torch.equal(ours.grad, expected.grad), name


def test_a_partition_that_throws_nothing_changes_nothing(config):
    vit = build(config)
    images = torch.randn(2, 3, 32, 48)
    partition = random_partition(2, PatchBudget(10, 14))
    (expected,) = vit(images, partition.mask.view(2, *GRID))
    assert torch.equal(encode(vit, images, partition), expected)


def test_features_are_a_map_with_zeros_where_patches_are_thrown(config):
    vit = build(config)
    partition = random_partition(3)
    features = encode(vit, torch.randn(3, 3, 32, 48), partition)
    assert features.shape == (3, 24, *GRID)
    thrown = partition.thrown.view(3, 1, *GRID).expand_as(features)
    assert torch.equal(features == 0, thrown)


def test_throwing_equals_forbidding_attention_to_the_thrown(config):
    """The kept tokens get what they would get beside thrown ones nobody may attend."""
    vit = build(config).double()
    images = torch.randn(2, 3, 32, 48, dtype=torch.float64)
    partition = random_partition(2)
    features = encode(vit, images, partition)

    hidden = nn.functional.pad(partition.thrown, (1, 0))  # CLS is never hidden
    closed = torch.zeros(2, 1, 1, 25, dtype=torch.float64)
    closed = closed.masked_fill(hidden[:, None, None], -math.inf)

    def hide(module, args, kwargs):
        bias = kwargs['rel_pos_bias']
        return args, {'rel_pos_bias': closed if bias is None else closed + bias}

    for layer in vit.layers:
        layer.attn.register_forward_pre_hook(hide, with_kwargs=True)
    (expected,) = vit(images, partition.mask.view(2, *GRID))
    kept = ~partition.thrown.view(2, 1, *GRID).expand_as(features)
    torch.testing.assert_close(features[kept], expected[kept])


def test_bfloat16_autocast_throws_too(config):
    vit = build(config)
    images, partition = torch.randn(2, 3, 32, 48), random_partition(2)
    expected = encode(vit, images, partition)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        features = encode(vit, images, partition)
    torch.testing.assert_close(features.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize('block', [0, 1])
def test_its_cls_attention_can_be_read(config, block):
    """The reading is what BEiTAttention computes: softmax, spied upon."""
    vit = build(config)
    images = torch.randn(2, 3, 32, 48)
    seen = []
    vit.layers[block].attn.attn_drop.register_forward_pre_hook(
        lambda module, args: seen.append(args[0])
    )
    with torch.no_grad():
        attention = read_cls_attention(vit, images, block, stop=False)
        one = read_cls_attention(vit, images, block, head=1)
    assert attention.shape == (2, 3, 24)
    torch.testing.assert_close(attention, seen[0][:, :, 0, 1:])
    torch.testing.assert_close(one, attention[:, [1]])
    assert len(seen) == 1  # reading alone stops before


def test_stochastic_depth_drops_each_branch_once():
    rates = [0.0, 0.05, 0.1]
    vit = build(backbone_config(depth=3))
    for layer, rate in zip(vit.layers, rates, strict=True):
        drops = [m for m in layer.modules() if type(m).__name__ == 'DropPath']
        assert drops == [layer.drop_path]
        assert layer.drop_path.drop_prob == pytest.approx(rate)
    layer = vit.layers[2]  # the FFN's branch alone, of many images of one token
    layer.gamma_1.data.zero_()
    x = torch.randn(1, 1, 24).expand(4000, -1, -1)
    with torch.no_grad():
        kept = (layer.train()(x, None) != x).any(-1).float().mean()
    assert abs(kept - 0.9) < 5 * math.sqrt(0.9 * 0.1 / 4000)


def test_initial_weights_follow_simmim():
    config = backbone_config(dims=48, depth=3, **ABSOLUTE)
    torch.manual_seed(0)
    vit = MODELS.build(config)
    vit.init_weights()
    # a normal distribution cut at one deviation: 0.54 of it is left
    for name, parameter in vit.named_parameters():
        if name.endswith('bias'):
            assert not parameter.any(), name
        elif 'gamma' in name:
            assert (parameter == 0.1).all(), name
        elif 'ln' in name:
            assert (parameter == 1).all(), name
        else:
            block = int(name.split('.')[1]) + 1 if name.startswith('layers') else 0
            outputs = ('attn.proj.weight', 'ffn.layers.1.weight')
            bound = 0.02 / math.sqrt(2 * block) if name.endswith(outputs) else 0.02
            assert parameter.abs().max() <= bound * (1 + 1e-6), name
            deviations = parameter.std() / bound
            margin = 4 / math.sqrt(2 * parameter.numel())
            assert abs(deviations / 0.54 - 1) < margin, name


def test_relative_position_bias_starts_at_zero():
    vit = MODELS.build(backbone_config())
    vit.init_weights()
    assert not vit.rel_pos_bias.relative_position_bias_table.any()


def test_absolute_positions_are_resized_for_other_images():
    vit = build(backbone_config(**ABSOLUTE))
    for mask in (None, torch.zeros(1, 3, 5)):
        (features,) = vit(torch.randn(1, 3, 24, 40), mask)
        assert features.shape == (1, 24, 3, 5)


def test_sizes_that_do_not_fit_are_refused():
    vit = build(backbone_config(img_size=(32, 48)))
    for mask in (None, torch.zeros(1, 4, 4)):
        with pytest.raises(ValueError, match=r'32 x 32 px.*\(4, 4\).*\(4, 6\)'):
            vit(torch.randn(1, 3, 32, 32), mask)
        with pytest.raises(ValueError, match=r'\(8\).*\(32 x 50\)'):
            vit(torch.randn(1, 3, 32, 50), mask)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(img_size=(32, 50)), r'\(8\) does not divide the image size \(32 x 50\)'),
        (dict(out_type='avg_featmap'), r"'featmap', 'raw'.*got 'avg_featmap'"),
        (
            dict(use_rel_pos_bias=True, use_shared_rel_pos_bias=False),
            'use_shared_rel_pos_bias=True instead',
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(backbone_config(**changes))
