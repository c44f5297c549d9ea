"""Read the attention of a stock ViT while fused attention stays in use."""

import torch
from torch import Tensor, nn

from mmattmask.masking import cls_attention


def read_cls_attention(backbone: nn.Module, images: Tensor, block: int = -1) -> Tensor:
    """Run a ViT on whole images and return one block's CLS attention.

    The output of the block's ``qkv`` projection is caught during the ordinary forward
    pass and the CLS row recomputed from it, in float32 under autocast too. Sharded
    parameters (FSDP) are gathered by that same pass.

    Args:
        backbone: An MMPretrain ViT with a CLS token whose blocks have ``attn.qkv``.
        images: Normalised images, (B, 3, H, W).
        block: The block to read. Defaults to the last.

    Returns:
        Attention of the CLS token to the patches after softmax, (B, heads, L) float32.

    Raises:
        ValueError: If the backbone has no such attention to read.
    """
    check_readable(backbone, block)
    attention = backbone.layers[block].attn
    caught: list[Tensor] = []
    handle = attention.qkv.register_forward_hook(
        lambda module, args, output: caught.append(output)
    )
    try:
        backbone(images, mask=None)  # mask=False would mask: MAEViT tests for None
    finally:
        handle.remove()
    query, key, _ = caught[0].unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    with torch.autocast(images.device.type, enabled=False):
        return cls_attention(
            query[:, :1].transpose(1, 2),
            key.transpose(1, 2),
            backbone.num_extra_tokens,
        )


def check_readable(backbone: nn.Module, block: int = -1) -> None:
    """Raise ValueError unless :func:`read_cls_attention` can read the backbone."""
    name = type(backbone).__name__
    if getattr(backbone, 'cls_token', None) is None:
        raise ValueError(
            f'{name} has no CLS token (cls_token), so there is no CLS attention to '
            'guide the masks'
        )
    layers = backbone.layers
    if not -len(layers) <= block < len(layers):
        raise ValueError(f'block {block} does not exist in {len(layers)} blocks')
    attention = getattr(layers[block], 'attn', None)
    if not isinstance(getattr(attention, 'qkv', None), nn.Linear):
        raise ValueError(f'block {block} of {name} has no attn.qkv projection to read')
