"""Two parameter groups: with weight decay, and without."""

from collections.abc import Iterable
from typing import Any

from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from mmattmask.registry import OPTIM_WRAPPER_CONSTRUCTORS


def split_by_decay(
    named_parameters: Iterable[tuple[str, nn.Parameter]],
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Split trainable parameters into those with weight decay and those without.

    Biases and vectors have none. Position embeddings, CLS and mask tokens and both
    parts of a weight-normalised layer have more than one dimension: they are decayed.

    Source: bytedance/ibot utils.py.
    """
    decayed, others = [], []
    for name, parameter in named_parameters:
        if not parameter.requires_grad:
            continue
        if name.endswith('.bias') or parameter.ndim == 1:
            others.append(parameter)
        else:
            decayed.append(parameter)
    return decayed, others


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class DecayGroupsOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """Give the optimizer two groups, see :func:`split_by_decay`.

    The first has the optimizer's ``weight_decay``, the second 0. Few groups mean few
    kernels; the stock constructor makes a group of every parameter. A schedule of the
    weight decay must leave 0 at 0, as MMPretrain's ``CosineAnnealingWeightDecay``
    does.

    Raises:
        ValueError: If there is a ``paramwise_cfg``.
    """

    def __init__(
        self,
        optim_wrapper_cfg: dict[str, Any],
        paramwise_cfg: dict[str, Any] | None = None,
    ) -> None:
        if paramwise_cfg:
            raise ValueError(
                'DecayGroupsOptimWrapperConstructor knows one rule for all parameters, '
                f'got paramwise_cfg={paramwise_cfg}'
            )
        # The stock words for the same rule: with them the base class asks for groups.
        super().__init__(optim_wrapper_cfg, dict(flat_decay_mult=0.0))

    def add_params(
        self, params: list[dict[str, Any]], module: nn.Module, **kwargs: Any
    ) -> None:
        """Add the two groups of ``module`` to ``params``."""
        decayed, others = split_by_decay(module.named_parameters())
        params.append(dict(params=decayed))
        params.append(dict(params=others, weight_decay=0.0))
        print_log(
            f'{len(decayed)} parameters with weight decay, {len(others)} without',
            logger='current',
        )
