"""Stock parts of a host, and ours that stand in for them."""

from typing import Any

from mmengine.logging import print_log
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import nn

from mmattmask.models.guidance import Part
from mmattmask.registry import MODELS

# Stock classes, and ours that do the same with a partition.
GUIDED: dict[type, type] = {}


def check_takes_partition(backbone: nn.Module, host: str) -> None:
    """Raise ValueError unless a backbone's second argument may be a partition."""
    if not getattr(backbone, 'takes_partition', False):
        raise ValueError(
            f'{host} needs a backbone that takes a partition, such as '
            f"type='mmattmask.GuidedMAEViT', got {type(backbone).__name__}"
        )


def guides(stock: type) -> Any:
    """Register a class as the one that stands in for a stock one."""

    def register(own: type) -> type:
        GUIDED[stock] = own
        return MODELS.register_module()(own)

    return register


def build_guided(part: Part, **inferred: Any) -> Any:
    """Build a part of a host, the guided one where a config names a stock one.

    ``inferred`` are arguments that the config need not give.
    """
    if not isinstance(part, dict):
        return part
    stock = part['type']
    stock = MMPRETRAIN_MODELS.get(stock) if isinstance(stock, str) else stock
    own = GUIDED.get(stock)
    if own is not None:
        print_log(f'{own.__name__} stands in for {stock.__name__}', logger='current')
        part = {**part, 'type': own}
    if own is not None or stock in GUIDED.values():
        part = {**inferred, **part}
    return MMPRETRAIN_MODELS.build(part)


def build_preprocessor(part: Part | None) -> Any:
    """Build a host's data preprocessor; the stock one waits for the device."""
    if isinstance(part, nn.Module):
        return part
    return build_guided({'type': 'mmpretrain.SelfSupDataPreprocessor', **(part or {})})
