"""Move a model's EMA teacher after every optimizer step."""

import math
from typing import Any

from mmengine.hooks import Hook
from mmpretrain.utils import get_ori_model
from torch.distributed.fsdp import FullyShardedDataParallel

from mmattmask.engine.forward_state import ForwardState
from mmattmask.engine.schedule import iterations_of_epoch
from mmattmask.registry import HOOKS
from mmattmask.scorers.ema_teacher import teachers_of


@HOOKS.register_module()
class EMATeacherHook(Hook):
    """Move every ``EMATeacher`` of the model after every optimizer step.

    Centres of iBOT and DINO move in the same steps. If a loss scaler skips a step,
    they and running statistics of batch norm stay as they were.

    The momentum follows half a cosine from ``momentum`` to ``end_momentum`` over the
    optimizer steps of the run. It is a function of the iteration alone, so a resumed
    run goes on where it stopped.

    Args:
        momentum: Share of the student in the first update, in [0, 1]. MMEngine's
            convention: the default 0.004 is the papers' 0.996.
        end_momentum: Share of the student at the end of training. Defaults to 0.

    Raises:
        ValueError: If a momentum is outside [0, 1]; before training, if the model has
            no teacher or is sharded (FSDP), or there are several optimizers.

    Source: naver-ai/lut main_lut.py, engines/engine_lut.py.
    """

    priority = 'NORMAL'  # before checkpoints are saved

    def __init__(self, momentum: float = 0.004, end_momentum: float = 0.0) -> None:
        if not (0 <= momentum <= 1 and 0 <= end_momentum <= 1):
            raise ValueError(
                f'momentum ({momentum}) and end_momentum ({end_momentum}) must be in '
                '[0, 1]: the share of the student, 0.004 where papers write 0.996'
            )
        self.momentum = momentum
        self.end_momentum = end_momentum

    def before_train(self, runner: Any) -> None:
        """Check that there is a teacher, and one optimizer to count the steps of."""
        name = type(self).__name__
        self.check_model(runner)
        modules = runner.model.modules()
        sharded = sum(isinstance(m, FullyShardedDataParallel) for m in modules)
        if sharded:
            raise ValueError(
                f'{name} cannot average sharded weights: {sharded} modules are in '
                'FullyShardedDataParallel, in which student and teacher have shards of '
                'different shapes; use DistributedDataParallel'
            )
        if not hasattr(runner.optim_wrapper, '_accumulative_counts'):
            raise ValueError(
                f'{name} needs one optimizer wrapper, got '
                f'{type(runner.optim_wrapper).__name__}'
            )
        self._state = ForwardState(runner.model, runner.optim_wrapper)

    def check_model(self, runner: Any) -> None:
        """Raise ValueError if there is no teacher."""
        self._teachers = teachers_of(runner.model)
        if not self._teachers:
            raise ValueError(
                f'{type(self).__name__} needs a model with an EMA teacher, such as '
                f'mmattmask.LUT, got {type(get_ori_model(runner.model)).__name__}'
            )

    def after_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Move the teacher if the optimizer has made a step in this iteration."""
        # Differs from LUT: under gradient accumulation the schedule counts optimizer
        # steps; the released one counts iterations and skips most of them.
        if not runner.optim_wrapper.should_update():
            return
        self._state.step()
        momentum = self.momentum_of(runner)
        for teacher in self._teachers:
            teacher.move(momentum)

    def momentum_of(self, runner: Any) -> float:
        """Return the momentum of the optimizer step that was made."""
        accumulated = runner.optim_wrapper._accumulative_counts
        total = math.ceil(runner.max_iters / accumulated)
        return cosine_momentum(
            runner.iter // accumulated, total, self.momentum, self.end_momentum
        )


def cosine_momentum(step: int, total: int, start: float, end: float) -> float:
    """Return the momentum of update ``step``, from 0; number ``total`` has ``end``."""
    return end + (start - end) * (1 + math.cos(math.pi * step / total)) / 2


@HOOKS.register_module()
class LinearEMATeacherHook(EMATeacherHook):
    """Move every ``EMATeacher`` of the model after every optimizer step (HPM).

    The momentum is constant within an epoch; it goes from ``momentum`` to
    ``end_momentum`` in ``ramp_epochs`` epochs and stays there.

    Args:
        momentum: Share of the student in the first epoch, in [0, 1]. MMEngine's
            convention: the default 0.001 is the paper's 0.999.
        end_momentum: Share of the student after the ramp.
        ramp_epochs: Epochs of the ramp, at least 1.

    Raises:
        ValueError: As :class:`EMATeacherHook`, or if ``ramp_epochs`` is below 1.

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
        # Not runner.epoch: an iteration-based loop leaves it at 0.
        epoch = runner.iter // iterations_of_epoch(runner.train_dataloader)
        share = min(epoch / self.ramp_epochs, 1.0)
        return self.momentum + share * (self.end_momentum - self.momentum)
