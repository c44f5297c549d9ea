"""Gradients travel between processes in half precision."""

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import fp16_compress_hook
from torch.nn.parallel import DistributedDataParallel

from mmattmask.registry import HOOKS


@HOOKS.register_module()
class Fp16CompressionHook(Hook):
    """Halve what the processes of a distributed run send; ViTDet trains so.

    With one process it does nothing.

    Source: facebookresearch/detectron2 tools/lazyconfig_train_net.py
    (``train.ddp.fp16_compression``).
    """

    def before_train(self, runner: Runner) -> None:
        """Register the communication hook of torch."""
        if isinstance(runner.model, DistributedDataParallel):
            runner.model.register_comm_hook(state=None, hook=fp16_compress_hook)
            print_log('gradients are sent as float16', logger='current')
