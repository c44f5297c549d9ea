"""GuidedMAE with random masking is stock MAE, bit for bit."""

import copy

import pytest
import torch
from mmengine.registry import MODELS

from mmattmask.models import GuidedMAE

# (image, patch): 36 patches; 49 and 25, where MAE and AMT round differently; 196; 16
SIZES = [(48, 8), (56, 8), (40, 8), (56, 4), (32, 8)]


def stock_config(config: dict, num_patches: int) -> dict:
    """The stock model with the sizes of a guided one."""
    config = copy.deepcopy(config)
    config['type'] = 'mmpretrain.MAE'
    config['backbone']['type'] = 'mmpretrain.MAEViT'
    patch_size = config['backbone']['patch_size']
    config['neck'].update(
        type='mmpretrain.MAEPretrainDecoder',
        num_patches=num_patches,
        patch_size=patch_size,
        embed_dim=config['backbone']['arch']['embed_dims'],
    )
    config['head']['patch_size'] = patch_size
    for ours in ('mask_generator', 'scorer'):
        config.pop(ours, None)
    return config


def build(config: dict, seed: int = 0):
    torch.manual_seed(seed)
    model = MODELS.build(config)
    model.init_weights()
    return model


@pytest.fixture
def pair(guided_mae_config):
    """A guided model and the stock one of the same sizes and seed."""

    def make(img_size=48, patch_size=8, **changes):
        config = guided_mae_config(img_size, patch_size, **changes)
        stock = stock_config(config, (img_size // patch_size) ** 2)
        return build(config), build(stock)

    return make


@pytest.mark.parametrize(('img_size', 'patch_size'), SIZES)
def test_initial_weights_names_and_random_stream_are_the_stock_ones(
    pair, guided_mae_config, img_size, patch_size
):
    guided, stock = pair(img_size, patch_size)
    states = guided.state_dict(), stock.state_dict()
    assert list(states[0]) == list(states[1])
    for name, value in states[1].items():
        assert torch.equal(states[0][name], value), name
    trainable = [
        [name for name, value in model.named_parameters() if value.requires_grad]
        for model in (guided, stock)
    ]
    assert trainable[0] == trainable[1]

    config = guided_mae_config(img_size, patch_size)
    build(config)
    after_guided = torch.get_rng_state()
    build(stock_config(config, (img_size // patch_size) ** 2))
    assert torch.equal(after_guided, torch.get_rng_state())


@pytest.mark.parametrize('norm_pix', [True, False])
@pytest.mark.parametrize(('img_size', 'patch_size'), SIZES)
def test_losses_and_gradients_are_the_stock_ones(pair, img_size, patch_size, norm_pix):
    guided, stock = pair(img_size, patch_size, norm_pix=norm_pix)
    images = torch.randn(3, 3, img_size, img_size)
    losses = []
    for model in (guided, stock):
        torch.manual_seed(11)
        for _ in range(2):  # two steps: the random streams stay together
            losses.append(model(images, None, mode='loss')['loss'])
            losses[-1].backward()
    assert torch.equal(losses[0], losses[2])
    assert torch.equal(losses[1], losses[3])
    assert not torch.equal(losses[0], losses[1])
    gradients = dict(stock.named_parameters())
    for name, parameter in guided.named_parameters():
        if parameter.requires_grad:
            assert torch.equal(parameter.grad, gradients[name].grad), name
        else:
            assert parameter.grad is None


def test_a_scorer_adds_nothing_to_parameters_and_checkpoints(pair):
    guided, stock = pair(
        scorer=dict(type='mmattmask.CachedAttention'),
        mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
    )
    assert list(guided.state_dict()) == list(stock.state_dict())
    assert [n for n, _ in guided.named_parameters()] == [
        n for n, _ in stock.named_parameters()
    ]
    assert [n for n, _ in guided.named_buffers()] == [
        n for n, _ in stock.named_buffers()
    ]
    # a stock checkpoint goes in, and ours comes out as a stock one
    guided.load_state_dict(stock.state_dict(), strict=True)
    stock.load_state_dict(guided.state_dict(), strict=True)


def test_before_the_first_refresh_a_host_with_a_scorer_is_stock_mae(pair):
    guided, stock = pair(
        56,
        scorer=dict(type='mmattmask.CachedAttention'),
        mask_generator=dict(type='mmattmask.AMTMaskGenerator'),
    )
    images = torch.randn(2, 3, 56, 56)
    losses = []
    for model in (guided, stock):
        torch.manual_seed(3)
        losses.append(model(images, [None, None], mode='loss')['loss'])
    assert torch.equal(*losses)


def test_tensor_mode_sees_all_patches_with_the_cls_token_first(pair):
    guided, stock = pair()
    images = torch.randn(2, 3, 48, 48)
    (tokens,), (expected,) = guided(images), stock(images)
    assert tokens.shape == (2, 1 + 36, 48)
    assert torch.equal(tokens, expected)


def test_sizes_are_inferred(guided_mae):
    model = guided_mae(img_size=56, dims=24)
    assert isinstance(model, GuidedMAE)
    assert model.head.patch_size == 8
    assert model.neck.num_patches == 49
    assert model.neck.grid == (7, 7)
    assert model.neck.decoder_embed.in_features == 24
    assert model.neck.decoder_pred.out_features == 8 * 8 * 3


def test_the_config_of_the_user_is_not_changed(guided_mae_config):
    config = guided_mae_config()
    before = copy.deepcopy(config)
    MODELS.build(config)
    assert config == before
