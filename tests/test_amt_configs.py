"""The AMT configs are the paper's: budgets, recipe, schedule, nothing else changed."""

import math

import pytest
from mmengine.hub import get_config
from mmengine.registry import HOOKS

from mmattmask.mask_generators import AMTMaskGenerator, RandomMaskGenerator
from tests.config_building import build_model, find, load, plain

VIT_B = 'vit-base-p16_8xb512-amp-coslr'
# name, throw of the generator, masked, thrown, visible; the paper's Tables 1 and 4
PAPER_ROWS = [
    (f'random_{VIT_B}-400e', None, 147, 0, 49),
    (f'am_{VIT_B}-400e', 'middle', 147, 0, 49),
    (f'amt_{VIT_B}-400e', 'middle', 88, 78, 30),
    (f'random_{VIT_B}-200e', None, 147, 0, 49),
    (f'am_{VIT_B}-200e', 'middle', 147, 0, 49),
    (f'random-throw_{VIT_B}-200e', None, 88, 78, 30),
    (f'amt-75-10_{VIT_B}-200e', 'middle', 147, 19, 30),
    (f'amt-low_{VIT_B}-200e', 'low', 88, 78, 30),
    (f'amt_{VIT_B}-200e', 'middle', 88, 78, 30),
]
# part of the file name, grid, masked, thrown, visible
GEOMETRIES = [
    ('amt_vit-small-p16_8xb512', (14, 14), 88, 78, 30),
    ('amt_vit-large-p16', (14, 14), 88, 78, 30),
    ('448px', (28, 28), 352, 314, 118),
    ('400e_folder.py', (14, 14), 88, 78, 30),
    ('folder-256x128', (16, 8), 57, 51, 20),
    ('1xb512-amp-coslr-400e_stl10', (12, 12), 64, 58, 22),
    ('tinyimagenet', (8, 8), 28, 26, 10),
    ('amt_vit-tiny-p4_1xb512-amp-coslr-400e_cifar10.py', (8, 8), 28, 26, 10),
    ('cifar100', (8, 8), 28, 26, 10),
]


@pytest.mark.parametrize(
    ('name', 'throw', 'masked', 'thrown', 'visible'),
    PAPER_ROWS,
    ids=[row[0] for row in PAPER_ROWS],
)
def test_paper_rows(name, throw, masked, thrown, visible):
    cfg = load(f'configs/amt/{name}_in1k.py')
    epochs = int(name[-4:-1])
    adamw = cfg.optim_wrapper.optimizer
    assert adamw.type == 'AdamW'
    assert adamw.lr == pytest.approx(2.4e-3)
    assert adamw.betas == (0.9, 0.95)
    assert adamw.weight_decay == 0.05
    assert [s.end for s in cfg.param_scheduler] == [40, epochs]
    assert cfg.train_cfg.max_epochs == epochs

    model = build_model(cfg)
    assert model.backbone.mask_ratio == 0.75
    budget = model.guidance.mask_generator.budget(196)
    counts = (budget.num_masked, budget.num_thrown, budget.num_visible)
    assert counts == (masked, thrown, visible)
    if throw is None:
        assert isinstance(model.guidance.mask_generator, RandomMaskGenerator)
        assert model.guidance.scorer is None
        return
    assert isinstance(model.guidance.mask_generator, AMTMaskGenerator)
    assert model.guidance.mask_generator.throw == throw
    assert model.guidance.mask_generator.ranking == 'sampled'
    assert (model.guidance.scorer.crop_mode, model.guidance.scorer.reduce_heads) == (
        'aligned',
        'mean_minmax',
    )
    schedule = HOOKS.build(cfg.custom_hooks[0]).schedule
    due = [epoch for epoch in range(epochs) if schedule.is_due(epoch)]
    assert due == list(range(40, epochs, 40))


@pytest.mark.parametrize('size', ['base', 'large'])
def test_only_the_guided_parts_differ_from_stock(size):
    ours = find(f'amt_vit-{size}-p16_8xb512-amp-coslr-400e')
    name = f'mae/mae_vit-{size}-p16_8xb512-amp-coslr-400e_in1k.py'
    stock = get_config(f'mmpretrain::{name}')
    ours, stock = plain(ours), plain(stock)
    assert {key for key in ours if ours[key] != stock.get(key)} == {
        'model',
        'custom_hooks',
    }
    for key in ('type', 'scorer', 'mask_generator'):
        ours['model'].pop(key)
    stock['model'].pop('type')
    assert ours['model'] == stock['model']


@pytest.mark.parametrize(
    ('part', 'grid', 'masked', 'thrown', 'visible'),
    GEOMETRIES,
    ids=[row[0] for row in GEOMETRIES],
)
def test_other_sizes(part, grid, masked, thrown, visible):
    model = build_model(find(part))
    assert tuple(model.backbone.patch_resolution) == grid == model.neck.grid
    budget = model.guidance.mask_generator.budget(math.prod(grid))
    counts = (budget.num_masked, budget.num_thrown, budget.num_visible)
    assert counts == (masked, thrown, visible)


def test_vit_small_is_384_wide():
    backbone = build_model(find('amt_vit-small-p16_8xb512')).backbone
    heads = backbone.layers[0].attn.num_heads
    assert (backbone.embed_dims, len(backbone.layers), heads) == (384, 12, 6)


def test_released_variant():
    cfg = find('amt-released')
    model = build_model(cfg)
    assert model.guidance.scorer.crop_mode == 'official'
    assert model.guidance.scorer.reduce_heads == 'minmax_mean'
    assert model.head.norm_pix is False
    schedule = HOOKS.build(cfg.custom_hooks[0]).schedule
    due = [epoch for epoch in range(400) if schedule.is_due(epoch)]
    assert due == [41, 81, 121, 161, 201, 241, 281, 321, 361]
