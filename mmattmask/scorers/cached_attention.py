"""Scores from attention maps that the model made of the whole images (AMT)."""

from typing import Any

from mmengine.model import is_model_wrapper
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mmattmask.masking import reduce_heads
from mmattmask.masking.attention import (
    HEAD_REDUCTIONS,
    HeadReduction,
    low_precision,
)
from mmattmask.masking.options import check_options
from mmattmask.masking.view import CropMode
from mmattmask.registry import MODELS
from mmattmask.scorers.bank import Keep, Storage
from mmattmask.scorers.base import Debias
from mmattmask.scorers.cached_maps import CachedMaps
from mmattmask.scorers.self_attention import (
    blocks_of,
    check_readable,
    read_cls_attention,
)


@MODELS.register_module()
class CachedAttention(CachedMaps):
    """The model's own CLS attention to whole images, renewed during training.

    Args:
        reduce_heads: How heads become one map: ``'mean_minmax'`` (the paper),
            ``'minmax_mean'`` (the released code) or ``'mean'``.
        crop_mode: ``'aligned'`` (the paper) or ``'official'`` (the released code's
            corner crop).
        storage: ``'float16'`` or ``'uint8'``, half the size.
        block: The encoder block whose attention is read. Defaults to the last.
        debias: ``'position'`` takes away what all maps of the bank have in common.
        head: The head to read, from 0, as ``mmattmask select`` chooses it. Defaults to
            None: all, by ``reduce_heads``.
        keep: Where the bank is kept, ``'mmap'``, ``'ram'`` or ``'device'``. Defaults to
            what its size allows.

    Raises:
        ValueError: If an option is unknown or two do not go together.

    Source: AMT, section "Semantic Information Extraction".
    """

    def __init__(
        self,
        reduce_heads: HeadReduction = 'mean_minmax',
        crop_mode: CropMode = 'aligned',
        storage: Storage = 'float16',
        block: int = -1,
        debias: Debias | None = None,
        head: int | None = None,
        keep: Keep | None = None,
    ) -> None:
        super().__init__(crop_mode, storage, debias, keep)
        check_options(reduce_heads=(reduce_heads, HEAD_REDUCTIONS))
        if storage == 'uint8' and reduce_heads == 'mean':
            raise ValueError(
                "storage='uint8' needs maps scaled to [0, 1], but reduce_heads='mean' "
                'leaves them near 1 / number of patches'
            )
        self.reduce_heads: HeadReduction = reduce_heads
        self.block, self.head = block, head

    @property
    def made_by(self) -> str:
        """Class, block, head and reduction of the heads."""
        return (
            f'{type(self).__name__}(block={self.block}, head={self.head}, '
            f'reduce_heads={self.reduce_heads!r})'
        )

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless the backbone's attention can be read."""
        check_readable(backbone, self.block)
        attention: Any = blocks_of(backbone)[self.block].attn
        heads = attention.num_heads
        if self.head is not None and not 0 <= self.head < heads:
            raise ValueError(f'head {self.head} does not exist in {heads} heads')

    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return whole images' scores, (B, L) float32, in [0, 1] unless ``'mean'``."""
        host: Any = get_ori_model(model)
        # a wrapper that shards gathers, and wants to see the pass end; that of DDP
        # would wait for other ranks in each pass that it does not see end
        shards = is_model_wrapper(model) and not isinstance(
            model, DistributedDataParallel
        )
        called = model if shards else host
        with low_precision(images):
            attention = read_cls_attention(
                host.backbone,
                images,
                self.block,
                lambda images: called(images, mode='tensor'),
                stop=not shards,
                head=self.head,
            )
        return reduce_heads(attention, self.reduce_heads)
