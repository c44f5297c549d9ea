"""Counted FLOPs beside a formula, and beside the papers' numbers."""

import copy

import pytest

from mmattmask.inspection.built_config import build_model
from mmattmask.inspection.flops import (
    computes_all_patches,
    cost,
    patch_budget,
    scorer_flops,
    step_flops,
)
from mmattmask.masking import PatchBudget
from mmattmask.models.guidance import guidance_of
from tests.config_building import find, load
from tests.inspection.tiny_plan import SIMMIM, tiny_config, tiny_plan


def by_hand(model, num_visible, num_decoded):
    """Embedding, and per block of N tokens 2 N P + 4 N² D (P weights, width D)."""

    def blocks(width, hidden, depth, tokens):
        weights = 4 * width * width + 2 * width * hidden
        return depth * (2 * tokens * weights + 4 * tokens**2 * width)

    pixels = 3 * 8 * 8
    encoder = 2 * 24 * 24 * pixels + blocks(24, 48, 2, 1 + num_visible)
    decoder = blocks(16, 64, 1, 1 + num_decoded)
    linear = 2 * (1 + num_visible) * 24 * 16 + 2 * (1 + num_decoded) * 16 * pixels
    return encoder + decoder + linear


@pytest.mark.parametrize('throw_ratio', [0.0, 0.4])
def test_mae_costs_what_a_formula_says(throw_ratio):
    built = tiny_plan(**{'model.mask_generator.throw_ratio': throw_ratio})
    budget = patch_budget(built.guidance, built.image_size)
    found = cost(built.model, budget)
    decoded = budget.num_visible + budget.num_masked
    assert found.flops == by_hand(built.model, budget.num_visible, decoded)
    assert found.stock_flops == by_hand(built.model, 6, 24)
    assert found.encoder_tokens == 1 + budget.num_visible
    assert found.decoder_tokens == 1 + decoded


@pytest.mark.parametrize('throw_ratio', [0.0, 0.1])
def test_stock_masks_are_the_reference(throw_ratio):
    ratios = dict(mask_ratio=0.75, throw_ratio=throw_ratio)
    changes = {f'model.mask_generator.{key}': value for key, value in ratios.items()}
    built = tiny_plan(**changes)
    found = cost(built.model, patch_budget(built.guidance, built.image_size))
    assert (found.relative == 1) == (throw_ratio == 0)
    assert found.relative <= 1


@pytest.mark.parametrize(
    ('name', 'relative'),
    [
        ('amt/amt_vit-base-p16_8xb512-amp-coslr-200e_in1k.py', 0.61),
        ('simmim/simmim-amt_vit-base-p16_8xb256-amp-coslr-200e_in1k.py', 0.735),
        ('simmim/simmim-amt-33-50_vit-base-p16_8xb256-amp-coslr-200e_in1k.py', 0.49),
    ],
)
def test_full_configs_have_the_known_shares(name, relative):
    model = build_model(load(f'configs/{name}'))
    found = cost(model, patch_budget(guidance_of(model), model.backbone.img_size))
    assert found.relative == pytest.approx(relative, abs=0.01)


def test_cells_are_turned_into_patches():
    model = dict(SIMMIM, _delete_=True, cell_size=28)
    model['backbone'] = dict(model['backbone'], patch_size=7, img_size=56)
    model['mask_generator'] = dict(
        type='mmattmask.AMTMaskGenerator', mask_ratio=0.25, throw_ratio=0.25
    )
    built = tiny_plan(model=model, custom_hooks=[])
    budget = patch_budget(built.guidance, built.image_size)
    counts = (budget.num_visible, budget.num_masked, budget.num_thrown)
    assert counts == (32, 16, 16)
    assert cost(built.model, budget).encoder_tokens == 49


def test_hosts_with_mask_tokens_compute_all_patches():
    assert computes_all_patches(build_model(find('maskfeat-am_vit-tiny')))
    assert not computes_all_patches(build_model(tiny_config()))


@pytest.mark.parametrize(
    'name', ['amt_convmae-tiny', 'mae-gpa_hivit-tiny', 'mff-amt_vit-tiny']
)
def test_other_encoders_are_counted_too(name):
    model = build_model(find(name))
    budget = patch_budget(guidance_of(model), model.backbone.img_size)
    found = cost(model, budget)
    assert found.encoder_tokens >= budget.num_visible
    assert 0.2 < (found.flops - found.scorer_flops) / found.stock_flops < 1.1


def test_exchanged_scores_cost_what_their_source_does():
    cfg = copy.deepcopy(find('gpa/gpa_vit-tiny-p8'))
    flops = scorer_flops(build_model(cfg))
    cfg.model.scorer = dict(type='mmattmask.ShuffledMaps', scorer=cfg.model.scorer)
    assert scorer_flops(build_model(cfg)) == flops > 0


def test_convolutions_of_visible_cells_only():
    model = build_model(find('amt_convmae-tiny'))
    budget = patch_budget(guidance_of(model), model.backbone.img_size)
    more = PatchBudget(budget.num_patches - 1, 1, 0)
    assert step_flops(model, budget) < step_flops(model, more)
