"""Layer-wise learning rates for whatever has a plain ViT as its backbone."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from typing import Any

from mmpretrain.engine.optimizers import LearningRateDecayOptimWrapperConstructor
from torch import nn

from mmattmask.registry import OPTIM_WRAPPER_CONSTRUCTORS

Depth = Callable[[str], tuple[int, int]]
# What the stock constructor's groups have of one parameter alone.
OF_ONE = ('params', 'param_name')


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayOptimWrapperConstructor(LearningRateDecayOptimWrapperConstructor):
    """MMPretrain's layer decay, for detectors and segmentors too.

    The learning rate of block i of n (from 0) is that of the head times
    ``layer_decay_rate ** (n - i)``; of patch and position embeddings, times
    ``layer_decay_rate ** (n + 1)``. Parameters of one learning rate and weight decay
    share a group, so the optimizer runs few kernels; the stock constructor makes a
    group of every parameter.

    ``paramwise_cfg`` takes ``layer_decay_rate``, and as in MMPretrain
    ``norm_decay_mult``, ``bias_decay_mult``, ``flat_decay_mult`` and ``custom_keys``.
    """

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = '',
        get_layer_depth: Depth | None = None,
        **kwargs: Any,
    ) -> None:
        """Add the groups of ``module`` to ``params``.

        Raises:
            ValueError: If neither the model nor its backbone has ``get_layer_depth``.
        """
        if get_layer_depth is not None:  # a part of the model
            super().add_params(params, module, prefix, get_layer_depth, **kwargs)
            return
        single: list[dict[str, Any]] = []
        super().add_params(single, module, prefix, _depth_function(module), **kwargs)
        groups: dict[Any, list[nn.Parameter]] = defaultdict(list)
        for group in single:
            options = {k: v for k, v in group.items() if k not in OF_ONE}
            groups[tuple(sorted(options.items()))] += group['params']
        params.extend(dict(options, params=ps) for options, ps in groups.items())


def _depth_function(model: nn.Module) -> Depth:
    """Return the function from a parameter's name to (its layer, number of layers)."""
    own: Any = getattr(model, 'get_layer_depth', None)
    if own is not None:
        return own
    backbone: Any = getattr(model, 'backbone', None)
    if not hasattr(backbone, 'get_layer_depth'):
        raise ValueError(
            f'{type(model).__name__} with backbone {type(backbone).__name__} has no '
            'get_layer_depth, which layer decay needs; backbones of MMPretrain have it'
        )
    return partial(backbone.get_layer_depth, prefix='backbone.')
