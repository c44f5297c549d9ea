"""The FLOP formula beside torch's own count, and beside the papers' numbers."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mmattmask.inspection.plan import build_model
from mmattmask.inspection.tokens import (
    blocks_flops,
    computes_all_patches,
    cost,
    patch_budget,
)
from mmattmask.masking import partition_patches
from mmattmask.models.guidance import guidance_of
from tests.config_building import find, load
from tests.inspection.tiny_plan import SIMMIM, tiny_config, tiny_plan


def counted(function):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def partition_on_meta(budget):
    partition = partition_patches(torch.arange(budget.num_patches)[None], budget)
    for name, ids in vars(partition).items():
        object.__setattr__(partition, name, ids.to('meta'))
    return partition


@pytest.mark.parametrize('throw_ratio', [0.0, 0.4])
def test_mae_costs_what_torch_counts(throw_ratio):
    plan = tiny_plan(**{'model.mask_generator.throw_ratio': throw_ratio})
    model = plan.model
    budget = patch_budget(plan.guidance, plan.image_size)
    image = torch.empty(1, 3, *plan.image_size, device='meta')

    def run():
        partition = partition_on_meta(budget)
        latent, _, ids_restore = model.backbone(image, partition)
        model.neck(latent, ids_restore, partition)

    found = cost(model, budget)
    assert found.flops == counted(run)
    assert found.encoder_tokens == 1 + budget.num_visible
    assert found.decoder_tokens == 1 + budget.num_visible + budget.num_masked


def test_stock_masks_are_the_reference():
    ratio = {'model.mask_generator.mask_ratio': 0.75}
    plan = tiny_plan(**ratio, **{'model.mask_generator.throw_ratio': 0.0})
    found = cost(plan.model, patch_budget(plan.guidance, plan.image_size))
    assert found.relative == 1
    plan = tiny_plan(**ratio, **{'model.mask_generator.throw_ratio': 0.1})
    assert cost(plan.model, patch_budget(plan.guidance, plan.image_size)).relative < 1


def test_blocks_grow_with_the_square_of_the_tokens():
    plan = tiny_plan()
    one, two, three = (blocks_flops(plan.model.backbone.layers, n) for n in (1, 2, 3))
    width, depth = 24, 2
    # second difference: 2 * 4 N² D for each block
    assert one - 2 * two + three == 8 * width * depth
    weights = depth * (width * 3 * width + width * width + 2 * width * 48)
    assert one == 2 * weights + 4 * width * depth


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
    plan = tiny_plan(model=model, custom_hooks=[])
    budget = patch_budget(plan.guidance, plan.image_size)
    counts = (budget.num_visible, budget.num_masked, budget.num_thrown)
    assert counts == (32, 16, 16)
    assert cost(plan.model, budget).encoder_tokens == 49


def test_hosts_with_mask_tokens_compute_all_patches():
    model = build_model(find('maskfeat-am_vit-tiny'))
    assert computes_all_patches(model)
    assert not computes_all_patches(build_model(tiny_config()))


def test_convolutions_are_not_estimated():
    model = build_model(find('amt_convmae-tiny'))
    budget = patch_budget(guidance_of(model), model.backbone.img_size)
    assert budget is not None
    assert cost(model, budget) is None
