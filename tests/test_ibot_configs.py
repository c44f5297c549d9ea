"""The iBOT and AttMask configs are the released commands: every number of them."""

import re
from itertools import pairwise

import pytest
from mmengine.registry import HOOKS

from mmattmask.mask_generators import (
    AttMaskGenerator,
    IBOTMaskGenerator,
    SoftToHardMaskGenerator,
)
from mmattmask.scorers import FrozenTeacher, TeacherAttention
from tests.config_building import CONFIGS, build_model, load

NAMES = [name for name in CONFIGS if re.match('configs/(ibot|attmask)/', name)]
DEBUG = [name for name in NAMES if '_debug' in name]
SMALL = 'vit-small-p16'
IBOT_100 = f'ibot_{SMALL}_16xb64-amp-coslr-100e_in1k'
BASE_400 = 'vit-base-p16_16xb64-amp-coslr-400e_in1k'
HIGH = f'attmask/attmask-high_{SMALL}'
SUBSET = f'{SMALL}_4xb60-amp-coslr-100e_in1k-20pct'
HALF = (0.0, 0.0)
# name: epochs, batch, learning rate, large and small crops' scales, number of small
# crops, first EMA momentum, warm-up epochs of the temperatures, epochs without the last
# layer, clip, smallest learning rate
SCALES = ((0.25, 1.0), (0.05, 0.25))
WIDE = ((0.32, 1.0), (0.05, 0.32))
S16 = (*SCALES, 10, 0.996, 30, 1, 3.0, 1e-6)
B16 = (*WIDE, 10, 0.996, 50, 3, 0.3, 2e-6)
PART = (*SCALES, 6, 0.99, 30, 1, 3.0, 1e-6)
RECIPES = {
    f'ibot/ibot_{SMALL}_16xb64-amp-coslr-800e_in1k': (800, 1024, 2e-3, *S16),
    f'ibot/{IBOT_100}': (100, 1024, 2e-3, *S16),
    f'ibot/ibot-fixed_{SMALL}_16xb64-amp-coslr-100e_in1k': (100, 1024, 2e-3, *S16),
    f'ibot/dino_{SMALL}_16xb64-amp-coslr-100e_in1k': (100, 1024, 2e-3, *S16),
    f'ibot/ibot_{BASE_400}': (400, 1024, 3e-3, *B16),
    f'ibot/ibot-rand_{BASE_400}': (400, 1024, 3e-3, *B16),
    'ibot/ibot-gpa_vit-base-p16_16xb64-amp-coslr-100e_in1k': (100, 1024, 3e-3, *B16),
    f'{HIGH}_4xb60-amp-coslr-100e_in1k': (100, 240, 4.6875e-4, *S16),
    f'attmask/attmask-hint_{SMALL}_4xb60-amp-coslr-100e_in1k': (
        *(100, 240, 4.6875e-4),
        *S16,
    ),
    f'attmask/block_{SMALL}_4xb60-amp-coslr-100e_in1k': (100, 240, 4.6875e-4, *S16),
    f'{HIGH}_8xb100-amp-coslr-300e_in1k': (300, 800, 1.5625e-3, *WIDE, *S16[2:]),
    **{
        f'attmask/{policy}_{SUBSET}': (100, 240, 4.6875e-4, *PART)
        for policy in (
            'attmask-high',
            'attmask-hint',
            'attmask-low',
            'block',
            'random',
            'random-75',
        )
    },
}
# first word of the name: mask generator's attributes
DRAWN = dict(mask_ratio=(0.1, 0.5), mask_prob=0.5)
POLICIES = {
    'ibot': dict(mask_ratios=[HALF, (0.1, 0.5)], shape='block'),
    'ibot-fixed': dict(mask_ratios=[HALF, (0.3, 0.3)], shape='block'),
    'ibot-rand': dict(mask_ratios=[HALF, (0.65, 0.75)], shape='random'),
    'ibot-gpa': dict(mask_ratio=0.75, soft=(0.5, 0.0), hard=(0.0, 0.5), exclusive=True),
    'block': dict(mask_ratios=[HALF, (0.1, 0.5)], shape='block'),
    'random': dict(mask_ratios=[HALF, (0.1, 0.5)], shape='random'),
    'random-75': dict(mask_ratios=[HALF, (0.75, 0.75)], shape='random'),
    'attmask-high': dict(mode='high', **DRAWN),
    'attmask-hint': dict(mode='hint', show_max=0.1, show_ratio=(0.1, 0.5), **DRAWN),
    'attmask-low': dict(mode='low', **DRAWN),
    'dino': None,
}
KINDS = dict(
    ibot=IBOTMaskGenerator,
    block=IBOTMaskGenerator,
    random=IBOTMaskGenerator,
    attmask=AttMaskGenerator,
)


def config(name):
    return load(f'configs/{name}.py')


def hooks_of(cfg):
    """The hooks, built, by the name of their class."""
    hooks = [HOOKS.build(hook) for hook in cfg.custom_hooks]
    return {type(hook).__name__: hook for hook in hooks}


def views_of(cfg):
    """Number and side in px of the views, and the share of the image they show."""
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    (crops,) = [step for step in dataset.pipeline if step.type == 'mmattmask.MultiCrop']
    first = [transforms[0] for transforms in crops.transforms]
    views = zip(crops.num_views, first, strict=True)
    return [
        (number, crop.scale, tuple(crop.crop_ratio_range)) for number, crop in views
    ]


def test_every_full_config_is_checked():
    full = {f'configs/{name}.py' for name in RECIPES}
    assert full == {name for name in NAMES if '_in1k' in name}


@pytest.mark.parametrize('name', RECIPES)
def test_numbers_of_the_command(name):
    epochs, batch, lr, large, small, number, momentum, warmup, frozen, clip, last = (
        RECIPES[name]
    )
    cfg = config(name)
    assert cfg.train_cfg.max_epochs == epochs
    assert cfg.auto_scale_lr.base_batch_size == batch
    assert cfg.train_dataloader.drop_last
    optim = cfg.optim_wrapper
    assert optim.type == 'mmattmask.PerTensorClipAmpOptimWrapper'
    assert optim.constructor == 'mmattmask.DecayGroupsOptimWrapperConstructor'
    assert optim.loss_scale == 'dynamic'
    assert optim.clip_grad == dict(max_norm=clip)
    adamw = optim.optimizer
    assert adamw.lr == pytest.approx(lr, rel=1e-12)
    assert (adamw.type, adamw.betas, adamw.weight_decay) == (
        *('AdamW', (0.9, 0.999)),
        0.04,
    )
    ramp, cosine, decay = cfg.param_scheduler
    assert (ramp.type, ramp.end, ramp.start_factor) == ('LinearLR', 10, 1e-20)
    assert (cosine.type, cosine.begin, cosine.eta_min) == (
        'CosineAnnealingLR',
        10,
        last,
    )
    assert decay.type == 'mmpretrain.CosineAnnealingWeightDecay'
    assert decay.eta_min == 0.4
    assert all(scheduler.convert_to_iter_based for scheduler in cfg.param_scheduler)
    # without an end they end with the run
    assert not any({'end', 'T_max'} & scheduler.keys() for scheduler in (cosine, decay))

    hooks = hooks_of(cfg)
    assert 1 - hooks['EMATeacherHook'].momentum == pytest.approx(momentum)
    assert hooks['EMATeacherHook'].end_momentum == 0
    temperature = hooks['TeacherTemperatureHook']
    assert temperature.cls == temperature.patch == (0.04, 0.07)
    assert temperature.warmup_epochs == warmup
    assert temperature.pred_start_epoch == 0
    assert hooks['FreezeLastLayerHook'].epochs == frozen
    assert 'FiniteLossHook' in hooks
    assert views_of(cfg) == [(1, 224, large), (1, 224, large), (number, 96, small)]


@pytest.mark.parametrize('name', RECIPES)
def test_model_of_the_command(name):
    model = build_model(config(name))
    backbone, head = model.backbone, model.head
    small = SMALL in name
    widths = (backbone.embed_dims, len(backbone.layers), backbone.patch_resolution)
    assert widths == (384 if small else 768, 12, (14, 14))
    assert backbone.layers[0].attn.num_heads == (6 if small else 12)
    rates = [layer.attn.out_drop.drop_prob for layer in backbone.layers[1:]]
    assert all(a < b for a, b in pairwise(rates))
    assert rates[-1] == pytest.approx(0.1)
    assert head.out_channels == 8192
    assert head.patch_last_layer is None  # shared
    assert [layer.out_features for layer in head.mlp[::2]] == [2048, 2048, 256]
    length = head.last_layer.parametrizations.weight.original0
    assert length.requires_grad == small  # norm_last_layer
    assert (model.cls_weight, model.distillation.student_temp) == (1.0, 0.1)
    assert model.patch_weight == (0.0 if 'dino' in name else 1.0)
    assert model.distillation.center_momentum == 0.9
    assert model.distillation.patch_center_momentum == 0.9
    assert not model.dense


@pytest.mark.parametrize('name', NAMES)
def test_policy_is_that_of_the_name(name):
    model = build_model(load(name))
    word = name.split('/')[-1].split('_')[0]
    options = POLICIES[word]
    if options is None:
        assert model.guidance is None
        return
    generator = model.guidance.mask_generator
    is_gpa = word == 'ibot-gpa'
    kind = SoftToHardMaskGenerator if is_gpa else KINDS[word.split('-')[0]]
    assert type(generator) is kind
    found = {key: getattr(generator, key) for key in options}
    assert {key: as_given(value) for key, value in found.items()} == options
    # AttMask reads the teacher that is there anyway
    assert isinstance(model.guidance.scorer, TeacherAttention) != is_gpa
    if is_gpa:
        assert isinstance(model.guidance.scorer, FrozenTeacher)
        assert (model.guidance.scorer.block, model.guidance.scorer.head) == (9, 11)


def as_given(value):
    """Turn torch-friendly ranges back into what a config says."""
    if isinstance(value, list | tuple) and value and isinstance(value[0], list | tuple):
        return [tuple(each) for each in value]
    return tuple(value) if isinstance(value, list) else value


@pytest.mark.parametrize('name', [name for name in RECIPES if '20pct' in name])
def test_part_of_imagenet(name):
    dataset = config(name).train_dataloader.dataset
    assert dataset.type == 'mmattmask.FirstPerClass'
    assert dataset.images_per_class == 260
    assert (dataset.dataset.type, dataset.dataset.split) == ('ImageNet', 'train')


@pytest.mark.parametrize(
    ('part', 'grid', 'epochs', 'lr'),
    [('cifar10', (8, 8), 400, 5e-4), ('stl10', (12, 12), 400, 5e-4)],
)
def test_small_images(part, grid, epochs, lr):
    names = [name for name in NAMES if part in name]
    assert len(names) == 2
    for name in names:
        cfg = load(name)
        assert cfg.train_cfg.max_epochs == epochs
        assert cfg.optim_wrapper.optimizer.lr == pytest.approx(lr)
        assert build_model(cfg).backbone.patch_resolution == grid
        assert (part == 'cifar10') == ('KNNHook' in hooks_of(cfg))


@pytest.mark.parametrize('name', DEBUG)
def test_debug_runs_are_longer_than_their_warmups(name):
    cfg = load(name)
    cosine, decay = cfg.param_scheduler
    assert (cosine.get('begin', 0), cosine.eta_min) == (0, 1e-6)
    assert decay.type.endswith('WeightDecay')
    assert cfg.train_cfg.max_epochs == 2
    assert hooks_of(cfg)['TeacherTemperatureHook'].warmup_epochs == 2
    assert 'Amp' not in cfg.optim_wrapper.type


@pytest.mark.parametrize('name', NAMES)
def test_parts_to_derive_from_are_those_in_use(name):
    """What a config takes by name from this one is what this one trains with."""
    cfg = load(name)
    assert all(hook in cfg.custom_hooks for hook in cfg.hooks.values())
    dataset = cfg.train_dataloader.dataset
    assert cfg.multi_crop in dataset.get('dataset', dataset).pipeline
