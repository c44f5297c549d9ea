"""Frozen ViTs of timm and Hugging Face: their own code runs, and is watched."""

import inspect
import itertools
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.utils import to_2tuple
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from mmattmask.checkpoints import check_finite, load_matched, read_checkpoint, some
from mmattmask.export.vit_keys import read_state_dict
from mmattmask.masking.attention import full_precision
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import (
    Attention,
    BlockAttention,
    BlockReachedError,
    attention_to_patches,
    grid_of,
)

# What comes after the blocks, other towers, and what only pre-training uses.
UNREAD = (
    r'^(vision_model\.)?(head|attn_pool|fc_norm|norm|layernorm|post_layernorm|pooler)\.',
    r'^(classifier|decoder|text_model|text_projection|visual_projection)\.',
    r'(^|\.)mask_token$|^logit_|position_ids$',
)


class _Watching(TorchFunctionMode):
    """Shows what enters every fused attention inside of it."""

    def __init__(self, see: Callable[..., None]) -> None:
        super().__init__()
        self.see = see

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        if func is F.scaled_dot_product_attention:
            self.see(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


class LibraryViT(nn.Module):
    """A ViT whose library computes it, attention as it reaches the fused kernel.

    So rotary positions, norms of queries and keys, registers and resized position
    embeddings are the library's own. ``blocks`` are those of ``vit`` in their order,
    ``normalisation`` the mean and standard deviation of its RGB input, for pixels in 0
    to 255, or None. ValueError if this is no ViT, or cannot be read.
    """

    def __init__(
        self,
        vit: nn.Module,
        blocks: Collection[nn.Module],
        patch_size: Any,
        img_size: Any,
        normalisation: tuple[list[float], list[float]] | None,
    ) -> None:
        super().__init__()
        sides = set(to_2tuple(patch_size))
        heads = [
            {number for m in block.modules() if (number := _heads(m)) is not None}
            for block in blocks
        ]
        if not heads or len(sides) > 1 or any(len(h) != 1 for h in heads):
            raise ValueError(
                f'{type(vit).__name__} is no ViT whose attention can be read: it has '
                f'{len(heads)} blocks with {heads[:1]} heads and patches of {sides} px'
            )
        if next(vit.parameters()).is_meta:  # `check`: and so are all its constants
            vit.to('meta')
        self.vit = vit.requires_grad_(False).eval()
        self.num_blocks = len(heads)
        self.num_heads = heads[0].pop()
        self.patch_size = int(sides.pop())
        self.img_size = to_2tuple(img_size)
        self.normalisation = normalisation
        names = ('cls_token', 'class_embedding')
        self.has_cls = any(n.endswith(names) for n, _ in vit.named_parameters())

    def forward(self, images: Tensor) -> Any:
        """Run the network on images (B, 3, H, W), normalised as it wants them."""
        return self.vit(images)

    def check(self, attention: Attention, *blocks: int) -> None:
        """Raise ValueError unless blocks exist, and CLS if it is to be read."""
        missing = [n for n in blocks if not -self.num_blocks <= n < self.num_blocks]
        if missing:
            raise ValueError(
                f'block {missing[0]} does not exist in {self.num_blocks} blocks'
            )
        if attention == 'cls' and not self.has_cls:
            raise ValueError(
                f"{type(self.vit).__name__} has no CLS token: use attention='received'"
            )

    @torch.compiler.disable
    @torch.no_grad()
    def read(
        self, images: Tensor, attention: Attention, blocks: Collection[int]
    ) -> list[Tensor]:
        """Read how much attention blocks give to each patch; stop at the last of them.

        ``attention`` is the reading, see ``FrozenTeacher``. One (B, heads, L) float32
        for each block.

        Raises:
            ValueError: If the attention is not one of every token to every other, its
                heads share keys, or there is no CLS token to read.
        """
        self.check(attention, *blocks)
        height, width = grid_of(
            images.shape[-2:], self.patch_size, "teacher's patch size"
        )
        numbers, maps = itertools.count(), []

        def see(
            query: Tensor,
            key: Tensor,
            value: Tensor,
            attn_mask: Tensor | None = None,
            dropout_p: float = 0.0,
            is_causal: bool = False,
            scale: float | None = None,
            enable_gqa: bool = False,
        ) -> None:
            number = next(numbers)
            if number in blocks:
                prefix = query.shape[2] - height * width
                self._check(query, key, prefix, attn_mask, is_causal)
                bias = None if attn_mask is None else attn_mask[0, :, 0]
                read = BlockAttention(query, key, bias, scale)
                with full_precision(images):
                    maps.append(attention_to_patches(read, prefix, attention))
            if number == max(blocks):
                raise BlockReachedError

        try:
            with _Watching(see):
                self(images)
        except BlockReachedError:
            return maps
        except RuntimeError as error:
            if not images.is_meta:
                raise
            # of transformers' DINOv3, whose autocast knows no such device
            print_log(f'the FLOPs of the teacher are not counted: {error}', 'current')
            shape = len(images), self.num_heads, height * width
            return [images.new_empty(shape) for _ in blocks]
        raise ValueError(
            f'{type(self.vit).__name__} computed {next(numbers)} fused attentions: '
            f'block {max(blocks)} was not among them'
        )

    def _check(
        self,
        query: Tensor,
        key: Tensor,
        prefix: int,
        bias: Tensor | None,
        is_causal: bool,
    ) -> None:
        """Raise ValueError unless this is attention of all tokens to all."""
        name, shape = type(self.vit).__name__, tuple(query.shape)
        if key.shape[1] != query.shape[1] or query.shape[1] != self.num_heads:
            raise ValueError(
                f'{name} has {query.shape[1]} heads of queries and {key.shape[1]} of '
                'keys: attention with grouped queries cannot be read'
            )
        biased = bias is not None and (bias.dtype == torch.bool or bias.shape[0] != 1)
        if key.shape != query.shape or prefix < 0 or is_causal or biased:
            raise ValueError(
                f'{name} does not attend from every token to every other: queries '
                f'{shape}, keys {tuple(key.shape)}, {shape[2] - prefix} patches'
            )


def library_config(name: str, pretrained: bool = False) -> dict[str, Any]:
    """Return the config of a ViT by timm's name of it, or its folder."""
    if Path(name).is_dir():
        return dict(type='mmattmask.HuggingFaceViT', folder=name)
    return dict(type='mmattmask.TimmViT', model_name=name, pretrained=pretrained)


def _heads(module: nn.Module) -> int | None:
    """Return the heads of an attention module; None of others."""
    return getattr(module, 'num_heads', getattr(module, 'num_attention_heads', None))


@MODELS.register_module()
class TimmViT(LibraryViT):
    """A ViT of timm: DINOv2, DINOv3, EVA-02, CLIP, SigLIP and others.

    Args:
        model_name: timm's name. With the tag of its weights (``'….openai'``) where
            those of one architecture are normalised in different ways.
        pretrained: Let timm fetch the weights. Else ``FrozenTeacher`` reads its
            ``checkpoint``, timm's file or one that timm converts.
        **kwargs: For ``timm.create_model``.

    Raises:
        ImportError: If timm is not installed.
        ValueError: If timm has no such ViT.
    """

    def __init__(
        self, model_name: str, pretrained: bool = False, **kwargs: Any
    ) -> None:
        import timm

        options = dict(num_classes=0, dynamic_img_size=True) | kwargs
        try:
            vit: Any = timm.create_model(model_name, pretrained, **options)
        except (RuntimeError, TypeError) as error:
            raise ValueError(f'timm has no ViT {model_name!r}: {error}') from error
        blocks = getattr(vit, 'blocks', nn.ModuleList())
        inside: list[Any] = list(blocks.modules())
        attentions = [module for module in inside if hasattr(module, 'fused_attn')]
        if not attentions or len(attentions) != len(blocks):
            raise ValueError(f'{model_name} is no ViT with one attention in each block')
        for module in attentions:
            module.fused_attn = True
        embedding = vit.patch_embed
        super().__init__(
            vit,
            vit.blocks,
            embedding.patch_size,
            embedding.img_size,
            _timm_normalisation(model_name, vit.pretrained_cfg if pretrained else None),
        )

    def load(self, checkpoint: Any, prefix: str | None = None) -> str:
        """Read weights, which timm's own code gives this model's names and sizes.

        ValueError if they do not fit.
        """
        state: Mapping[str, Tensor] = read_state_dict(checkpoint, prefix)
        module = inspect.getmodule(type(self.vit))
        convert = getattr(module, 'checkpoint_filter_fn', None)
        if convert is not None:
            try:
                state = convert(dict(state), self.vit)
            except (KeyError, AttributeError, RuntimeError) as error:
                raise ValueError(
                    f'{checkpoint} does not fit {type(self.vit).__name__}: {error!r}'
                ) from error
        _check_all_used(set(state) - set(self.vit.state_dict()), checkpoint)
        return load_matched(self.vit, state, checkpoint, UNREAD)


def _timm_normalisation(
    model_name: str, fetched: Mapping[str, Any] | None
) -> tuple[list[float], list[float]] | None:
    """Return mean and std of a name's weights; None if they have different ones."""
    from timm.models import get_arch_pretrained_cfgs

    known = get_arch_pretrained_cfgs(model_name)
    named = {k: v for k, v in known.items() if model_name in (k, k.split('.')[0])}
    found = {(tuple(config.mean), tuple(config.std)) for config in named.values()}
    if fetched is not None:
        found = {(tuple(fetched['mean']), tuple(fetched['std']))}
    if len(found) != 1:
        return None
    mean, std = found.pop()
    return [255 * value for value in mean], [255 * value for value in std]


@MODELS.register_module()
class HuggingFaceViT(LibraryViT):
    """A ViT of a local folder of Hugging Face: ViT, DINOv2, DINOv3, CLIP, SigLIP, ….

    Args:
        folder: With ``config.json``, ``model.safetensors`` (or ``pytorch_model.bin``)
            and, for the normalisation, ``preprocessor_config.json``. Of two towers the
            one for images is taken.

    Raises:
        ImportError: If transformers is not installed.
        FileNotFoundError: If there is no such folder.
        ValueError: If it holds no ViT.
    """

    def __init__(self, folder: str) -> None:
        from transformers import AutoConfig, AutoModel

        path = Path(folder).expanduser()
        if not (path / 'config.json').is_file():
            raise FileNotFoundError(f'there is no {path / "config.json"}')
        config = AutoConfig.from_pretrained(path, local_files_only=True)
        config = getattr(config, 'vision_config', config)
        try:
            vit = AutoModel.from_config(config, attn_implementation='sdpa').float()
        except ValueError as error:
            raise ValueError(f'{folder} holds no ViT: {error}') from error
        depth = getattr(config, 'num_hidden_layers', 0)
        lists: list[Any] = [m for m in vit.modules() if isinstance(m, nn.ModuleList)]
        blocks = next((found for found in lists if len(found) == depth), ())
        super().__init__(
            vit,
            blocks,
            getattr(config, 'patch_size', 0),
            getattr(config, 'image_size', 0),
            _hugging_face_normalisation(path),
        )
        self.folder = path
        resizes = (
            'interpolate_pos_encoding' in inspect.signature(vit.forward).parameters
        )
        self.options = dict(interpolate_pos_encoding=True) if resizes else {}

    def forward(self, images: Tensor) -> Any:
        """Run the network, see the base class."""
        return self.vit(images, **self.options)

    def load(self, checkpoint: Any = None, prefix: str | None = None) -> str:
        """Read the folder's weights, to which transformers gives this model's names.

        FileNotFoundError if there are none, ValueError if they do not fit.
        """
        files = sorted(self.folder.glob('model*.safetensors'))
        files = files or sorted(self.folder.glob('pytorch_model*.bin'))
        if not files:
            raise FileNotFoundError(
                f'there is no model.safetensors or pytorch_model.bin in {self.folder}'
            )
        state: dict[str, Tensor] = {}
        for file in files:
            state |= read_checkpoint(file)
        check_finite(state, self.folder)
        try:
            kind: Any = type(self.vit)
            named, info = kind.from_pretrained(
                None,
                config=self.vit.config,
                state_dict=state,
                output_loading_info=True,
                attn_implementation='sdpa',
            )
        except RuntimeError as error:  # other shapes
            raise ValueError(
                f'{self.folder} does not fit {type(self.vit).__name__}: {error}'
            ) from error
        _check_all_used(info['unexpected_keys'], self.folder)
        missing = set(info['missing_keys'])
        found = {n: v for n, v in named.state_dict().items() if n not in missing}
        return load_matched(self.vit, found, self.folder, UNREAD)


def _hugging_face_normalisation(
    folder: Path,
) -> tuple[list[float], list[float]] | None:
    """Return mean and std of a folder's image processor; None if it has none."""
    from transformers import AutoImageProcessor

    if not (folder / 'preprocessor_config.json').is_file():
        return None
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    if not getattr(processor, 'do_normalize', True):
        mean, std = [0.0] * 3, [1.0] * 3
    else:
        mean, std = list(processor.image_mean), list(processor.image_std)
    scale = processor.rescale_factor if getattr(processor, 'do_rescale', True) else 1
    return [value / scale for value in mean], [value / scale for value in std]


def _check_all_used(names: Collection[str], source: object) -> None:
    """Raise ValueError if weights of the encoder were left over."""
    left = [name for name in names if not any(re.search(p, name) for p in UNREAD)]
    if left:
        raise ValueError(
            f'{source} does not fit: the model has no place for {len(left)} of its '
            f'weights: {some(sorted(left))}'
        )
