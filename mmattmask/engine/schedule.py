"""When something happens again during training."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class Schedule:
    """First after ``begin`` epochs or iterations, then every ``interval`` or never.

    Raises:
        ValueError: If ``begin`` is negative or ``interval`` is not positive.
    """

    begin: int
    interval: int | None
    by_epoch: bool = True

    def __post_init__(self) -> None:
        if self.begin < 0 or (self.interval is not None and self.interval < 1):
            raise ValueError(
                f'begin ({self.begin}) must be at least 0 and interval '
                f'({self.interval}) at least 1'
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
