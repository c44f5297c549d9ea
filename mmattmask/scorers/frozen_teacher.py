"""Scores from a frozen, pre-trained ViT (GPA)."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.logging import print_log
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import Tensor, nn

from mmattmask.export import load_vit, read_state_dict
from mmattmask.export.fit_vit import same_grid
from mmattmask.masking import min_max
from mmattmask.masking.attention import full_precision
from mmattmask.masking.view import CropMode, resample
from mmattmask.registry import MODELS
from mmattmask.scorers.bank import Storage
from mmattmask.scorers.base import Debias, check_options
from mmattmask.scorers.cached_maps import CachedMaps
from mmattmask.scorers.self_attention import (
    ATTENTIONS,
    Attention,
    attention_to_patches,
    blocks_of,
    check_block,
    cut,
    image_size_of,
    num_prefix_tokens_of,
    patch_size_of,
    read_block,
)


@MODELS.register_module()
class FrozenTeacher(CachedMaps):
    """How much attention a pre-trained ViT's head gives to each patch.

    The teacher runs only to the block it is read at. It stays in evaluation mode and is
    hidden from checkpoints, optimizers and distributed wrappers.

    Args:
        backbone: Config of the teacher, such as ``dict(type='VisionTransformer',
            arch='b', patch_size=16)`` or ``dict(type='TIMMBackbone', …)``.
        checkpoint: Its weights: an MMPretrain, MAE, DINO, iBOT or AttMask file. Read
            when the model's weights are initialised. Defaults to None, for backbones
            that load their own (TIMMBackbone with ``pretrained`` or
            ``checkpoint_path``, or ``init_cfg``).
        block: The block to read, from 0.
        head: The head to read, from 0; None sums over all heads.
        attention: ``'received'``, GPA's sum over all queries of the logits, CLS and the
            patch itself included, as released; ``'received_paper'`` without these two;
            ``'received_probs'`` after softmax, which needs the N x N matrix; ``'cls'``
            the CLS token's attention.
        cached: Read whole images once, by ``AttentionRefreshHook(begin=0,
            interval=None)``, and crop the maps like the views: nearly free. Defaults to
            False: read every view as it is, as in the paper.
        crop_mode: See :class:`CachedMaps`.
        storage: See :class:`CachedMaps`.
        debias: See :class:`Scorer`.
        prefix: What the names begin with in a file of several networks, such as
            ``'teacher.backbone.'``. Defaults to the backbone; of official iBOT, DINO
            and AttMask files, the teacher's.

    Raises:
        ValueError: If block, head or an option does not exist, or the checkpoint does
            not fit the teacher.
        FileNotFoundError: If there is no such checkpoint.

    Source: GPA, Eq. 4-5; Lrbomchz/MM2024_GPA models_vit_teacher.py.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        checkpoint: str | None = None,
        block: int = 9,
        head: int | None = 11,
        attention: Attention = 'received',
        cached: bool = False,
        crop_mode: CropMode = 'aligned',
        storage: Storage = 'float16',
        debias: Debias | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(crop_mode, storage, debias)
        check_options(attention=(attention, ATTENTIONS))
        teacher = MMPRETRAIN_MODELS.build(copy.deepcopy(backbone))
        check_block(teacher, block)
        heads = blocks_of(teacher)[block].attn.num_heads
        if head is not None and not 0 <= head < heads:
            raise ValueError(f'head {head} does not exist in {heads} heads')
        teacher.requires_grad_(False).eval()
        self._hide(teacher)
        own = ('init_cfg', 'pretrained', 'checkpoint_path')
        self._loads_itself = any(backbone.get(name) for name in own)
        if checkpoint is not None and hasattr(teacher, 'timm_model'):
            raise ValueError(
                f'a TIMMBackbone reads its own weights: give {checkpoint} as its '
                'checkpoint_path'
            )
        self.checkpoint, self.prefix = checkpoint, prefix
        self.block = block
        self.head = head
        self.attention: Attention = attention
        self.cached = cached
        self._has_weights = False

    def _hide(self, teacher: nn.Module) -> None:
        # Not a submodule: neither in state_dict() nor parameters() nor train()
        object.__setattr__(self, 'teacher', teacher)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> 'FrozenTeacher':
        """Take the hidden teacher along to devices and dtypes."""
        self.teacher._apply(fn)
        return super()._apply(fn, recurse)

    def init_weights(self) -> None:
        """Load the teacher's weights."""
        if self._has_weights or next(self.teacher.parameters()).is_meta:
            return
        if self.checkpoint is None:
            if not self._loads_itself:
                raise ValueError(
                    'FrozenTeacher has no weights: set checkpoint, or init_cfg, '
                    'pretrained or checkpoint_path of its backbone'
                )
            self.teacher.init_weights()
        else:
            print_log(f'frozen teacher: {self.load()}', logger='current')
        self._has_weights = True

    def load(self) -> str:
        """Read the checkpoint into the teacher.

        Returns:
            A line such as ``'matched 150/150 weights of FILE'``.
        """
        prefix = self.prefix and self.prefix.removesuffix('.')
        state = read_state_dict(self.checkpoint, prefix)
        # what comes after the block that is read does not matter
        unread = (r'^ln1\.', r'^ln2\.')
        grid = same_grid(self.teacher, state)
        return load_vit(self.teacher, state, self.checkpoint, grid, unread)

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless the teacher's patches divide the student's images."""
        self.map_grid(backbone, image_size_of(backbone))

    def map_grid(
        self, backbone: nn.Module, image_size: Sequence[int]
    ) -> tuple[int, int]:
        """Return the teacher's grid (h, w) for images of ``image_size`` (H, W) px."""
        return cut(image_size, patch_size_of(self.teacher), "teacher's patch size")

    @torch.no_grad()
    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the score of the images' teacher patches, (B, L) float32 in [0, 1].

        Args:
            model: The host; not used.
            images: Normalised images, (B, 3, H, W).
        """
        self.init_weights()
        teacher = self.teacher
        read = read_block(teacher, self.block, lambda: teacher(images), stop=True)
        prefix = num_prefix_tokens_of(teacher)
        with full_precision(images):
            scores = attention_to_patches(read, prefix, self.attention)
            # Differs from GPA: a constant map becomes zeros, not NaN.
            if self.head is not None:
                return min_max(scores[:, self.head])
            return min_max(scores.sum(dim=1))

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor | None:
        """Return the score of the views' cells, see :class:`CachedMaps`."""
        if self.cached:
            return super().forward(inputs, data_samples, grid, cell_size)
        maps = self.measure(self.teacher, inputs)
        own_grid = self.map_grid(self.teacher, inputs.shape[-2:])
        if own_grid == grid:
            return maps
        return resample(maps.unflatten(1, own_grid), grid, cell_size)
