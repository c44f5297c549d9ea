"""The pixels that a host predicts for masked patches."""

from mmpretrain.models import MAE, SimMIM
from torch import Tensor, nn

from mmattmask.masking import PatchPartition, expand_mask, expand_partition
from mmattmask.models.guided import GuidedHost
from mmattmask.scorers.self_attention import patch_size_of
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
    if isinstance(host, MAE) and isinstance(host, GuidedHost):
        return _mae_pixels(host, inputs, partition)
    if isinstance(host, SimMIM):
        return _simmim_pixels(host, inputs, mask, partition), 'of masked patches'
    return None, f'{type(host).__name__} predicts no pixels'


def _mae_pixels(
    host: nn.Module, inputs: Tensor, partition: PatchPartition | None
) -> tuple[Tensor, str]:
    with host.use_partition(partition):
        latent, _, ids_restore, *_ = host.backbone(inputs)  # MFF has more
        prediction = host.neck(latent, ids_restore).float()
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
    grid = (mask.shape[1], mask.shape[2])
    factor = inputs.shape[2] // grid[0] // _token_size(host)
    tokens = expand_mask(mask.flatten(1), grid, factor)
    if not isinstance(host, GuidedHost):
        return host.neck(host.backbone(inputs, tokens)[0]).float()
    spread = None if partition is None else expand_partition(partition, grid, factor)
    with host.use_partition(spread):
        return host.neck(host.backbone(inputs, tokens)[0]).float()


def _token_size(host: nn.Module) -> int:
    """Side in px of the tokens that a SimMIM's backbone masks."""
    size = getattr(host.data_preprocessor, 'token_size', None)
    return int(size or patch_size_of(host.backbone))
