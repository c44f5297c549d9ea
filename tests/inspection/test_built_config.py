"""What is built of a config, and what is said of what is not."""

import pytest
from mmengine.config import Config
from mmengine.logging import MMLogger

from mmattmask.inspection.built_config import (
    UnreadableError,
    batch_sizes,
    build_config,
)
from mmattmask.models.guided_parts import build_guided
from tests.config_building import find, load_stock
from tests.inspection.tiny_plan import tiny_config, tiny_plan


def test_everything_is_built_without_memory():
    cfg = tiny_config()
    before = cfg.to_dict()
    built = build_config(cfg, 'tiny.py')
    assert cfg.to_dict() == before
    assert not built.errors
    assert all(parameter.is_meta for parameter in built.model.parameters())
    assert built.image_size == (32, 48)
    assert built.grid == (4, 6)
    assert built.total == (6, 'epoch')
    train_cfg = dict(_delete_=True, by_epoch=False, max_iters=500)
    assert tiny_plan(train_cfg=train_cfg).total == (500, 'iter')
    assert type(built.pipelines[0][1]).__name__ == 'RandomResizedCrop'
    assert len(built.hooks_of('AttentionRefreshHook')) == 1
    assert built.cached_scorer is built.scorer is built.guidance.scorer


def test_the_log_is_left_to_the_run(monkeypatch):
    logger = MMLogger.get_current_instance()
    texts = []
    monkeypatch.setattr(
        logger, 'callHandlers', lambda record: texts.append(record.getMessage())
    )
    told = 'GuidedMAEViT stands in for MAEViT'
    cfg = tiny_config(**{'model.backbone.type': 'MAEViT'})
    level = logger.level
    assert not build_config(cfg, 'tiny.py').errors
    assert told not in texts
    assert logger.level == level
    build_guided(dict(cfg.model.backbone))
    assert texts.count(told) == 1


def test_policies_count_though_weights_are_on_meta():
    generator = dict(_delete_=True, type='mmattmask.AttMaskGenerator', mode='high')
    generator['mask_ratio'] = 0.5
    built = tiny_plan(**{'model.mask_generator': generator})
    assert not built.errors
    assert built.guidance.mask_generator.budget(24).num_masked == 12


def test_targets_are_not_downloaded():
    built = build_config(find('milan-am_vit-base'), 'milan.py')
    assert not built.errors
    assert built.model.target_generator is None


def test_errors_are_kept_and_the_rest_is_built():
    pipeline = [dict(type='mmattmask.RandomResizedCrop', scale=32, colour=3)]
    built = tiny_plan(
        **{
            'model.neck.embed_dim': 25,
            'train_dataloader.dataset.pipeline': pipeline,
            'custom_hooks': [
                dict(type='mmattmask.AttentionRefreshHook', begin=-1),
                dict(type='mmattmask.EpochSeedHook'),
            ],
        }
    )
    model, transforms, hook = built.errors
    assert model.startswith('the model cannot be built: ')
    assert 'embed_dim is 25, the backbone needs 24' in model
    assert 'colour' in transforms
    assert 'AttentionRefreshHook cannot be built: ' in hook
    assert 'begin (-1)' in hook
    names = [type(hook).__name__ for hook in built.hooks]
    assert names == ['EpochSeedHook', 'FiniteLossHook']  # which every run gets


def test_a_grid_that_does_not_divide_is_an_error():
    cfg = find('maskfeat-am_vit-tiny').copy()
    cfg.merge_from_dict({'data_preprocessor.mask_patch_size': 24})
    built = build_config(cfg, 'host.py')
    assert '(24)' in ''.join(built.errors)


@pytest.mark.parametrize(
    ('gpus', 'expected'), [(None, (4, 2, 3)), (16, (4, 16, 3))], ids=str
)
def test_batch_sizes(gpus, expected):
    counts = ('optim_wrapper.accumulative_counts', 'auto_scale_lr.accumulative_counts')
    cfg = tiny_config(**dict.fromkeys(counts, 3))
    assert batch_sizes(cfg, gpus) == expected


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (dict(model=None), 'has no model'),
        (dict(train_cfg=None), 'has no train_cfg'),
        (dict(train_dataloader=None), 'has no train_dataloader'),
        (dict(model=dict(type='ImageClassifier')), 'trains ImageClassifier'),
    ],
)
def test_what_pre_trains_nothing_is_refused(change, message):
    cfg = Config({**tiny_config().to_dict(), **change})
    with pytest.raises(UnreadableError, match=message):
        build_config(cfg, 'tiny.py')


def test_stock_configs_have_no_guidance():
    built = build_config(
        load_stock('configs/amt/am_vit-base-p16_8xb512-amp-coslr-400e_in1k.py'),
        'stock.py',
    )
    assert not built.errors
    assert built.guidance is built.scorer is built.cached_scorer is None
