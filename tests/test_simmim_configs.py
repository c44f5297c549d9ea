"""The SimMIM configs are the papers': counts, recipe, schedules, weight decay."""

import math

import pytest
import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import HOOKS, PARAM_SCHEDULERS, DefaultScope

from tests.config_building import build_model, load, load_stock, plain

VIT_B = 'vit-base-p16_8xb256-amp'
# name, masked, thrown and visible of 49 cells, encoder tokens with CLS
PAPER_ROWS = [
    (f'random_{VIT_B}-coslr-200e', 30, 0, 19, 197),
    (f'am_{VIT_B}-coslr-200e', 30, 0, 19, 197),
    (f'amt_{VIT_B}-coslr-200e', 22, 13, 14, 145),
    (f'amt-33-50_{VIT_B}-coslr-200e', 17, 25, 7, 97),
    (f'amt-as-released_{VIT_B}-coslr-200e', 22, 13, 14, 145),
    (f'random_{VIT_B}-steplr-800e', 30, 0, 19, 197),
]
NAMES = [row[0] for row in PAPER_ROWS]


def config(name):
    return load(f'configs/simmim/simmim-{name}_in1k.py')


@pytest.mark.parametrize(
    ('name', 'masked', 'thrown', 'visible', 'tokens'), PAPER_ROWS, ids=NAMES
)
def test_paper_rows(name, masked, thrown, visible, tokens):
    cfg = config(name)
    model = build_model(cfg)
    assert model.guidance.policy_grid((224, 224)) == (7, 7)
    budget = model.guidance.mask_generator.budget(49)
    counts = (budget.num_masked, budget.num_thrown, budget.num_visible)
    assert counts == (masked, thrown, visible)
    assert 1 + 4 * (masked + visible) == tokens
    assert (model.guidance.scorer is None) == name.startswith('random')

    backbone = model.backbone
    assert (backbone.embed_dims, len(backbone.layers)) == (768, 12)
    absolute = '200e' in name
    assert (backbone.pos_embed is not None) == absolute
    assert (backbone.rel_pos_bias is None) == absolute
    assert model.neck.decoder[0].out_channels == 3 * 16 * 16
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=5.0)
    adamw = cfg.optim_wrapper.optimizer
    assert (adamw.type, adamw.betas, adamw.weight_decay) == (
        'AdamW',
        (0.9, 0.999),
        0.05,
    )


@pytest.mark.parametrize('name', NAMES)
def test_random_masks_before_the_first_refresh(name):
    cfg = config(name)
    (mask,) = [
        step
        for step in cfg.train_dataloader.dataset.pipeline
        if step.type == 'SimMIMMaskGenerator'
    ]
    as_released = 'as-released' in name
    assert mask.mask_ratio == (0.44 if as_released else 0.6)
    begins = [hook.begin for hook in cfg.get('custom_hooks', [])]
    assert begins == ([] if 'random' in name else [41 if as_released else 40])
    schedules = [HOOKS.build(hook).schedule for hook in cfg.get('custom_hooks', [])]
    for schedule in schedules:
        due = [epoch for epoch in range(200) if schedule.is_due(epoch)]
        assert due == list(range(begins[0], 200, 40))


def learning_rates(cfg):
    """Learning rates at the start of every epoch, of two iterations each."""
    optimizer = torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], lr=cfg.optim_wrapper.optimizer.lr
    )
    wrapper = OptimWrapper(optimizer)
    schedulers = []
    for scheduler in cfg.param_scheduler:
        scheduler = dict(scheduler, optimizer=wrapper)
        name = scheduler.pop('type')
        scheduler.pop('_scope_', None)
        scheduler.pop('convert_to_iter_based')
        cls = PARAM_SCHEDULERS.get(name)
        schedulers.append(cls.build_iter_from_epoch(**scheduler, epoch_length=2))
    rates = []
    for _ in range(cfg.train_cfg.max_epochs):
        rates.append(optimizer.param_groups[0]['lr'])
        for _ in range(2):
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
    return rates


def test_cosine_of_200_epochs():
    rates = learning_rates(config(f'amt_{VIT_B}-coslr-200e'))
    scale = 2048 / 512
    assert rates[0] == pytest.approx(5e-7 * scale)
    assert rates[10] == pytest.approx(1e-4 * scale, rel=1e-3)
    half = (1e-4 + 5e-6) / 2 * scale
    assert rates[105] == pytest.approx(half, rel=0.01)
    last = 5e-6 + (1e-4 - 5e-6) * (1 - math.cos(math.pi / 190)) / 2
    assert rates[199] == pytest.approx(last * scale, rel=0.01)


def test_official_recipe_steps_at_epoch_700():
    rates = learning_rates(config(f'random_{VIT_B}-steplr-800e'))
    assert rates[0] == pytest.approx(5e-7 * 4)
    assert rates[10:700] == pytest.approx([4e-4] * 690)
    assert rates[700:] == pytest.approx([4e-5] * 100)


@pytest.mark.parametrize('name', [NAMES[2], NAMES[-1]])
def test_weight_decay_spares_what_the_official_code_spares(name):
    cfg = config(name)
    model = build_model(cfg)
    optim_cfg = {**cfg.optim_wrapper, 'type': 'OptimWrapper'}
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        groups = build_optim_wrapper(model, optim_cfg).optimizer.param_groups
    decays = {id(group['params'][0]): group['weight_decay'] for group in groups}
    tokens = ('cls_token', 'mask_token', 'pos_embed')
    for parameter_name, value in model.named_parameters():
        is_spared = value.ndim == 1 or parameter_name.endswith(tokens)
        assert decays[id(value)] == (0.0 if is_spared else 0.05), parameter_name


def test_swin_differs_from_stock_by_its_data_preprocessor():
    name = 'configs/simmim/simmim-gpa_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py'
    cfg, stock = load(name), load_stock(name)
    ours, theirs = plain(cfg), plain(stock)
    assert {key for key in ours if ours[key] != theirs.get(key)} == {
        'data_preprocessor',
        'teacher',
    }
    preprocessor = build_model(cfg).data_preprocessor
    assert preprocessor.guidance.policy_grid((192, 192)) == (6, 6)
    assert (
        preprocessor.guidance.mask_generator.budget(36).num_masked == 22
    )  # as SimMIM's 60 %
