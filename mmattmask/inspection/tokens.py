"""Tokens and FLOPs of encoder and decoder, compared with stock random masks.

FLOPs of a block of N tokens: 2 N P + 4 N² D, where P counts the weights of its linear
layers and D is the width of its queries. Norms, activations, biases and the loss are
left out; so are auxiliary heads and the backward pass. What a scorer runs on every view
is counted by torch.
"""

from dataclasses import dataclass

import torch
from mmpretrain.models import MAEViT
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.masking import PatchBudget
from mmattmask.models import GuidedMAEDecoder, SimMIMViT
from mmattmask.models.data_preprocessor import MaskRewriter
from mmattmask.models.guidance import Guidance, guidance_of
from mmattmask.models.ibot import IBOT
from mmattmask.scorers.self_attention import image_size_of


@dataclass(frozen=True)
class Cost:
    """What encoder and decoder compute for one image.

    Attributes:
        encoder_tokens: Tokens in the encoder's blocks, CLS included.
        decoder_tokens: Tokens in the decoder's blocks; None without such a decoder.
        flops: A multiplication and an addition are two.
        scorer_flops: Of them, what the scorer runs on every view.
        stock_flops: The same with the stock host's random masks.
    """

    encoder_tokens: int
    decoder_tokens: int | None
    flops: int
    stock_flops: int
    scorer_flops: int = 0

    @property
    def relative(self) -> float:
        """FLOPs as a share of the stock host's."""
        return self.flops / self.stock_flops


def patch_budget(
    guidance: Guidance,
    image_size: tuple[int, int],
    generator: BaseMaskGenerator | None = None,
) -> PatchBudget | None:
    """Return the patches that are visible, masked and thrown.

    Args:
        guidance: Who decides; its cells may hold several patches.
        image_size: Height and width in px.
        generator: The policy. Defaults to that of scored images.

    Returns:
        The counts; None without a policy or where images differ.
    """
    generator = generator or guidance.mask_generator
    if generator is None or generator.variable_counts:
        return None
    height, width = guidance.policy_grid(image_size)
    cells = generator.budget(height * width)
    patches = guidance.factor**2
    counts = (cells.num_visible, cells.num_masked, cells.num_thrown)
    return PatchBudget(*(count * patches for count in counts))


def cost(model: nn.Module, budget: PatchBudget | None) -> Cost | None:
    """Return tokens and FLOPs of an algorithm.

    Args:
        model: The algorithm, possibly on the meta device.
        budget: Its patches.

    Returns:
        None for encoders that the formula does not describe (convolutions, windows).
    """
    backbone = model.backbone
    if budget is None or not isinstance(backbone, MAEViT | SimMIMViT):
        return None
    prefix = int(getattr(backbone, 'cls_token', None) is not None)
    length = budget.num_patches
    if isinstance(backbone, SimMIMViT):  # mask tokens go through the encoder
        seen = budget.num_visible + budget.num_masked
        stock_seen = length
    else:
        seen = budget.num_visible
        stock_seen = int(length * (1 - backbone.mask_ratio))
    embedding = 2 * length * backbone.patch_embed.projection.weight.numel()
    now, stock = (
        embedding + blocks_flops(backbone.layers, prefix + tokens)
        for tokens in (seen, stock_seen)
    )
    decoder = model.neck if isinstance(model.neck, GuidedMAEDecoder) else None
    scored = scorer_flops(model)
    now += scored
    if decoder is None:
        return Cost(prefix + seen, None, now, stock, scored)
    decoded = prefix + budget.num_visible + budget.num_masked
    now += decoder_flops(decoder, prefix + seen, decoded)
    stock += decoder_flops(decoder, prefix + stock_seen, prefix + length)
    return Cost(prefix + seen, decoded, now, stock, scored)


def scorer_flops(model: nn.Module) -> int:
    """Return the FLOPs of scoring one view, 0 where maps are looked up.

    Args:
        model: The algorithm, on the meta device; elsewhere the scorer is run.
    """
    guidance = guidance_of(model)
    scorer = None if guidance is None else guidance.scorer
    if scorer is None or scorer.cached or scorer.reads_geometry:
        return 0
    backbone = model.backbone
    weight = backbone.patch_embed.projection.weight
    size = image_size_of(backbone)
    view = weight.new_empty(1, weight.shape[1], *size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        scorer(view, None, guidance.policy_grid(size), guidance.cell_size)
    return int(counter.get_total_flops())


def computes_all_patches(model: nn.Module) -> bool:
    """Return whether masks do not change what is computed: mask tokens, none thrown."""
    return isinstance(model, IBOT) or isinstance(model.data_preprocessor, MaskRewriter)


def blocks_flops(blocks: nn.ModuleList, num_tokens: int) -> int:
    """Return the FLOPs of transformer blocks, by the formula above."""
    total = 0
    for block in blocks:
        linear = [m for m in block.modules() if isinstance(m, nn.Linear)]
        weights = sum(module.weight.numel() for module in linear)
        width = block.attn.qkv.weight.shape[0] // 3
        total += 2 * num_tokens * weights + 4 * num_tokens**2 * width
    return total


def decoder_flops(decoder: nn.Module, num_encoded: int, num_decoded: int) -> int:
    """Return the FLOPs of an MAE decoder.

    Args:
        decoder: With ``decoder_embed``, ``decoder_blocks`` and ``decoder_pred``.
        num_encoded: Tokens that come from the encoder.
        num_decoded: Tokens that it decodes.
    """
    embedding = 2 * num_encoded * decoder.decoder_embed.weight.numel()
    prediction = 2 * num_decoded * decoder.decoder_pred.weight.numel()
    blocks = blocks_flops(decoder.decoder_blocks, num_decoded)
    return embedding + blocks + prediction
