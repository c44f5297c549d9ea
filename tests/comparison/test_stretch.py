"""A schedule keeps its shares at another length."""

from inspect import signature

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmattmask import engine
from mmattmask.comparison.stretch import stretch


def config(epochs=40, hooks=()):
    schedulers = [
        dict(type='LinearLR', end=4),
        dict(type='CosineAnnealingLR', begin=4, T_max=36, end=40),
        dict(type='LinearLR', by_epoch=False, end=100),
    ]
    return Config(
        dict(
            train_cfg=dict(max_epochs=epochs),
            param_scheduler=schedulers if epochs == 40 else [],
            custom_hooks=[dict(hook) for hook in hooks],
        )
    )


def hook(name, **options):
    return dict(type=f'mmattmask.{name}', **options)


HOOKS_OF_EPOCHS = (
    hook('AttentionRefreshHook', begin=10, interval=5),
    hook('AttentionRefreshHook', begin=0, interval=None),
    hook('GuidanceScalarsHook', interval=100),
    hook('KNNHook', by_epoch=False, interval=500),
    hook('TeacherTemperatureHook', warmup_epochs=10),
)


@pytest.mark.parametrize('epochs', [20, 80, 41, 13])
def test_everything_that_is_counted_is_scaled(epochs):
    cfg = config(hooks=HOOKS_OF_EPOCHS)
    stretch(cfg, epochs)
    warmup, cosine, iterations = cfg.param_scheduler
    assert cfg.train_cfg.max_epochs == cosine.end == epochs
    assert warmup.end == cosine.begin == max(1, round(epochs / 10))
    assert cosine.T_max == epochs - cosine.begin
    assert iterations.end == max(1, round(epochs * 2.5))
    refresh, once, scalars, knn, temperature = cfg.custom_hooks
    assert temperature.warmup_epochs == round(epochs / 4)
    assert refresh.begin == round(epochs / 4)
    assert refresh.interval == max(1, round(epochs / 8))
    assert (once.begin, once.interval) == (0, None)
    assert (scalars.interval, knn.interval) == (100, round(epochs * 12.5))


@pytest.mark.parametrize(
    ('scheduler', 'shortened'),
    [
        (dict(type='StepLR', step_size=10), dict(step_size=5)),
        (dict(type='MultiStepLR', milestones=[10, 30]), dict(milestones=[5, 15])),
        (dict(type='CosineRestartLR', periods=[20, 20]), dict(periods=[10, 10])),
        (dict(type='OneCycleLR', total_steps=40), dict(total_steps=20)),
    ],
)
def test_other_schedules_of_epochs(scheduler, shortened):
    cfg = config()
    cfg.param_scheduler = [scheduler]
    stretch(cfg, 20)
    assert cfg.param_scheduler[0].to_dict() == {**scheduler, **shortened}


def test_methods_keep_their_shares_when_a_run_is_shortened():
    """Lengths that a hook takes by default, too: HPM's ramp, iBOT's warm-up."""
    cfg = config(
        400,
        [
            hook('AttentionRefreshHook'),  # 40 and 40
            hook('LinearEMATeacherHook', momentum=0.9),  # 100
            hook('FreezeLastLayerHook', epochs=20),
            hook('TeacherTemperatureHook', pred_start_epoch=40),
            hook('MaskStripHook', interval=80),
            dict(type='EMAHook', begin_epoch=200),
            hook('FiniteLossHook'),
        ],
    )
    stretch(cfg, 40)
    refresh, ramp, frozen, temperature, strips, ema, finite = cfg.custom_hooks
    assert (refresh.begin, refresh.interval) == (4, 4)
    assert ramp.ramp_epochs == 10
    assert frozen.epochs == 2
    assert (temperature.pred_start_epoch, temperature.warmup_epochs) == (4, 3)
    assert (strips.interval, ema.begin_epoch) == (8, 20)
    before = dict(finite)
    stretch(cfg, 4)
    assert dict(finite) == before


@HOOKS.register_module()
class WarmHook(Hook):
    def __init__(self, warm_epochs=10, by_epoch=True):
        pass


@HOOKS.register_module()
class SayingWarmHook(WarmHook):
    epoch_arguments = ('warm_epochs',)


def test_a_hook_that_does_not_say_what_it_counts_is_refused():
    message = r"WarmHook has warm_epochs: .*\('warm_epochs',\)"
    with pytest.raises(ValueError, match=message):
        stretch(config(4, [dict(type='WarmHook')]), 2)
    cfg = config(4, [dict(type='SayingWarmHook')])
    stretch(cfg, 2)
    assert cfg.custom_hooks[0].warm_epochs == 5


def test_every_argument_of_ours_that_is_epochs_is_said():
    for kind in vars(engine).values():
        if isinstance(kind, type) and issubclass(kind, Hook):
            names = set(signature(kind).parameters)
            counted = {n for n in names if 'epoch' in n} - {'by_epoch'}
            counted |= {'begin', 'interval'} & names if 'by_epoch' in names else set()
            assert counted == set(getattr(kind, 'epoch_arguments', ())), kind


def test_same_length_changes_nothing():
    cfg = config(hooks=HOOKS_OF_EPOCHS)
    stretch(cfg, 40)
    assert cfg.to_dict() == config(hooks=HOOKS_OF_EPOCHS).to_dict()


def test_last_refresh_is_used():
    cfg = config(hooks=[hook('AttentionRefreshHook', begin=39)])
    stretch(cfg, 2)
    assert cfg.custom_hooks[0].begin == 1


def test_too_few_epochs_are_refused():
    with pytest.raises(ValueError, match='1 epochs leave none to CosineAnnealingLR'):
        stretch(config(), 1)
    with pytest.raises(ValueError, match='cannot be stretched to 0'):
        stretch(config(), 0)
    with pytest.raises(ValueError, match='of None epochs'):
        stretch(config(None), 5)
