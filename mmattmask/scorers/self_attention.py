"""Read the attention of a ViT while fused attention stays in use."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from mmattmask.masking import cls_attention, received_attention

Attention = Literal['received', 'received_paper', 'received_probs', 'cls']
ATTENTIONS: tuple[Attention, ...] = (
    'received',
    'received_paper',
    'received_probs',
    'cls',
)


class _BlockReachedError(Exception):
    """Ends a forward pass that has shown what was wanted."""


def blocks_of(vit: nn.Module) -> nn.ModuleList:
    """Return the blocks of an MMPretrain ViT or of a timm one in its wrapper."""
    return vit.timm_model.blocks if hasattr(vit, 'timm_model') else vit.layers


def num_prefix_tokens_of(vit: nn.Module) -> int:
    """Return how many tokens come before the patches."""
    if hasattr(vit, 'timm_model'):
        return int(vit.timm_model.num_prefix_tokens)
    return int(vit.num_extra_tokens)


def patch_size_of(vit: nn.Module) -> int:
    """Return the side of a ViT's patches in px."""
    embedding = getattr(vit, 'timm_model', vit).patch_embed
    projection = getattr(embedding, 'projection', None) or embedding.proj
    return int(projection.kernel_size[0])


def attention_to_patches(
    query: Tensor, key: Tensor, num_prefix_tokens: int, attention: Attention
) -> Tensor:
    """Say how much attention each patch gets, by one of the readings of FrozenTeacher.

    Args:
        query: Queries of all tokens, (B, H, N, D), prefix tokens first.
        key: Keys of all tokens, (B, H, N, D).
        num_prefix_tokens: CLS and other tokens that are not patches.
        attention: The reading, see ``FrozenTeacher``.

    Returns:
        (B, H, L) float32 (float64 for float64 input).
    """
    if attention == 'cls':
        return cls_attention(query, key, num_prefix_tokens)
    others_only = attention == 'received_paper'
    return received_attention(
        query,
        key,
        num_prefix_tokens,
        stage='probs' if attention == 'received_probs' else 'logits',
        include_prefix=not others_only,
        include_self=not others_only,
    )


def read_query_key(
    vit: nn.Module, block: int, forward: Callable[[], object], stop: bool = False
) -> tuple[Tensor, Tensor]:
    """Run a ViT and return the queries and keys of one block.

    The output of the block's ``qkv`` projection is caught during the forward pass.
    Sharded parameters (FSDP) are gathered by that same pass.

    Args:
        vit: The ViT.
        block: The block to read.
        forward: Runs the ViT.
        stop: End the pass when the block is reached: for models that nothing wraps.

    Returns:
        Queries and keys of all tokens, (B, heads, N, D) each.

    Raises:
        ValueError: If the ViT has no such projection.
    """
    check_block(vit, block)
    attention = blocks_of(vit)[block].attn
    caught: list[Tensor] = []

    def catch(module: nn.Module, args: object, output: Tensor) -> None:
        caught.append(output)
        if stop:
            raise _BlockReachedError

    handle = attention.qkv.register_forward_hook(catch)
    try:
        forward()
    except _BlockReachedError:
        pass
    finally:
        handle.remove()
    query, key, _ = caught[0].unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    return query.transpose(1, 2), key.transpose(1, 2)


def read_cls_attention(backbone: nn.Module, images: Tensor, block: int = -1) -> Tensor:
    """Run a ViT on whole images and return one block's CLS attention.

    Args:
        backbone: A ViT of a host, which runs unmasked with ``mask=None``; with a CLS
            token, and blocks that have ``attn.qkv``.
        images: Normalised images, (B, 3, H, W).
        block: The block to read. Defaults to the last.

    Returns:
        Attention of the CLS token to the patches after softmax, (B, heads, L), float32
        under autocast too.

    Raises:
        ValueError: If the backbone has no such attention to read.
    """
    check_readable(backbone, block)
    # mask=False would mask: MAEViT tests for None
    query, key = read_query_key(backbone, block, lambda: backbone(images, mask=None))
    with torch.autocast(images.device.type, enabled=False):
        return cls_attention(query, key, num_prefix_tokens_of(backbone))


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
