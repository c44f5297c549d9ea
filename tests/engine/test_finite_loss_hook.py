"""FiniteLossHook: when it stops a run, what it says, what is on disk then."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmattmask.engine import FiniteLossHook, finite_loss_hook

from .toy_run import toy_config, train
from .toy_student import recipe


def feed(hook, losses, start=0):
    for iteration, loss in enumerate(losses, start):
        runner = SimpleNamespace(iter=iteration)
        hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(loss)))


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), float('-inf')])
@pytest.mark.parametrize('position', [4, 6, 7])
def test_one_bad_loss_is_seen_at_the_next_reading(bad, position):
    losses = [1.0] * 12
    losses[position] = bad
    hook = FiniteLossHook(interval=4)
    feed(hook, losses[:7])  # not read yet
    with pytest.raises(FloatingPointError, match='1 times in iterations 5 to 8'):
        feed(hook, losses[7:], 7)


def test_bad_losses_are_counted():
    hook = FiniteLossHook(interval=5)
    with pytest.raises(FloatingPointError, match='2 times in iterations 1 to 5'):
        feed(hook, [1.0, float('nan'), 1.0, float('inf'), 1.0])


def test_a_bad_loss_of_another_process_stops_this_one(monkeypatch):
    monkeypatch.setattr(finite_loss_hook, 'all_reduce', lambda count: count.add_(2))
    with pytest.raises(FloatingPointError, match='2 times in iterations 1 to 3'):
        feed(FiniteLossHook(interval=3), [1.0] * 3)


def test_large_losses_pass():
    hook = FiniteLossHook(interval=2)
    feed(hook, [3e38, -3e38, 0.0, 1e-45])
    hook.after_train_epoch(SimpleNamespace(iter=4))


def test_a_run_stops_before_it_saves_a_checkpoint(tmp_path):
    # row 6 is in iteration 2 of 5, and no reading falls into the epoch
    cfg = recipe(tmp_path, train_dataloader__dataset__bad=[6])
    cfg.custom_hooks[-1].interval = 50
    with pytest.raises(FloatingPointError, match='4 times in iterations 1 to 5'):
        train(cfg)
    assert not list(tmp_path.glob('*.pth'))


def with_scaler(hook, **options):
    """A hook that has seen the wrapper of a run."""
    scaler = torch.amp.GradScaler('cpu', **options)
    wrapper = SimpleNamespace(loss_scaler=scaler)
    hook.before_train(
        SimpleNamespace(optim_wrapper=wrapper, hooks=[hook], model=torch.nn.Module())
    )
    return hook


def test_what_a_loss_scaler_skips_is_a_warning(monkeypatch):
    lines = []
    monkeypatch.setattr(
        finite_loss_hook, 'print_log', lambda text, **options: lines.append(text)
    )
    hook = with_scaler(FiniteLossHook(interval=4))
    nan = float('nan')
    feed(hook, [nan, nan, 1.0, nan])
    (line,) = lines
    assert '3 times in iterations 1 to 4' in line
    assert 'skipped' in line
    # the row goes on behind a reading
    with pytest.raises(FloatingPointError, match=r'2 times in .* 3 or more in a row'):
        feed(hook, [nan, nan, 1.0, 1.0], 4)


def test_a_scaler_that_is_off_skips_nothing():
    hook = with_scaler(FiniteLossHook(interval=2), enabled=False)
    with pytest.raises(FloatingPointError, match='1 times'):
        feed(hook, [1.0, float('nan')])


@pytest.mark.parametrize('options', [(0,), (50, 0)])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(ValueError, match=r'at least 1, got .*0'):
        FiniteLossHook(*options)


def test_a_bad_checkpoint_does_not_drive_out_a_good_one(tmp_path, data_root):
    @HOOKS.register_module(force=True)
    class PoisonHook(Hook):
        priority = 'VERY_HIGH'

        def before_train_iter(self, runner, batch_idx, data_batch=None):
            if runner.iter == 8:
                data_batch['inputs'] = data_batch['inputs'] * float('nan')

    iterations = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=12)
    checkpoints = dict(type='CheckpointHook', by_epoch=False, interval=5)
    checkpoints['max_keep_ckpts'] = 1
    refresh = dict(type='mmattmask.AttentionRefreshHook', begin=1, by_epoch=False)
    cfg = toy_config(
        tmp_path,
        data_root,
        train_cfg=iterations,
        custom_hooks=[refresh, dict(type='PoisonHook')],
        default_hooks__checkpoint=checkpoints,
    )
    cfg.train_dataloader.sampler.type = 'InfiniteSampler'
    with pytest.raises(FloatingPointError):
        train(cfg)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_5.pth']
