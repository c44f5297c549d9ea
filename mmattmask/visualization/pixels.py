"""Between a model's numbers and pixels: normalising, pictures, predicted patches."""

from typing import Any

import numpy as np
import torch
from mmpretrain.models import MAEPretrainHead, SimMIM
from torch import Tensor

from mmattmask.evaluation.features import Normalisation
from mmattmask.masking import PatchPartition
from mmattmask.models import GuidedMAE, GuidedMAEHead, GuidedSimMIM
from mmattmask.models.guidance import guidance_of

LEAKS = 'patch statistics from the image'  # they leak: the model knows less


def normalise(images: np.ndarray, normalisation: Normalisation) -> Tensor:
    """Turn pixels of 0 to 255, (B, H, W, C), into an input, (B, C, H, W) float32."""
    pixels = torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)
    mean, std = _statistics(normalisation, pixels)
    return (_reversed(pixels, normalisation) - mean) / std


def to_rgb(
    inputs: Tensor, normalisation: Normalisation, like: Tensor | None = None
) -> np.ndarray:
    """Turn normalised (B, C, H, W) into pictures, (B, H, W, 3) uint8.

    One or two channels are shown as the grey of their mean; of more than three the
    first are red, green and blue. Values are shown from 0 to 255 if all of ``like``
    (``inputs`` unless said) lie there and not all in 0 to 1, else from its smallest to
    its largest.
    """
    mean, std = _statistics(normalisation, inputs)
    pixels = _reversed(inputs.float() * std + mean, normalisation)
    known = pixels if like is None else like.float() * std + mean
    low, high = (value.item() for value in known.aminmax())
    if low >= -0.5 and 1 < high < 255.5:
        low, high = 0.0, 255.0
    pixels = (pixels - low) * (255 / ((high - low) or 1.0))
    if pixels.shape[1] < 3:
        pixels = pixels.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    shown = pixels[:, :3].permute(0, 2, 3, 1).round().clamp(0, 255)
    return shown.byte().cpu().numpy()


def predict_pixels(
    host: Any, inputs: Tensor, decision: PatchPartition | Tensor
) -> tuple[Tensor | None, str]:
    """Let an unwrapped host predict masked patches of normalised images (B, C, H, W).

    Returns:
        Normalised images, of which only masked patches mean anything, or None; and what
        to know about them: that patch statistics leak, or why there are none.
    """
    if isinstance(host, GuidedMAE) and isinstance(host.head, MAEPretrainHead):
        return _mae_pixels(host, inputs, decision)
    if isinstance(host, SimMIM):
        guidance: Any = guidance_of(host)
        if isinstance(decision, PatchPartition) and isinstance(host, GuidedSimMIM):
            masked = guidance.spread(decision, inputs)
        else:
            mask = decision if isinstance(decision, Tensor) else decision.mask
            masked = guidance.spread_values(mask, inputs.shape[-2:])
        return host.neck(host.backbone(inputs, masked)[0]).float(), 'of masked patches'
    return None, f'{type(host).__name__} predicts no pixels'


def _mae_pixels(
    host: Any, inputs: Tensor, partition: PatchPartition | Tensor
) -> tuple[Tensor, str]:
    partition = host.guidance.spread(partition, inputs)
    latent, _, ids_restore, *_ = host.backbone(inputs, partition)  # MFF has more
    prediction = host.neck(latent, ids_restore, partition).float()
    note = 'of masked patches'
    if getattr(host.head, 'norm_pix', False):
        # MAEPretrainHead.construct_target of mmpretrain 1.2.0, reversed
        target = host.head.patchify(inputs.float())
        variance, mean = torch.var_mean(target, dim=-1, keepdim=True)
        prediction = prediction * (variance + 1e-6).sqrt() + mean
        note = LEAKS
    # the stock head, which a user's may be derived from, takes square images only
    grid = tuple(host.backbone.patch_resolution)
    return GuidedMAEHead.unpatchify(host.head, prediction, grid), note


def _statistics(normalisation: Normalisation, like: Tensor) -> tuple[Tensor, Tensor]:
    mean, std = (
        like.new_tensor(value, dtype=torch.float32).view(-1, 1, 1)
        for value in (normalisation.mean, normalisation.std)
    )
    return mean, std


def _reversed(pixels: Tensor, normalisation: Normalisation) -> Tensor:
    """Exchange RGB and BGR where a model takes the latter."""
    return pixels.flip(1) if pixels.shape[1] == 3 and not normalisation.rgb else pixels
