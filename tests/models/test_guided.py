"""The host: when it asks for a score, and what it does without one."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mmattmask.masking import reduce_heads
from mmattmask.models.guidance import attention_maps
from mmattmask.scorers.self_attention import read_cls_attention
from tests.scorers.banks import write_bank

AMT = dict(type='mmattmask.AMTMaskGenerator', mask_ratio=0.45, throw_ratio=0.40)
CACHED = dict(type='mmattmask.CachedAttention')


@pytest.fixture
def bank(tmp_path):
    """A bank of five maps of 6 x 6: each attends one row of cells most."""
    maps = np.full((5, 6, 6), 0.1)
    maps[np.arange(5), np.arange(5)] = 1.0
    return write_bank(tmp_path / 'bank', maps)


def sample(sample_idx, crop_box=(0, 0, 48, 48), **changes):
    meta = dict(
        sample_idx=sample_idx,
        crop_box=crop_box,
        ori_shape=(48, 48),
        flip=False,
        flip_direction=None,
    )
    return SimpleNamespace(**{**meta, **changes})


@pytest.fixture
def amt(guided_mae):
    """A guided MAE with cached attention, before its first refresh."""
    return guided_mae(mask_generator=AMT, scorer=CACHED)


def test_random_at_the_stock_ratio_until_a_bank_exists(guided_mae, bank):
    model = guided_mae(
        img_size=56, patch_size=4, dims=24, mask_generator=AMT, scorer=CACHED
    )
    images, samples = torch.randn(2, 3, 56, 56), [sample(0), sample(1)]
    for _ in range(2):
        budget = model.guidance.guide(images, samples)[1].budget
        assert (budget.num_visible, budget.num_masked, budget.num_thrown) == (
            49,
            147,
            0,
        )
    model.guidance.scorer.bank = bank
    budget = model.guidance.guide(images, samples)[1].budget
    assert (budget.num_visible, budget.num_masked, budget.num_thrown) == (30, 88, 78)


def test_the_warm_up_ratio_is_the_backbones(guided_mae, bank):
    model = guided_mae(mask_generator=AMT, scorer=CACHED, backbone__mask_ratio=0.5)
    images, samples = torch.randn(2, 3, 48, 48), [sample(0), sample(1)]
    assert model.guidance.guide(images, samples)[1].budget.num_visible == 18


def test_without_a_scorer_amt_masks_on_a_constant_score(guided_mae):
    model = guided_mae(mask_generator=AMT)
    partition = model.guidance.guide(torch.randn(2000, 3, 48, 48), None)[1]
    assert partition.budget.num_thrown == int(36 * 0.85) - int(36 * 0.45)
    rate = partition.budget.num_masked / 36
    bound = 5 * (rate * (1 - rate) / 2000) ** 0.5
    assert (partition.mask.mean(0) - rate).abs().max() < bound


def test_the_score_is_the_banks_map_of_each_sample(amt, bank):
    amt.guidance.scorer.bank = bank
    images = torch.randn(3, 3, 48, 48)
    score = amt.guidance.score(images, [sample(4), sample(0), sample(4)])
    assert score.shape == (3, 36)
    assert score.argmax(1).div(6, rounding_mode='floor').tolist() == [4, 0, 4]
    upper = amt.guidance.score(images, [sample(1, (0, 0, 24, 48))] * 3).unflatten(
        1, (6, 6)
    )
    # row 1 of 6 is rows 2 and 3 of the upper half
    assert upper[0, :, 0].topk(2).indices.sort().values.tolist() == [2, 3]


def test_the_hosts_generator_decides_the_masks(guided_mae, amt, bank):
    amt.guidance.scorer.bank = bank
    images, samples = torch.randn(2, 3, 48, 48), [sample(0), sample(1)]
    before = torch.get_rng_state()
    partitions = []
    for seed in (1, 1, 2):
        amt.guidance.rng = torch.Generator().manual_seed(seed)
        partitions.append(amt.guidance.guide(images, samples)[1].ids_mask)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(partitions[0], partitions[1])
    assert not torch.equal(partitions[0], partitions[2])


def test_scores_stay_float32_under_bfloat16_autocast(amt, bank):
    amt.guidance.scorer.bank = bank
    images, samples = torch.randn(2, 3, 48, 48), [sample(1), sample(3, (7, 9, 30, 20))]
    exact = amt.guidance.score(images, samples)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        score = amt.guidance.score(images, samples)
        maps = attention_maps(amt, images)
        loss = amt(images, samples, mode='loss')['loss']
    assert score.dtype == maps.dtype == torch.float32
    assert torch.equal(score, exact)
    loss.backward()
    assert amt.neck.mask_token.grad.isfinite().all()


def test_attention_mode_gives_whole_image_maps_of_the_last_block(amt):
    images = torch.randn(2, 3, 48, 48)
    amt.eval()
    with torch.no_grad():
        maps = attention_maps(amt, images)
        expected = reduce_heads(read_cls_attention(amt.backbone, images), 'mean_minmax')
        smaller = attention_maps(amt, images[:, :, :24, :40])
    assert torch.equal(maps, expected.view(2, 6, 6))
    assert maps.amin() == 0
    assert maps.amax() == 1
    assert smaller.shape == (2, 3, 5)


def test_the_scorers_block_and_reduction_are_used(guided_mae):
    options = dict(block=0, reduce_heads='minmax_mean')
    model = guided_mae(mask_generator=AMT, scorer={**CACHED, **options})
    images = torch.randn(2, 3, 48, 48)
    with torch.no_grad():
        attention = read_cls_attention(model.backbone, images, block=0)
        expected = reduce_heads(attention, 'minmax_mean').view(2, 6, 6)
        assert torch.equal(attention_maps(model, images), expected)


def test_a_copy_of_the_model_shares_the_bank(amt, bank):
    amt.guidance.scorer.bank = bank
    images, samples = torch.randn(2, 3, 48, 48), [sample(0), sample(3)]
    twin = copy.deepcopy(amt)
    assert twin.guidance.scorer is not amt.guidance.scorer
    assert twin.guidance.scorer.bank is bank
    assert torch.equal(
        twin.guidance.score(images, samples), amt.guidance.score(images, samples)
    )
    assert twin.backbone.cls_token is not amt.backbone.cls_token


def test_scores_and_masks_carry_no_gradient(amt, bank):
    amt.guidance.scorer.bank = bank
    images, samples = torch.randn(1, 3, 48, 48, requires_grad=True), [sample(0)]
    assert not amt.guidance.score(images, samples).requires_grad
    assert not amt.guidance.guide(images, samples)[1].mask.requires_grad


def test_images_of_another_size_are_refused_with_both_grids(amt):
    with pytest.raises(ValueError, match=r'56 x 48 px.*\(7, 6\).*\(6, 6\).*img_size'):
        amt(torch.randn(1, 3, 56, 48), [sample(0)], mode='loss')


def test_images_that_patches_do_not_divide_are_refused(amt):
    with pytest.raises(ValueError, match=r'patch size \(8\).*\(50 x 48\)'):
        attention_maps(amt, torch.randn(1, 3, 50, 48))


def test_attention_mode_without_a_scorer_is_refused(guided_mae):
    with pytest.raises(
        ValueError, match=r'attention maps need a scorer.*GuidedMAE has none'
    ):
        attention_maps(guided_mae(), torch.randn(1, 3, 48, 48))
