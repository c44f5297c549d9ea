"""Move an EMA teacher with a momentum that changes linearly at first (HPM)."""

from typing import Any

from mmattmask.engine.ema_teacher_hook import EMATeacherHook
from mmattmask.registry import HOOKS


@HOOKS.register_module()
class LinearEMATeacherHook(EMATeacherHook):
    """Move every ``EMATeacher`` of the model after every optimizer step.

    The momentum is constant within an epoch; it goes from ``momentum`` to
    ``end_momentum`` in ``ramp_epochs`` epochs and stays there.

    Args:
        momentum: Share of the student in the first epoch, in [0, 1]. MMEngine's
            convention: the default 0.001 is the paper's 0.999.
        end_momentum: Share of the student after the ramp. Defaults to 0.0001.
        ramp_epochs: Epochs of the ramp. Defaults to 100.

    Raises:
        ValueError: If a momentum is outside [0, 1] or ``ramp_epochs`` is less than 1;
            before training, if the model has no teacher.

    Source: Haochen-Wang409/HPM engine_pretrain.py.
    """

    epoch_arguments = ('ramp_epochs',)

    def __init__(
        self,
        momentum: float = 0.001,
        end_momentum: float = 0.0001,
        ramp_epochs: int = 100,
    ) -> None:
        super().__init__(momentum, end_momentum)
        if ramp_epochs < 1:
            raise ValueError(f'ramp_epochs must be at least 1, got {ramp_epochs}')
        self.ramp_epochs = ramp_epochs

    def momentum_of(self, runner: Any) -> float:
        """Return the momentum of this epoch."""
        share = min(runner.epoch / self.ramp_epochs, 1.0)
        return self.momentum + share * (self.end_momentum - self.momentum)
