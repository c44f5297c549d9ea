"""Read the attention of a ViT while fused attention stays in use."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from mmpretrain.models.utils import BEiTAttention
from torch import Tensor, nn

from mmattmask.masking import cls_attention, received_attention
from mmattmask.masking.attention import full_precision

Attention = Literal['received', 'received_paper', 'received_probs', 'cls']
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)
# What changes attention behind the projection: None in a block and a ViT without it.
ADDED = ('rope', 'q_norm', 'rel_pos_bias', 'rel_pos_h', 'relative_position_bias_table')


class BlockReachedError(Exception):
    """Ends a forward pass that has shown what was wanted."""


def vit_of(backbone: nn.Module) -> Any:
    """Return a backbone, or the timm model that it wraps."""
    return getattr(backbone, 'timm_model', backbone)


def blocks_of(vit: nn.Module) -> Sequence[nn.Module]:
    """Return the blocks of an MMPretrain ViT or of a timm one in its wrapper."""
    name = 'blocks' if hasattr(vit, 'timm_model') else 'layers'
    blocks: Sequence[nn.Module] = getattr(vit_of(vit), name, ())
    return blocks


def num_prefix_tokens_of(vit: nn.Module) -> int:
    """Return how many tokens come before the patches."""
    timm, inner = hasattr(vit, 'timm_model'), vit_of(vit)
    return int(inner.num_prefix_tokens if timm else inner.num_extra_tokens)


def patch_size_of(vit: nn.Module) -> int:
    """Return the side in px of the patches that become a backbone's last tokens."""
    side = getattr(vit, 'patch_size', None)
    if isinstance(side, int):  # hierarchical backbones
        return side
    embedding = vit_of(vit).patch_embed
    projection = getattr(embedding, 'projection', None) or embedding.proj
    return int(projection.kernel_size[0])


def image_size_of(vit: nn.Module) -> tuple[int, int]:
    """Return the height and width in px of the images a backbone was built for."""
    size = getattr(vit, 'img_size', None)
    if size is None:  # Swin keeps it in its patch embedding
        size = vit_of(vit).patch_embed.init_input_size
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))


def grid_of(
    image_size: Sequence[int], side: int, what: str = 'patch size'
) -> tuple[int, int]:
    """Return the grid (h, w) of images (H, W), or raise ValueError if it has none."""
    height, width = image_size
    if height % side or width % side:
        raise ValueError(
            f'the {what} ({side}) does not divide the image size ({height} x {width})'
        )
    return height // side, width // side


class BlockAttention(NamedTuple):
    """What one block's attention is made of.

    Attributes:
        query: Of all tokens, (B, heads, N, D), as ``key``.
        cls_bias: What is added to the CLS token's logits, (heads, N), or None.
        scale: Factor on the logits; None is ``D ** -0.5``.
    """

    query: Tensor
    key: Tensor
    cls_bias: Tensor | None = None
    scale: float | None = None


def attention_to_patches(
    read: BlockAttention, num_prefix_tokens: int, attention: Attention
) -> Tensor:
    """Say how much attention each patch gets, (B, H, L), by a reading of FrozenTeacher.

    ValueError if attention with relative positions is to be summed.
    """
    query, key, cls_bias, scale = read
    if attention == 'cls':
        return cls_attention(query, key, num_prefix_tokens, scale, cls_bias)
    if cls_bias is not None:
        raise ValueError(
            f'attention={attention!r} cannot be read from a ViT with relative position '
            "bias: use attention='cls'"
        )
    others_only = attention == 'received_paper'
    return received_attention(
        query,
        key,
        num_prefix_tokens,
        scale,
        stage='probs' if attention == 'received_probs' else 'logits',
        include_prefix=not others_only,
        include_self=not others_only,
    )


@torch.compiler.disable
def read_block(
    vit: nn.Module,
    block: int,
    forward: Callable[[], object],
    stop: bool = False,
    head: int | None = None,
) -> BlockAttention:
    """Run a ViT by ``forward`` and return what one block's attention is made of.

    It is caught during the forward pass, so that same pass gathers sharded parameters
    (FSDP). The compiler does not see hooks: it leaves this pass to eager mode. ``stop``
    ends the pass when the block is reached: for models that nothing shards. ``head`` is
    the only one to read.

    Raises:
        ValueError: If the ViT has no such projection.
    """
    check_block(vit, block)
    attention: Any = blocks_of(vit)[block].attn
    heads = slice(None) if head is None else slice(head, head + 1)
    caught: list[BlockAttention] = []

    def catch(query: Tensor, key: Tensor, bias: Tensor | None = None) -> None:
        caught.append(BlockAttention(query, key, bias))
        if stop:
            raise BlockReachedError

    def before_projection(module: nn.Module, args: tuple) -> None:
        catch(*_project(attention, args[0], heads))

    def after_projection(module: nn.Module, args: object, output: Tensor) -> None:
        qkv = output.unflatten(-1, (3, attention.num_heads, -1))[..., heads, :]
        query, key, _ = qkv.transpose(1, 3).unbind(2)
        catch(query, key)

    def before_attention(module: nn.Module, args: tuple, kwargs: dict) -> None:
        bias = _bias(module, *args[1:], **kwargs)
        bias = None if bias is None else bias[heads]
        catch(*_project(module, args[0], heads), bias)

    if isinstance(attention, BEiTAttention):
        handle = attention.register_forward_pre_hook(before_attention, with_kwargs=True)
    elif stop:
        handle = attention.qkv.register_forward_pre_hook(before_projection)
    else:
        handle = attention.qkv.register_forward_hook(after_projection)
    try:
        forward()
    except BlockReachedError:
        pass
    finally:
        handle.remove()
    return caught[0]


def _project(attention: Any, x: Tensor, heads: slice) -> tuple[Tensor, Tensor]:
    """Return queries and keys of tokens (B, N, C), (B, H, N, D) each."""
    weight = attention.qkv.weight.unflatten(0, (3, attention.num_heads, -1))[:2, heads]
    bias = attention.qkv.bias
    if getattr(attention, 'bias', None) == 'qv_bias':  # BEiT's, without ``qkv.bias``
        no_bias = torch.zeros_like(attention.v_bias)
        bias = torch.cat([attention.q_bias, no_bias, attention.v_bias])
    if bias is not None:
        bias = bias.unflatten(0, (3, attention.num_heads, -1))[:2, heads].flatten()
    projected = nn.functional.linear(x, weight.flatten(0, 2), bias)
    query, key = projected.unflatten(-1, weight.shape[:3]).permute(2, 0, 3, 1, 4)
    return query, key


def _bias(
    attention: BEiTAttention, rel_pos_bias: Tensor | None = None
) -> Tensor | None:
    """Return the CLS row of the relative position biases, (heads, N), or None."""
    row = None if rel_pos_bias is None else rel_pos_bias[..., 0, :]
    if attention.relative_position_bias_table is not None:
        index = attention.relative_position_index[0]
        own = attention.relative_position_bias_table[index].transpose(0, 1)
        row = own if row is None else row + own
    return row


def read_cls_attention(
    vit: nn.Module,
    images: Tensor,
    block: int = -1,
    forward: Callable[[Tensor], object] | None = None,
    stop: bool = True,
    head: int | None = None,
) -> Tensor:
    """Run a ViT on whole images and return one block's CLS attention.

    ``forward`` runs it unmasked, through its distributed wrapper if it has one, to its
    end if not ``stop``. Returns (B, heads, L) after softmax, float32 under autocast
    too.

    Raises:
        ValueError: If the ViT has no such attention to read.
    """
    check_readable(vit, block)
    if forward is None:

        def forward(images: Tensor) -> object:
            return vit(images, None)

    read = read_block(vit, block, lambda: forward(images), stop, head)
    with full_precision(images):
        return cls_attention(
            read.query, read.key, num_prefix_tokens_of(vit), bias=read.cls_bias
        )


def check_readable(backbone: nn.Module, block: int = -1) -> None:
    """Raise ValueError unless :func:`read_cls_attention` can read the backbone."""
    if getattr(backbone, 'cls_token', None) is None:
        raise ValueError(
            f'{type(backbone).__name__} has no CLS token (cls_token), so there is no '
            'CLS attention to guide the masks'
        )
    check_block(backbone, block)


def check_block(vit: nn.Module, block: int) -> None:
    """Raise ValueError unless the block exists and has ``attn.qkv`` to read."""
    blocks = blocks_of(vit)
    if not -len(blocks) <= block < len(blocks):
        raise ValueError(f'block {block} does not exist in {len(blocks)} blocks')
    attention = getattr(blocks[block], 'attn', None)
    if not isinstance(getattr(attention, 'qkv', None), nn.Linear):
        raise ValueError(
            f'block {block} of {type(vit).__name__} has no attn.qkv projection to read'
        )
    if isinstance(attention, BEiTAttention):  # its bias is read, too
        return
    added = [
        name
        for name in ADDED
        for part in (attention, vit_of(vit))
        if not isinstance(getattr(part, name, None), nn.Identity | None)
    ]
    if added:
        raise ValueError(
            f'block {block} of {type(vit).__name__} does more to queries and keys than '
            f'project them ({added[0]}), which is not read: use mmattmask.TimmViT or '
            'mmattmask.HuggingFaceViT, whose libraries compute it'
        )
