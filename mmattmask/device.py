"""From the CPU to the device, without waiting for it."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device | str) -> Tensor:
    """Copy a tensor of the CPU to a device while that goes on with its work.

    A GPU copies from pinned memory only: other memory is pinned first, or the copy
    would wait for all that the GPU was given before.
    """
    to_gpu = torch.device(device).type == 'cuda' and torch.cuda.is_available()
    if to_gpu and not tensor.is_cuda:
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)
