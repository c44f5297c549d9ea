"""Make a resumed run draw the random numbers of an uninterrupted one."""

import random
from typing import Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from mmattmask.registry import HOOKS


@HOOKS.register_module()
class EpochSeedHook(Hook):
    """Seed Python, NumPy and torch anew before every epoch, from seed, epoch and rank.

    MMEngine does not save random states, so masks and augmentation of a resumed run
    differ from those of an uninterrupted one; with this hook they are the same, bit for
    bit, on the CPU. Loader processes are restarted every epoch and seeded from the
    epoch too, which costs the seconds they need to start.

    Needs ``randomness=dict(seed=...)``. ValueError in an iteration-based training loop.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner: Any) -> None:
        """Let loader processes take their seed from the epoch's."""
        self.check_model(runner)
        runner.train_dataloader.worker_init_fn = _seed_worker

    def check_model(self, runner: Any) -> None:
        """Raise ValueError in a loop that seeds once, and once more when resumed."""
        if isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError(
                'EpochSeedHook seeds epochs, and an IterBasedTrainLoop has none: a '
                'resumed run would draw the first random numbers again; remove it, or '
                'use an EpochBasedTrainLoop'
            )

    def before_train_epoch(self, runner: Any) -> None:
        """Seed this epoch."""
        entropy = [runner.seed, runner.epoch, get_rank()]
        state = np.random.SeedSequence(entropy).generate_state(2)
        _seed_everything(int(state[0]))
        torch.manual_seed(int(state[1]))
        runner.train_dataloader._iterator = None  # persistent workers start again


def _seed_worker(worker_id: int) -> None:
    _seed_everything(torch.initial_seed() % 2**32)  # torch has seeded itself


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 what the transforms draw from
