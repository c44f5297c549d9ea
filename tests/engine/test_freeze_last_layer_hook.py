"""FreezeLastLayerHook: who is frozen, for how long, also after resuming."""

import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader

from mmattmask.engine import FreezeLastLayerHook, PerTensorClipOptimWrapper, schedule

from ..golden import each
from .toy_run import assert_equal_weights, train, weights
from .toy_student import EPOCH, recipe

LAST_LAYER = [
    'last_layer.parametrizations.weight.original0',
    'last_layer.parametrizations.weight.original1',
]


def trained(work_dir, epochs=1, pattern='last_layer', **changes):
    """Train without warm-up, so that every step moves what it may move."""
    freeze = dict(type='mmattmask.FreezeLastLayerHook', epochs=epochs, pattern=pattern)
    changes.setdefault('param_scheduler', None)
    return train(
        recipe(work_dir, custom_hooks=[freeze, dict(type='TapeHook')], **changes)
    )


@each('ibot_optim_rules', lambda case: case.config['epochs'], 'epoch')
def test_the_official_parameters_are_frozen(golden, epoch):
    case = golden('ibot_optim_rules')
    names = list(case.arrays['out/grad_order'])
    parameters = {name: torch.nn.Parameter(torch.ones(2)) for name in names}

    class Model(torch.nn.Module):
        def named_parameters(self):
            return parameters.items()

    class Runner:
        model = Model()
        train_dataloader = range(EPOCH)
        iter = epoch * EPOCH
        optim_wrapper = PerTensorClipOptimWrapper(
            optimizer=torch.optim.AdamW(parameters.values()),
            clip_grad=dict(max_norm=3.0),
        )

    hook = FreezeLastLayerHook(case.config['freeze_last_layer'])
    hook.before_train(Runner)
    hook.before_train_iter(Runner, 0)
    sum(parameter.sum() for parameter in parameters.values()).backward()
    Runner.optim_wrapper.step()
    has_grad = [parameters[name].grad is not None for name in names]
    assert has_grad == case[f'out/freeze/epoch{epoch}/has_grad'].tolist()


@pytest.mark.parametrize('epochs', [0, 1, 2])
def test_the_last_layer_does_not_change_in_the_first_epochs(tmp_path, epochs):
    runner = trained(tmp_path, epochs)
    trainable = {n for n, p in runner.model.named_parameters() if p.requires_grad}
    assert trainable > set(LAST_LAYER)
    for iteration, changed in enumerate(runner.tape.changed):
        free = iteration >= epochs * EPOCH
        assert changed == trainable - set(() if free else LAST_LAYER), iteration


def test_an_iteration_based_run_counts_the_same_epochs(tmp_path):
    loop = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=2 * EPOCH)
    runner = trained(tmp_path, train_cfg=loop)
    frozen = [not set(LAST_LAYER) & changed for changed in runner.tape.changed]
    assert frozen == [True] * EPOCH + [False] * EPOCH


def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path):
    whole = trained(tmp_path / 'whole', epochs=2)
    resumed = trained(
        tmp_path / 'resumed',
        epochs=2,
        load_from=str(tmp_path / 'whole' / 'epoch_1.pth'),
        resume=True,
    )
    assert resumed.tape.changed == whole.tape.changed[EPOCH:]
    assert_equal_weights(weights(whole), weights(resumed))


def test_an_accumulated_step_belongs_to_its_last_iteration(tmp_path):
    changes = dict(optim_wrapper__accumulative_counts=3)  # steps after 3, 6, 9 ...
    runner = trained(tmp_path, **changes)
    changed = runner.tape.changed
    steps = [iteration for iteration, names in enumerate(changed, 1) if names]
    assert steps == [3, 6, 9, 12, 15]
    assert not set(LAST_LAYER) & changed[2]
    assert set(LAST_LAYER) <= changed[5]  # of iterations 4, 5 (frozen) and 6


def test_a_pattern_without_trainable_parameters_is_refused(tmp_path):
    with pytest.raises(ValueError, match="of ToyStudent has 'teacher' in its name"):
        trained(tmp_path, pattern='teacher')


def test_a_wrapper_that_cannot_freeze_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r'can freeze.*got OptimWrapper'):
        trained(tmp_path, optim_wrapper__type='OptimWrapper')


def test_negative_epochs_are_refused():
    with pytest.raises(ValueError, match='at least 0, got -1'):
        FreezeLastLayerHook(-1)


@pytest.mark.parametrize(('drop_last', 'expected'), [(False, 4), (True, 3)])
def test_an_epoch_of_several_processes(monkeypatch, drop_last, expected):
    """An infinite sampler knows no epoch; the others say how long one is."""
    monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda: (0, 2))
    monkeypatch.setattr(schedule, 'get_world_size', lambda: 2)
    for sampler in (DefaultSampler, InfiniteSampler):
        own = sampler(range(55))
        loader = DataLoader(range(55), 8, sampler=own, drop_last=drop_last)
        assert schedule.iterations_of_epoch(loader) == expected
        batches = BatchSampler(own, 8, drop_last)
        loader = DataLoader(range(55), batch_sampler=batches)
        assert schedule.iterations_of_epoch(loader) == expected
