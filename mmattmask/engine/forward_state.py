"""What forward passes change besides gradients, moved or undone with the optimizer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmattmask.models import IBOTLoss
from mmattmask.scorers.ema_teacher import teachers_of


class ForwardState:
    """Centres of self-distillation and running statistics of batch norm.

    Centres move once for each optimizer step. If a loss scaler has skipped the step
    (the scale has fallen, or statistics are not finite), both are as they were before
    its iterations: else every later loss would be NaN. With a fixed scale, gradients
    that overflow alone are not noticed. The device is not waited for.
    """

    def __init__(self, model: nn.Module, optim_wrapper: Any) -> None:
        scaler = getattr(optim_wrapper, 'loss_scaler', None)
        self.scaler = scaler if scaler is not None and scaler.is_enabled() else None
        self.losses = [m for m in model.modules() if isinstance(m, IBOTLoss)]
        teachers = {m for teacher in teachers_of(model) for m in teacher.modules()}
        norms = [m for m in model.modules() if isinstance(m, _BatchNorm)]
        self.buffers = [b for m in norms if m not in teachers for b in m.buffers()]
        if self.scaler is not None:
            self._saved = [buffer.clone() for buffer in self.buffers]
            self._scale = torch.tensor(self.scaler.get_scale())

    @torch.no_grad()
    def step(self) -> None:
        """Follow the optimizer, which has made a step or skipped it."""
        skipped = None if self.scaler is None else self._skipped(self.scaler)
        for loss in self.losses:
            loss.move_centers(skipped)
        if skipped is None:
            return
        for buffer, saved in zip(self.buffers, self._saved, strict=True):
            buffer.copy_(torch.where(skipped, saved, buffer))
            saved.copy_(buffer)

    def _skipped(self, scaler: Any) -> Tensor:
        """Return a bool on the device."""
        scale = scaler._scale  # get_scale() waits for the device
        skipped = scale < self._scale
        self._scale = scale.clone()
        for buffer in self.buffers:
            skipped = skipped | ~torch.isfinite(buffer).all()
        return skipped
