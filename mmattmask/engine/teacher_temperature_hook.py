"""Warm up the temperatures of a self-distillation teacher (DINO, iBOT)."""

from typing import Any

from mmengine.hooks import Hook
from mmpretrain.utils import get_ori_model

from mmattmask.engine.schedule import iterations_of_epoch
from mmattmask.models.ibot import IBOT
from mmattmask.registry import HOOKS


@HOOKS.register_module()
class TeacherTemperatureHook(Hook):
    """Set ``model.teacher_temp`` and ``teacher_patch_temp`` for every epoch.

    A temperature goes in equal steps from ``warmup_temp``, in the first epoch, to
    ``temp``, in the last epoch of the warm-up, and stays there. An epoch is the length
    of the training loader.

    Args:
        warmup_temp: Temperature of the CLS output in the first epoch.
        temp: The same after the warm-up.
        warmup_epochs: Epochs of the warm-up; 0 is none.
        warmup_patch_temp: That of the patch output. Defaults to ``warmup_temp``.
        patch_temp: The same after the warm-up. Defaults to ``temp``.
        pred_start_epoch: Before this epoch, from 0, no patch is masked, and the warm-up
            of the patch temperature waits.

    Raises:
        ValueError: If a number is out of range; before training, if the model has no
            such teacher or the run ends within the warm-up.

    Source: bytedance/ibot main_ibot.py.
    """

    epoch_arguments = ('warmup_epochs', 'pred_start_epoch')

    def __init__(
        self,
        warmup_temp: float = 0.04,
        temp: float = 0.07,
        warmup_epochs: int = 30,
        warmup_patch_temp: float | None = None,
        patch_temp: float | None = None,
        pred_start_epoch: int = 0,
    ) -> None:
        self.cls = (warmup_temp, temp)
        self.patch = (
            warmup_temp if warmup_patch_temp is None else warmup_patch_temp,
            temp if patch_temp is None else patch_temp,
        )
        if min(*self.cls, *self.patch) <= 0:
            raise ValueError(
                f'temperatures must be positive, got {self.cls} for CLS tokens and '
                f'{self.patch} for patches'
            )
        if warmup_epochs < 0 or pred_start_epoch < 0:
            raise ValueError(
                f'warmup_epochs ({warmup_epochs}) and pred_start_epoch '
                f'({pred_start_epoch}) must be at least 0'
            )
        self.warmup_epochs = warmup_epochs
        self.pred_start_epoch = pred_start_epoch

    def before_train(self, runner: Any) -> None:
        """Check the model and that the warm-up fits into the run."""
        model = get_ori_model(runner.model)
        if not isinstance(model, IBOT):
            raise ValueError(
                'TeacherTemperatureHook needs a model whose teacher has temperatures, '
                f'such as mmattmask.IBOT, got {type(model).__name__}'
            )
        epochs = runner.max_iters / iterations_of_epoch(runner.train_dataloader)
        if epochs < self.warmup_epochs + self.pred_start_epoch:
            raise ValueError(
                f'the run ends after {epochs:g} epochs, within the warm-up of the '
                f'temperatures: warmup_epochs ({self.warmup_epochs}) + '
                f'pred_start_epoch ({self.pred_start_epoch}) must not be more'
            )

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Set the temperatures of this iteration's epoch."""
        # Not runner.epoch: an iteration-based loop leaves it at 0.
        epoch = runner.iter // iterations_of_epoch(runner.train_dataloader)
        model, begin = get_ori_model(runner.model), self.pred_start_epoch
        model.teacher_temp = warmup_value(epoch, self.warmup_epochs, *self.cls)
        model.teacher_patch_temp = warmup_value(
            epoch - begin, self.warmup_epochs, *self.patch
        )
        if model.guidance is not None:
            model.guidance.masking = epoch >= begin


def warmup_value(epoch: int, warmup_epochs: int, start: float, end: float) -> float:
    """Return ``start`` up to epoch 0, ``end`` from the last of the warm-up on.

    In between it goes in equal steps. A warm-up of one epoch has ``start``.
    """
    if epoch >= warmup_epochs:
        return end
    return start + (end - start) * max(epoch, 0) / max(warmup_epochs - 1, 1)
