"""Guided hosts are their stock algorithms, given the same masks."""

import copy
import dataclasses

import pytest
import torch

from mmattmask.masking import PatchBudget, partition_patches
from mmattmask.run_guard import check_host
from tests.tiny_hosts import HOSTS

RANDOM = dict(type='mmattmask.RandomMaskGenerator', mask_ratio=0.5)
AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.5, throw_ratio=0.25)
AM = dict(AMT, throw_ratio=0.0)
SELF_MASKING = ['MAE', 'MFF', 'EVA (MAE style)', 'MAE-HiViT', 'ConvMAE', 'MILAN']
MASK_TOKENS = ['SimMIM (Swin)', 'MaskFeat', 'BEiT', 'CAE']


def rebuilt(host, config):
    """Build a host from a config that was changed by hand."""
    return dataclasses.replace(host, guided=lambda *_: config).build(RANDOM)


def losses_and_gradients(model, batch, seed=3):
    torch.manual_seed(seed)
    data = model.data_preprocessor(copy.deepcopy(batch), True)
    losses = model(**data, mode='loss')
    total = sum(value for name, value in losses.items() if 'loss' in name)
    model.zero_grad()
    total.backward()
    gradients = {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }
    return losses, gradients


def assert_same_step(guided, stock, batch):
    (losses, gradients), (expected, expected_gradients) = (
        losses_and_gradients(model, batch) for model in (guided, stock)
    )
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(losses[name], value), name
    assert gradients.keys() == expected_gradients.keys()
    for name, value in expected_gradients.items():
        assert torch.equal(gradients[name], value), name


@pytest.mark.parametrize('name', ['MAE', 'MFF', 'EVA (MAE style)', 'MAE-HiViT'])
def test_random_masks_are_the_stock_ones_bit_for_bit(name):
    host = HOSTS[name]
    stock, guided = host.build(), host.build(RANDOM)
    if name == 'MAE-HiViT':  # as stock: the first visible patch counts as CLS
        config = host.guided(host.stock(), RANDOM, None)
        config['neck']['with_cls_token'] = True
        guided = type(host)(lambda: config, lambda c, *_: c, host.size, 16).build(
            RANDOM
        )
    guided.load_state_dict(stock.state_dict())
    assert_same_step(guided, stock, host.batch())


@pytest.mark.parametrize('name', MASK_TOKENS)
def test_the_pipelines_masks_stand_until_there_is_a_score(name):
    host = HOSTS[name]
    scorer = dict(type='mmattmask.FrozenTeacher', cached=True, block=0, head=0)
    scorer['backbone'] = dict(
        type='mmpretrain.VisionTransformer', arch='deit-tiny', img_size=host.size,
        patch_size=8, init_cfg=dict(type='TruncNormal', layer='Linear'),
    )  # fmt: skip
    stock, guided = host.build(), host.build(AM, scorer)
    guided.load_state_dict(stock.state_dict())
    assert_same_step(guided, stock, host.batch())


@pytest.mark.parametrize('name', MASK_TOKENS)
def test_masks_on_the_device_do_what_masks_of_the_pipeline_do(name):
    host = HOSTS[name]
    stock, guided = host.build(), host.build(RANDOM)
    guided.load_state_dict(stock.state_dict())
    batch = host.batch()
    torch.manual_seed(3)
    data = guided.data_preprocessor(copy.deepcopy(batch), True)
    for sample, rewritten in zip(
        batch['data_samples'], data['data_samples'], strict=True
    ):
        assert rewritten.mask.dtype == sample.mask.dtype
        sample.mask = rewritten.mask
    assert_same_step(guided, stock, batch)


@pytest.mark.parametrize('name', MASK_TOKENS)
def test_masks_have_the_policys_count_and_whole_cells(name):
    host = HOSTS[name]
    model = host.build(RANDOM)
    data = model.data_preprocessor(host.batch(3), True)
    masks = torch.stack([sample.mask for sample in data['data_samples']])
    factor = host.mask // host.grid[0]
    cells = masks.unflatten(2, (-1, factor)).unflatten(1, (-1, factor))
    assert torch.equal(cells.amin((2, 4)), cells.amax((2, 4)))
    num_cells = host.grid[0] * host.grid[1]
    assert cells[:, :, 0, :, 0].sum((1, 2)).tolist() == [num_cells // 2] * 3
    assert not torch.equal(masks[0], masks[1])


def test_evaluation_leaves_the_samples_alone():
    host = HOSTS['BEiT']
    model, batch = host.build(RANDOM), host.batch()
    expected = [sample.mask.clone() for sample in batch['data_samples']]
    data = model.data_preprocessor(batch, False)
    for sample, mask in zip(data['data_samples'], expected, strict=True):
        assert torch.equal(sample.mask, mask)


def partition_of(host, seed=0):
    """A partition with 4 visible, 8 masked and 4 thrown of 16 cells."""
    torch.manual_seed(seed)
    order = torch.rand(2, 16).argsort(dim=1)
    return partition_patches(order, PatchBudget(4, 8, 4))


@pytest.mark.parametrize('name', SELF_MASKING[:5])
def test_thrown_patches_change_nothing(name):
    host = HOSTS[name]
    model = host.build(AMT).eval()
    partition = partition_of(host)
    data = model.data_preprocessor(host.batch(), False)
    inputs = data['inputs']
    thrown = partition.thrown.view(2, *host.grid)
    for axis in (1, 2):
        thrown = thrown.repeat_interleave(host.cell, axis)
    # targets of whole-image teachers see all pixels, so EVA's is kept fixed
    if model.target_generator is not None:
        fixed = model.target_generator(inputs)
        model.target_generator.forward = lambda images: fixed

    def loss(pixels):
        model.guidance.guide = lambda inputs, samples: (None, partition)
        return model(pixels, data['data_samples'], mode='loss')['loss']

    other = torch.where(thrown.unsqueeze(1), inputs + 5.0, inputs)
    assert torch.equal(loss(other), loss(inputs))
    assert not torch.equal(loss(inputs + 5.0 * ~thrown.unsqueeze(1)), loss(inputs))


def test_an_encoder_without_cls_token_keeps_its_first_patch():
    """In the stock decoder the patches of HiViT are shifted by one."""
    host = HOSTS['MAE-HiViT']
    neck = host.build(RANDOM).neck
    assert neck.num_extra_tokens == 0
    assert neck.decoder_pos_embed.shape == (1, 16, 16)
    order = torch.rand(1, 16).argsort(dim=1)
    partition = partition_patches(order, PatchBudget(8, 8))
    tokens = torch.randn(1, 8, 16)
    embedded = neck.embed(tokens, partition.ids_restore) - neck.decoder_pos_embed
    for place, patch in enumerate(partition.ids_keep[0]):
        expected = neck.decoder_embed(tokens[:, place])
        torch.testing.assert_close(embedded[:, patch], expected)
    stock = HOSTS['MAE-HiViT'].build().neck
    assert stock.decoder_pos_embed.shape == (1, 17, 16)


def test_mff_shows_whole_images_where_the_stock_one_masks():
    host = HOSTS['MFF']
    stock, guided = host.build().eval(), host.build(RANDOM).eval()
    images = torch.randn(2, 3, 32, 32)
    assert len(stock(images, mode='tensor')) == 3  # features, mask, ids_restore
    features = guided(images, mode='tensor')
    assert isinstance(features, tuple)
    assert all(
        torch.equal(*pair) for pair in zip(features, guided(images), strict=True)
    )


def test_cae_needs_its_exact_count():
    host = HOSTS['CAE']
    policy = dict(RANDOM, mask_ratio=0.75)
    with pytest.raises(ValueError, match=r'8 masked tokens.* masks 12 of 16.*8/16'):
        host.build(policy).data_preprocessor(host.batch(), True)
    config = host.guided(host.stock(), policy, None)
    config['data_preprocessor'].pop('num_masked')
    model = rebuilt(host, config)
    with pytest.raises(ValueError, match='every image must have 8 masked tokens'):
        check_host(model)  # before training: the neck says how many


def test_cells_must_hold_whole_tokens():
    host = HOSTS['BEiT']
    config = host.guided(host.stock(), RANDOM, None)
    config['data_preprocessor']['model_patch_size'] = 5
    with pytest.raises(ValueError, match=r'cell_size \(8 px\).*\(5 px\)'):
        rebuilt(host, config)


def test_tokens_must_be_those_of_the_pipelines_masks():
    host = HOSTS['SimMIM (Swin)']
    config = host.guided(host.stock(), RANDOM, None)
    config['data_preprocessor']['model_patch_size'] = 8
    model = rebuilt(host, config)
    with pytest.raises(ValueError, match=r'16 x 16 tokens of 8 px.*\(32, 32\)'):
        model.data_preprocessor(host.batch(), True)
