"""One sentence for values that nothing can be made of, before anything is built."""

from copy import deepcopy

import pytest
from mmengine.runner import Runner

from mmattmask.config_values import check_values
from tests.config_building import SHIPPED, load
from tests.engine.toy_run import toy_config

POLICY = 'model__mask_generator__'
SOFT = dict(_delete_=True, type='mmattmask.SoftToHardMaskGenerator')
BLOCK = dict(_delete_=True, type='mmattmask.BlockMaskGenerator')

RANDOM = dict(_delete_=True, type='mmattmask.RandomMaskGenerator', mask_ratio=0.75)

BAD = [
    *((POLICY + 'mask_ratio', v) for v in ('0.45', None, [], -0.1, 1.5, float('nan'))),
    *((POLICY + 'throw_ratio', v) for v in ('0.4', None, True, 2)),
    *(('model__backbone__img_size', v) for v in (0, -64, 3.5, '48', None, (16, 0))),
    *(('model__backbone__patch_size', v) for v in (0, -8, '8', None, 4.0)),
    *(('randomness__seed', v) for v in ('abc', -1, 1.5)),
    *(('train_dataloader__batch_size', v) for v in (0, -8, '8', 2.5, None)),
    *(('train_dataloader__num_workers', v) for v in (-1, '2')),
]


def built(tmp_path, **changes):
    Runner.from_cfg(toy_config(tmp_path, 'nowhere', **changes))


@pytest.mark.parametrize(('key', 'value'), BAD)
def test_the_place_and_the_value_are_named(tmp_path, key, value):
    place = key.replace('__', '.').replace('.', r'\.')
    with pytest.raises(ValueError, match=rf'{place} must be .*, got '):
        built(tmp_path, **{key: value})


@pytest.mark.parametrize('value', [3.5, '3', 0, -1])
def test_counts_of_a_policy(tmp_path, value):
    policy = dict(BLOCK, num_masked=value)
    with pytest.raises(ValueError, match=r'num_masked must be a whole number of at'):
        built(tmp_path, model__mask_generator=policy)


@pytest.mark.parametrize('key', ['soft', 'hard'])
@pytest.mark.parametrize('value', [0.5, None, ('a', 'b'), (0.5,), (0, 2), 'ab'])
def test_shares_at_the_start_and_at_the_end(tmp_path, key, value):
    with pytest.raises(ValueError, match=rf'generator\.{key} must be two shares'):
        built(tmp_path, model__mask_generator=dict(SOFT, **{key: value}))


@pytest.mark.parametrize('value', [0, -16, '16', (16, 0)])
def test_sizes_of_a_hook(tmp_path, value):
    hook = dict(type='mmattmask.AttentionRefreshHook', begin=1, input_size=value)
    with pytest.raises(ValueError, match=r'custom_hooks\[0\]\.input_size must be at'):
        built(tmp_path, custom_hooks=[hook])


def test_a_scorer_without_a_policy(tmp_path):
    with pytest.raises(ValueError, match=r'CachedAttention.*mask_generator=None'):
        built(tmp_path, model__mask_generator=None)


def test_heads_that_do_not_divide(tmp_path):
    with pytest.raises(ValueError, match=r'num_heads \(5\) .* embed_dims \(24\)'):
        built(tmp_path, model__backbone__arch__num_heads=5)


def test_all_of_them_at_once(tmp_path):
    with pytest.raises(ValueError, match=r'img_size .*; .*seed must be'):
        built(tmp_path, model__backbone__img_size=0, randomness__seed='x')


def test_what_a_stock_option_would_not_do(tmp_path):
    """Stock MAE's ratio, which is the one before there is a score."""
    changes = dict(model__scorer=None, model__backbone__mask_ratio=0.9)
    with pytest.raises(ValueError, match=r'mask_ratio=0\.9 .* no scorer: .* is 0\.75'):
        built(tmp_path, model__mask_generator=RANDOM, **changes)
    built(tmp_path, model__backbone__mask_ratio=0.9)  # before the first refresh


def test_a_preprocessor_that_would_be_left_out():
    """Of a SimMIM, whose masks are made there."""
    stock = dict(type='SelfSupDataPreprocessor')
    guided = dict(type='mmattmask.GuidedDataPreprocessor', mask_generator=RANDOM)
    cfg = dict(model=dict(data_preprocessor=stock), data_preprocessor=guided)
    with pytest.raises(ValueError, match=r'^data_preprocessor, mmattmask\.Guided'):
        check_values(cfg)
    check_values(dict(cfg, data_preprocessor=stock))


def test_a_decoder_that_waits_must_not_decay():
    released = 'gpa-feature-released_vit-base-p16_8xb512-amp-coslr-200e_in1k'
    cfg = deepcopy(load(f'configs/gpa/{released}.py'))
    check_values(cfg)
    cfg.optim_wrapper.paramwise_cfg.custom_keys.attention_head.decay_mult = 1.0
    with pytest.raises(ValueError, match=r'weight_decay=0\.05 would .*decay_mult=0'):
        check_values(cfg)


NEED_MMDET = ('configs/transfer/detection', 'configs/transfer/segmentation')


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(
            name, marks=[pytest.mark.downstream] if name.startswith(NEED_MMDET) else []
        )
        for name in SHIPPED
    ],
)
def test_nothing_shipped_is_refused(name):
    check_values(load(name))


@pytest.mark.parametrize('name', ['LayerDecay', 'mmpretrain.LearningRateDecay'])
@pytest.mark.parametrize(
    ('options', 'unknown'),
    [
        (dict(layer_decay_rate=0.5, num_layers=12), ''),
        (dict(decay_rate=0.5), 'decay_rate'),
        (dict(custom_keys={'head': dict(lr_mult=10, decay_mult=0.0)}), 'lr_mult'),
    ],
)
def test_options_of_layer_decay_that_nobody_reads(name, options, unknown):
    cfg = dict(
        optim_wrapper=dict(
            constructor=f'{name}OptimWrapperConstructor', paramwise_cfg=options
        )
    )
    if not unknown:
        check_values(cfg)
        return
    with pytest.raises(ValueError, match=rf'paramwise_cfg has {unknown}, which'):
        check_values(cfg)
