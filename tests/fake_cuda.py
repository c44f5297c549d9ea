"""A CPU that complains like a GPU about what waits for the device.

Tensors on 'cuda' are fake ones, which have no values; those on the CPU stay real. Every
operation is looked at. Forward passes only: backward would ask for a real context.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

READS_VALUES = {
    'aten::_local_scalar_dense',
    'aten::nonzero',
    'aten::masked_select',
    'aten::equal',
    'aten::is_nonzero',
    'aten::bincount',
    'aten::_unique2',
    'aten::repeat_interleave',
}
INDEXES = {'aten::index', 'aten::index_put_', 'aten::_index_put_impl_'}
MASKS = (torch.bool, torch.uint8)
PACKAGES = ('mmattmask', 'mmpretrain', 'mmengine')
NO_KERNEL = {'prim::device', 'aten::detach', 'aten::lift_fresh'}


class Watch(TorchDispatchMode):
    """Note what waits for the device, and count what it has to do.

    Attributes:
        waits: ``file.py: operation`` for each operation that waits, named after the
            innermost file of ours or of OpenMMLab.
        operations: Names of the operations that start a kernel on the device.
        copies: How many of them are copies between CPU and device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self.operations: list[str] = []
        self.copies = 0

    def clear(self) -> None:
        """Forget what was seen."""
        self.waits.clear()
        self.operations.clear()
        self.copies = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs, name = kwargs or {}, func._schema.name
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        on_device = [tensor.device.type == 'cuda' for tensor in tensors]
        target = kwargs.get('device')
        to_device = target is not None and torch.device(target).type == 'cuda'
        if not any(on_device) and not to_device:
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        crosses = _crosses(name, kwargs, on_device, to_device)
        self.copies += crosses
        blocks = crosses and not (kwargs.get('non_blocking') or args[2:3] == (True,))
        if blocks or _reads(name, tensors, on_device):
            self.waits.append(f'{_caller()}: {name}')
        if not func.is_view and name not in NO_KERNEL:
            self.operations.append(name)
        return func(*args, **kwargs)


def _crosses(name: str, kwargs: Any, on_device: list[bool], to_device: bool) -> bool:
    """Whether an operation copies between CPU and device."""
    if name == 'aten::_to_copy':
        return kwargs.get('device') is not None and to_device != on_device[0]
    return name == 'aten::copy_' and len(set(on_device)) == 2


def _reads(name: str, tensors: list[Tensor], on_device: list[bool]) -> bool:
    """Whether the CPU has to know values of the device, or the device of the CPU."""
    if name in READS_VALUES:
        return any(on_device)
    if name not in INDEXES or not on_device[0]:
        return name == 'aten::lift_fresh' and on_device[0]
    # the places of a mask are counted, an index of the CPU is copied
    pairs = zip(tensors[1:], on_device[1:], strict=True)
    return any(not there or each.dtype in MASKS for each, there in pairs)


def _caller() -> str:
    """Return the innermost file of ours or of OpenMMLab on the stack."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals['__name__']
        if module.partition('.')[0] in PACKAGES:
            return f'{module.rpartition(".")[2]}.py'
        frame = frame.f_back
    return '?'


@contextmanager
def fake_cuda() -> Iterator[Watch]:
    """Let 'cuda' name a device without values, and watch what is done on it."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        watch = Watch()
        with watch:
            yield watch
