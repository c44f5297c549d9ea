"""Optimizer wrappers that clip every gradient on its own and can freeze parameters."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch import nn

from mmattmask.registry import OPTIM_WRAPPERS


def clip_each_grad_(parameters: Sequence[nn.Parameter], max_norm: float) -> None:
    """Scale down, in place, every gradient whose own L2 norm is above ``max_norm``.

    ``torch.nn.utils.clip_grad_norm_`` has one norm and one factor for all of them.

    Source: bytedance/ibot utils.py, without its wait for the device per parameter.
    """
    grads: Any = [parameter.grad for parameter in parameters]
    norms = torch.stack(torch._foreach_norm(grads))
    factors = (max_norm / (norms + 1e-6)).clamp(max=1.0)
    torch._foreach_mul_(grads, list(factors.unbind()))


class PerTensorClip(OptimWrapper):
    """Base of an optimizer wrapper: clips per tensor, then drops frozen gradients.

    Args:
        clip_grad: ``dict(max_norm=3.0)``, as of the stock wrappers, but the norm is
            of each parameter's gradient. ``float('inf')`` clips nothing.
        *args: Of the stock wrapper, as the rest.
        **kwargs: Of the stock wrapper.

    Raises:
        ValueError: If ``clip_grad`` is anything else or ``max_norm`` is not positive.
    """

    def __init__(
        self, *args: Any, clip_grad: Mapping[str, float], **kwargs: Any
    ) -> None:
        if not clip_grad or set(clip_grad) != {'max_norm'}:
            raise ValueError(
                f'clip_grad must be dict(max_norm=...), got {clip_grad}: '
                f'{type(self).__name__} clips the L2 norm of each gradient'
            )
        if not clip_grad['max_norm'] > 0:
            raise ValueError(f'max_norm must be above 0, got {clip_grad["max_norm"]}')
        super().__init__(*args, clip_grad=dict(clip_grad), **kwargs)
        self.clip_func = clip_each_grad_
        self.frozen: tuple[nn.Parameter, ...] = ()

    def freeze(self, parameters: Iterable[nn.Parameter]) -> None:
        """Leave these parameters, and no others, out of the coming steps.

        They keep their values, also under weight decay, and the optimizer's state of
        them does not move. Checkpoints do not hold them: who freezes says so again
        after resuming.
        """
        self.frozen = tuple(parameters)

    def _clip_grad(self) -> None:
        super()._clip_grad()
        # Here a loss scaler has looked at all gradients, and an optimizer passes over
        # a parameter that has none.
        for parameter in self.frozen:
            parameter.grad = None


@OPTIM_WRAPPERS.register_module()
class PerTensorClipOptimWrapper(PerTensorClip, OptimWrapper):
    """MMEngine's wrapper with :class:`PerTensorClip`."""


@OPTIM_WRAPPERS.register_module()
class PerTensorClipAmpOptimWrapper(PerTensorClip, AmpOptimWrapper):
    """MMEngine's wrapper for mixed precision with :class:`PerTensorClip`.

    Gradients are clipped after the loss scale is taken out of them.
    """
