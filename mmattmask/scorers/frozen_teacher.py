"""Scores from a frozen, pre-trained ViT (GPA)."""

import copy
import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from mmengine.logging import print_log
from mmengine.utils import to_2tuple
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.export import load_vit
from mmattmask.export.fit_vit import same_grid
from mmattmask.export.vit_keys import read_encoder
from mmattmask.masking import min_max
from mmattmask.masking.attention import full_precision, low_precision
from mmattmask.masking.options import check_options
from mmattmask.masking.view import CropMode, resample
from mmattmask.registry import MODELS
from mmattmask.scorers.bank import Keep, Storage
from mmattmask.scorers.base import Debias
from mmattmask.scorers.cached_maps import CachedMaps
from mmattmask.scorers.library_vits import HuggingFaceViT, LibraryViT
from mmattmask.scorers.self_attention import (
    ATTENTIONS,
    Attention,
    attention_to_patches,
    blocks_of,
    check_block,
    grid_of,
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
        backbone: Config of the teacher: ``dict(type='VisionTransformer', arch='b',
            patch_size=16)``, ``dict(type='mmattmask.TimmViT', model_name=…)`` or
            ``dict(type='mmattmask.HuggingFaceViT', folder=…)``.
        checkpoint: Its weights: an MMPretrain, MAE, DINO, iBOT or AttMask file, or what
            timm reads. Defaults to None, for backbones that load their own
            (HuggingFaceViT, TimmViT with ``pretrained``, or ``init_cfg``).
        block: The block to read, from 0.
        head: The head to read, from 0; None sums over all heads.
        attention: ``'received'``, GPA's sum over all queries of the logits, CLS and the
            patch itself included, as released; ``'received_paper'`` without these two;
            ``'received_probs'`` after softmax, which needs the N x N matrix; ``'cls'``
            the CLS token's attention.
        cached: Read whole images once, by ``AttentionRefreshHook(begin=0,
            interval=None)``, and crop the maps like the views: nearly free. Else read
            every view as it is, as in the paper.
        crop_mode: See :class:`CachedMaps`.
        storage: See :class:`CachedMaps`.
        debias: See :class:`Scorer`.
        prefix: What the names begin with in a file of several networks, such as
            ``'teacher.backbone.'``. Defaults to the backbone; of iBOT, DINO and
            AttMask, the teacher's.
        mean: Of the RGB pixels, in 0 to 255, that the teacher was trained with.
            Defaults to what its library says; of MMPretrain's backbones, to the
            student's.
        std: As ``mean``.
        channel_order: Colours of the student's views, ``'rgb'`` or ``'bgr'``. Needed
            where the teacher's pixels are its own and the data preprocessor does not
            turn loaded BGR into RGB (``to_rgb=True``).
        input_size: Side, or height and width, in px that views are resized to for the
            teacher. Defaults to the views' own.
        keep: See :class:`CachedMaps`.

    Raises:
        ValueError: If block, head or an option does not exist, the checkpoint does
            not fit the teacher, or the pixels that it wants are not known.
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
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        channel_order: Literal['rgb', 'bgr'] | None = None,
        input_size: int | Sequence[int] | None = None,
        keep: Keep | None = None,
    ) -> None:
        super().__init__(crop_mode, storage, debias, keep)
        check_options(
            attention=(attention, ATTENTIONS),
            channel_order=(channel_order, (None, 'rgb', 'bgr')),
        )
        self._made_of = json.dumps(backbone, sort_keys=True, default=str)
        teacher = MMPRETRAIN_MODELS.build(copy.deepcopy(backbone))
        if hasattr(teacher, 'timm_model'):
            raise ValueError(
                'a TIMMBackbone does not tell its pixels, positions and norms: use '
                f"dict(type='mmattmask.TimmViT', model_name={backbone['model_name']!r})"
            )
        own = getattr(teacher, 'normalisation', None)
        self.pixels = (mean, std) if mean is not None or std is not None else own
        _check_pixels(teacher, self.pixels)
        self.channel_order = channel_order
        self.input_size = None if input_size is None else to_2tuple(input_size)
        self.views_are: str | None = None
        self.loaded_are: str | None = None  # what images must be for views to be that
        if isinstance(teacher, LibraryViT):
            teacher.check(attention, block)
            heads, block = teacher.num_heads, block % teacher.num_blocks
        else:
            check_block(teacher, block)
            attn: Any = blocks_of(teacher)[block].attn
            heads = attn.num_heads
        if head is not None and not 0 <= head < heads:
            raise ValueError(f'head {head} does not exist in {heads} heads')
        teacher.requires_grad_(False).eval()
        self._hide(teacher)
        own = ('init_cfg', 'pretrained')
        self._loads_itself = any(backbone.get(name) for name in own)
        if isinstance(teacher, HuggingFaceViT):
            if checkpoint is not None or prefix is not None:
                raise ValueError(
                    f'a HuggingFaceViT reads the weights of {teacher.folder}, its '
                    f'folder, not {checkpoint} {prefix}'
                )
            checkpoint = str(teacher.folder)
        self.checkpoint, self.prefix = checkpoint, prefix
        self.block = block
        self.head = head
        self.attention: Attention = attention
        self.cached = cached
        self._has_weights = False

    @property
    def made_by(self) -> str:
        """Class, ViT, weights, block, head and reading."""
        return (
            f'{type(self).__name__}(backbone={self._made_of}, pixels={self.pixels}, '
            f'views_are={self.views_are!r}, checkpoint={self.checkpoint!r}, '
            f'prefix={self.prefix!r}, '
            f'block={self.block}, head={self.head}, attention={self.attention!r}, '
            f'input_size={self.input_size})'
        )

    def _hide(self, teacher: nn.Module) -> None:
        # Not a submodule: neither in state_dict() nor parameters() nor train()
        self.teacher: Any
        object.__setattr__(self, 'teacher', teacher)

    def _apply(
        self, fn: Callable[[Tensor], Tensor], recurse: bool = True
    ) -> 'FrozenTeacher':
        """Take the hidden teacher along to devices and dtypes."""
        self.teacher._apply(fn)
        return super()._apply(fn, recurse)

    def init_weights(self) -> None:
        """Load the teacher's weights; ValueError if none are named."""
        if self._has_weights or next(self.teacher.parameters()).is_meta:
            return
        if self.checkpoint is not None:
            print_log(f'frozen teacher: {self.load()}', logger='current')
        elif not self._loads_itself:
            raise ValueError(
                'FrozenTeacher has no weights: set checkpoint, or init_cfg or '
                'pretrained of its backbone'
            )
        elif not isinstance(self.teacher, LibraryViT):
            self.teacher.init_weights()
        self._has_weights = True

    def load(self) -> str:
        """Read the checkpoint; return ``'matched 150/150 weights of FILE'``."""
        prefix = self.prefix and self.prefix.removesuffix('.')
        if isinstance(self.teacher, LibraryViT):
            library: Any = self.teacher
            return library.load(self.checkpoint, prefix)
        assert self.checkpoint is not None
        state, source, grid, num_heads = read_encoder(self.checkpoint, prefix)
        # what comes after the block that is read does not matter
        unread = (r'^ln1\.', r'^ln2\.')
        grid = grid or same_grid(self.teacher, state)
        return load_vit(self.teacher, state, source, grid, unread, num_heads)

    def views_from(self, preprocessor: Any) -> None:
        """Find out what makes the teacher's pixels of the student's, or ValueError."""
        if self.pixels is None:
            return
        flips = getattr(preprocessor, '_channel_conversion', False)
        flips = getattr(preprocessor, 'reverses_channels', flips)  # ours
        order = self.channel_order or ('rgb' if flips else None)
        if order is None or not getattr(preprocessor, '_enable_normalize', False):
            raise ValueError(
                'the teacher has pixels of its own, but those of the views are not '
                f'known: {type(preprocessor).__name__} needs mean and std, and to_rgb='
                "True or else channel_order='rgb' or 'bgr' of FrozenTeacher"
            )
        mean, std = (
            value.float().flip(0) if order == 'bgr' else value.float()
            for value in (preprocessor.mean, preprocessor.std)
        )
        own_mean, own_std = (mean.new_tensor(x).view(-1, 1, 1) for x in self.pixels)
        self.views_are = order
        self.loaded_are = 'rgb' if (order == 'rgb') != flips else 'bgr'
        self.register_buffer('scale', std / own_std, persistent=False)
        self.register_buffer('shift', (mean - own_mean) / own_std, persistent=False)

    def own_pixels(self, images: Tensor) -> Tensor:
        """Return the student's views (B, 3, H, W) as the teacher wants them."""
        if self.pixels is not None:
            if self.views_are is None:
                raise ValueError(
                    'the teacher has pixels of its own: tell it with '
                    'views_from(data_preprocessor) what views are'
                )
            images = images.flip(1) if self.views_are == 'bgr' else images
            # `check` runs on shapes alone, where numbers are elsewhere
            images = images * self.scale.to(images) + self.shift.to(images)
        if self.input_size is not None and tuple(images.shape[-2:]) != self.input_size:
            images = F.interpolate(
                images, self.input_size, mode='bilinear', antialias=True
            )
        return images

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless the teacher's patches divide the student's images."""
        self.map_grid(backbone, image_size_of(backbone))

    def map_grid(
        self, backbone: nn.Module, image_size: Sequence[int]
    ) -> tuple[int, int]:
        """Return the teacher's grid (h, w) for images of ``image_size`` (H, W) px."""
        size = self.input_size or image_size
        return grid_of(size, patch_size_of(self.teacher), "teacher's patch size")

    @torch.no_grad()
    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the score of the images' teacher patches, (B, L) float32 in [0, 1]."""
        self.init_weights()
        teacher, images = self.teacher, self.own_pixels(images)
        block, head = self.block, self.head
        with low_precision(images):
            if isinstance(teacher, LibraryViT):
                scores = teacher.read(images, self.attention, [block])[0]
                scores = scores if head is None else scores[:, [head]]
            else:
                read = read_block(
                    teacher, block, lambda: teacher(images), stop=True, head=head
                )
                with full_precision(images):
                    prefix = num_prefix_tokens_of(teacher)
                    scores = attention_to_patches(read, prefix, self.attention)
        with full_precision(images):
            # Differs from GPA: a constant map becomes zeros, not NaN.
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


def _check_pixels(
    teacher: nn.Module, pixels: tuple[Sequence[float] | None, ...] | None
) -> None:
    """Raise ValueError unless it is known what a teacher's pixels are."""
    if pixels is None:
        if isinstance(teacher, LibraryViT):
            raise ValueError(
                f'{type(teacher).__name__} does not tell how images are normalised: '
                'give mean and std, or the name with the tag of its weights (timm), '
                'or the folder a preprocessor_config.json (Hugging Face)'
            )
        return
    mean, std = pixels
    if mean is None or std is None or max(std) < 1:
        raise ValueError(
            f'mean ({mean}) and std ({std}) are given together, for pixels in 0 to 255'
        )
