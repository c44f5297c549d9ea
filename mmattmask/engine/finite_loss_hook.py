"""Stop a run whose loss is not a number any more."""

from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook

from mmattmask.registry import HOOKS


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """Stop when the loss of any iteration was inf or nan, before a checkpoint is saved.

    Such losses are counted on the device. The count is read every ``interval``
    iterations and at the end of an epoch, over all processes, so that they stop
    together and no other iteration waits for the device.

    Args:
        interval: Iterations between two readings, at least 1. Defaults to 50.

    Raises:
        ValueError: If ``interval`` is less than 1.
        FloatingPointError: When a loss was inf or nan.

    Source: bytedance/ibot main_ibot.py, which reads every loss.
    """

    priority = 'NORMAL'  # before checkpoints are saved

    def __init__(self, interval: int = 50) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1, got {interval}')
        self.interval = interval
        self.count: torch.Tensor | None = None  # since the last reading
        self.iterations = 0

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
        self.count = bad if self.count is None else self.count + bad
        self.iterations += 1
        if self.every_n_train_iters(runner, self.interval):
            self.check(runner.iter + 1)

    def after_train_epoch(self, runner: Any) -> None:
        """Read the count."""
        self.check(runner.iter)

    def check(self, last: int) -> None:
        """Raise if a loss since the last reading was not finite.

        Args:
            last: Number of the newest iteration, from 1.
        """
        if self.count is None:
            return
        count, iterations = self.count, self.iterations
        self.count, self.iterations = None, 0
        all_reduce(count)
        if count.item():
            raise FloatingPointError(
                f'the loss was inf or nan {count.item()} times in iterations '
                f'{last - iterations + 1} to {last}, over all processes. A smaller '
                'learning rate, a longer warm-up or a wider type than float16 may help'
            )
