"""Stop a run whose loss is not a number any more."""

import logging
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmattmask.registry import HOOKS
from mmattmask.run_guard import check_hooks


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop when losses were inf or nan, before a checkpoint is saved.

    One such loss spoils the weights. With a loss scaler (``AmpOptimWrapper``) it does
    not: the scaler skips the step, and training goes on after a broken batch; what it
    cannot mend are ``patience`` iterations in a row.

    Losses are counted on the device. The count is read every ``interval`` iterations
    and at the end of an epoch, over all processes, so that they stop together and no
    other iteration waits for the device.

    Args:
        interval: Iterations between two readings, at least 1. Defaults to 50.
        patience: With a loss scaler, so many bad losses in a row stop the run, at least
            1. Defaults to 3.

    Raises:
        ValueError: If a number is less than 1.
        FloatingPointError: When losses were inf or nan.

    Source: bytedance/ibot main_ibot.py, which reads every loss.
    """

    priority = 'NORMAL'  # before checkpoints are saved

    def __init__(self, interval: int = 50, patience: int = 3) -> None:
        if interval < 1 or patience < 1:
            raise ValueError(
                f'interval and patience must be at least 1, got {interval}, {patience}'
            )
        self.interval = interval
        self.patience = patience
        self.allowed = 1  # in a row, the last of which stops the run
        self.in_a_row: torch.Tensor | int = 0
        self.counts: torch.Tensor | None = None  # bad, too many; since the last reading
        self.iterations = 0

    def before_train(self, runner: Any) -> None:
        """See whether steps are skipped; FlexibleRunner's parts have hooks, too."""
        check_hooks(runner)
        scaler = getattr(runner.optim_wrapper, 'loss_scaler', None)
        skips = scaler is not None and scaler.is_enabled()
        self.allowed = self.patience if skips else 1

    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, torch.Tensor] | None = None,
    ) -> None:
        """Count this iteration's loss; read the count if it is time."""
        if not outputs or 'loss' not in outputs:  # of no model here
            return
        bad = (~torch.isfinite(outputs['loss'])).int()
        self.in_a_row = (self.in_a_row + bad) * bad
        counts = torch.stack([bad, (self.in_a_row >= self.allowed).int()])
        self.counts = counts if self.counts is None else self.counts + counts
        self.iterations += 1
        if self.every_n_train_iters(runner, self.interval):
            self.check(runner.iter + 1)

    def before_saving(self, runner: Any) -> None:
        """Read the count, whatever the interval; see ``mmattmask.run_guard``."""
        self.check(runner.iter + 1)

    def after_train_epoch(self, runner: Any) -> None:
        """Read the count."""
        self.check(runner.iter)

    def check(self, last: int) -> None:
        """Raise if too many losses since the last reading, up to ``last``, were bad."""
        if self.counts is None:
            return
        counts, iterations = self.counts, self.iterations
        self.counts, self.iterations = None, 0
        all_reduce(counts)
        bad, too_many = counts.tolist()
        found = (
            f'the loss was inf or nan {bad} times in iterations '
            f'{last - iterations + 1} to {last}, over all processes'
        )
        if too_many:
            row = f', {self.allowed} or more in a row' if self.allowed > 1 else ''
            raise FloatingPointError(
                f'{found}{row}. A smaller learning rate, a longer warm-up or a wider '
                'type than float16 may help'
            )
        if bad:
            print_log(
                f'{found}; the loss scaler skipped these steps',
                logger='current',
                level=logging.WARNING,
            )
