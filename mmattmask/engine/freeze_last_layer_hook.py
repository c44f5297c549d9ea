"""Keep a head's last layer as it is in the first epochs (DINO, iBOT)."""

from typing import Any

from mmengine.hooks import Hook
from mmpretrain.utils import get_ori_model

from mmattmask.engine.schedule import iterations_of_epoch
from mmattmask.registry import HOOKS


@HOOKS.register_module()
class FreezeLastLayerHook(Hook):
    """Train everything but the last layer in the first epochs.

    Its gradients are computed and dropped before the optimizer's step, so neither the
    step nor weight decay changes it. An epoch is the length of the training loader,
    and is counted from the iteration: a resumed run goes on where it stopped.

    Needs an optimizer wrapper that can freeze: ``mmattmask.PerTensorClipOptimWrapper``
    or ``mmattmask.PerTensorClipAmpOptimWrapper``.

    Args:
        epochs: Epochs without the last layer; 0 freezes nothing. Defaults to 1.
        pattern: Part of the frozen parameters' names. Defaults to ``'last_layer'``.

    Raises:
        ValueError: If ``epochs`` is negative; before training, if no trainable
            parameter has ``pattern`` in its name or the wrapper cannot freeze.

    Source: bytedance/ibot utils.py, main_ibot.py.
    """

    epoch_arguments = ('epochs',)

    def __init__(self, epochs: int = 1, pattern: str = 'last_layer') -> None:
        if epochs < 0:
            raise ValueError(f'epochs must be at least 0, got {epochs}')
        self.epochs = epochs
        self.pattern = pattern

    def before_train(self, runner: Any) -> None:
        """Find the parameters."""
        if not hasattr(runner.optim_wrapper, 'freeze'):
            raise ValueError(
                'FreezeLastLayerHook needs an optimizer wrapper that can freeze, such '
                'as mmattmask.PerTensorClipOptimWrapper, got '
                f'{type(runner.optim_wrapper).__name__}'
            )
        model = get_ori_model(runner.model)
        self.parameters = [
            parameter
            for name, parameter in model.named_parameters()
            if self.pattern in name and parameter.requires_grad
        ]
        if not self.parameters:
            raise ValueError(
                f'no trainable parameter of {type(model).__name__} has '
                f'{self.pattern!r} in its name'
            )

    def before_train_iter(
        self, runner: Any, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Say who is frozen in this iteration."""
        # Not runner.epoch: an iteration-based loop leaves it at 0.
        epoch = runner.iter // iterations_of_epoch(runner.train_dataloader)
        frozen = self.parameters if epoch < self.epochs else ()
        runner.optim_wrapper.freeze(frozen)
