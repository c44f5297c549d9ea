"""The pixels that a host predicts for masked patches."""

from mmpretrain.models import EVA, SimMIM
from torch import Tensor, nn

from mmattmask.masking import PatchPartition
from mmattmask.models import GuidedMAE, GuidedSimMIM
from mmattmask.models.guidance import guidance_of
from mmattmask.visualization.panels import patchify, unnormalize_patches, unpatchify

LEAKS = 'patch statistics from the image'  # they leak: the model knows less


def predict_pixels(
    host: nn.Module, inputs: Tensor, mask: Tensor, partition: PatchPartition | None
) -> tuple[Tensor | None, str]:
    """Let a host predict the masked patches.

    Args:
        host: The algorithm, unwrapped.
        inputs: Normalised whole images, (B, 3, H, W).
        mask: 1 = masked, (B, h, w) on the grid of the policy's cells.
        partition: Who is visible, masked or thrown of these cells; None where the
            policy gives a mask alone.

    Returns:
        Normalised images, (B, 3, H, W), of which only masked patches mean anything, or
        None if the host does not predict pixels; and what to know about them: that
        the scale of every patch leaks from the image (``norm_pix``), or why there are
        none.
    """
    if isinstance(host, GuidedMAE) and not isinstance(host, EVA):
        return _mae_pixels(host, inputs, partition)
    if isinstance(host, SimMIM):
        return _simmim_pixels(host, inputs, mask, partition), 'of masked patches'
    return None, f'{type(host).__name__} predicts no pixels'


def _mae_pixels(
    host: nn.Module, inputs: Tensor, partition: PatchPartition | None
) -> tuple[Tensor, str]:
    partition = host.guidance.spread(partition, inputs)
    latent, _, ids_restore, *_ = host.backbone(inputs, partition)  # MFF has more
    prediction = host.neck(latent, ids_restore, partition).float()
    grid = tuple(host.backbone.patch_resolution)
    note = 'of masked patches'
    if getattr(host.head, 'norm_pix', False):
        target = patchify(inputs.float(), grid)
        prediction = unnormalize_patches(prediction, target)
        note = LEAKS
    return unpatchify(prediction, grid, tuple(inputs.shape[-2:])), note


def _simmim_pixels(
    host: nn.Module, inputs: Tensor, mask: Tensor, partition: PatchPartition | None
) -> Tensor:
    """Mask tokens inside the cells, as GuidedSimMIM and the data preprocessor do."""
    guidance = guidance_of(host)
    given = guidance.spread_values(mask.flatten(1), inputs.shape[-2:])
    if partition is not None and isinstance(host, GuidedSimMIM):
        given = guidance.spread(partition, inputs)
    return host.neck(host.backbone(inputs, given)[0]).float()
