"""When something happens again during training."""

import dataclasses
import math
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from mmengine.runner import IterBasedTrainLoop


@dataclasses.dataclass(frozen=True)
class Schedule:
    """First after ``begin`` epochs or iterations, then every ``interval`` or never.

    ValueError unless these are whole numbers of at least 0 and 1.
    """

    begin: int
    interval: int | None
    by_epoch: bool = True

    def __post_init__(self) -> None:
        interval = 1 if self.interval is None else self.interval
        whole = isinstance(self.begin, int) and isinstance(interval, int)
        if not whole or self.begin < 0 or interval < 1:
            raise ValueError(
                f'begin ({self.begin}) must be a whole number of at least 0 and '
                f'interval ({self.interval}) one of at least 1'
            )

    def check(self, runner: Any, name: str) -> None:
        """Raise ValueError if the hook ``name`` counts epochs in a loop without any."""
        if self.by_epoch and isinstance(runner.train_loop, IterBasedTrainLoop):
            raise ValueError(
                f'{name} counts epochs, but an IterBasedTrainLoop has none, so '
                f'it would never act again: set by_epoch=False, and begin '
                f'({self.begin}) and interval ({self.interval}) in iterations'
            )

    @property
    def unit(self) -> str:
        """What is counted."""
        return 'epoch' if self.by_epoch else 'iter'

    def now(self, runner: Any) -> int:
        """Return how many epochs or iterations are done."""
        return int(runner.epoch if self.by_epoch else runner.iter)

    def is_due(self, now: int) -> bool:
        """Return whether it happens before epoch or iteration ``now`` (from 0)."""
        if self.interval is None:
            return now == self.begin
        return now >= self.begin and (now - self.begin) % self.interval == 0


def iterations_of_epoch(loader: Any) -> int:
    """Return how many iterations a process makes with all images seen once.

    An InfiniteSampler tells the number of images of all processes.
    """
    batches: Any = getattr(loader, 'batch_sampler', None)  # PyTorch makes one
    sampler = getattr(batches, 'sampler', None)
    if not isinstance(sampler, InfiniteSampler):
        return len(loader)
    number = len(sampler) / get_world_size() / batches.batch_size
    drop_last = getattr(batches, 'drop_last', False)
    return max(1, int(number) if drop_last else math.ceil(number))
