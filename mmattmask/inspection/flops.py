"""Tokens and FLOPs of encoder and decoder, compared with stock random masks.

torch counts the FLOPs (matrix products, convolutions, attention) of a forward pass on
the meta device. The loss, auxiliary heads and the backward pass are left out.
"""

from dataclasses import dataclass

import torch
from mmpretrain.models import BaseSelfSupervisor
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.masking import PatchBudget, partition_patches
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
    """Return the patches that are visible, masked and thrown; None where images differ.

    The policy is that of scored images unless said.
    """
    generator = generator or guidance.mask_generator
    if generator.variable_counts:
        return None
    height, width = guidance.policy_grid(image_size)
    cells = generator.budget(height * width)
    patches = guidance.factor**2
    counts = (cells.num_visible, cells.num_masked, cells.num_thrown)
    return PatchBudget(*(count * patches for count in counts))


def cost(model: BaseSelfSupervisor, budget: PatchBudget | None) -> Cost | None:
    """Return tokens and FLOPs of an algorithm on the meta device.

    None for encoders that do not take a partition.
    """
    backbone = model.backbone
    with_mask_tokens = isinstance(backbone, SimMIMViT)
    takes_partition = getattr(backbone, 'takes_partition', with_mask_tokens)
    if budget is None or not takes_partition:
        return None
    length = budget.num_patches
    num_visible = int(length * (1 - getattr(backbone, 'mask_ratio', 0.75)))
    stock = PatchBudget(num_visible, length - num_visible, 0)
    prefix = int(getattr(backbone, 'cls_token', None) is not None)
    decoded = prefix + budget.num_visible + budget.num_masked
    seen = decoded if with_mask_tokens else prefix + budget.num_visible
    has_decoder = isinstance(model.neck, GuidedMAEDecoder)
    scored = scorer_flops(model)
    return Cost(
        seen,
        decoded if has_decoder else None,
        step_flops(model, budget) + scored,
        step_flops(model, stock),
        scored,
    )


def step_flops(model: BaseSelfSupervisor, budget: PatchBudget) -> int:
    """Return the FLOPs of encoder and decoder for one image on the meta device."""
    order = torch.arange(budget.num_patches, device='meta')[None]
    partition = partition_patches(order, budget)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        latent, *rest = model.backbone(empty_image(model), partition)
        if isinstance(model.neck, GuidedMAEDecoder):
            model.neck(latent, rest[1], partition)
    return int(counter.get_total_flops())


def num_channels_of(backbone: nn.Module) -> int:
    """Return the channels of the images that a backbone takes."""
    weights = (p for p in backbone.parameters() if p.ndim == 4 and p.shape[2] > 1)
    return int(next(weights).shape[1])


def empty_image(model: BaseSelfSupervisor) -> Tensor:
    """Return an image that a model takes, on the meta device, (1, C, H, W)."""
    shape = num_channels_of(model.backbone), *image_size_of(model.backbone)
    return torch.empty(1, *shape, device='meta')


def scorer_flops(model: BaseSelfSupervisor) -> int:
    """Return the FLOPs of scoring one view, 0 where maps are looked up."""
    guidance = guidance_of(model)
    if guidance is None or (scorer := guidance.scorer) is None:
        return 0
    if scorer.cached or scorer.reads_geometry:
        return 0
    number = scorer.fewest_images(num_views=1)
    views = empty_image(model).expand(number, -1, -1, -1)
    grid = guidance.policy_grid(views.shape[-2:])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        scorer(views, None, grid, guidance.cell_size)
    return int(counter.get_total_flops()) // number


def computes_all_patches(model: BaseSelfSupervisor) -> bool:
    """Return whether masks do not change what is computed: mask tokens, none thrown."""
    return isinstance(model, IBOT) or isinstance(model.data_preprocessor, MaskRewriter)
