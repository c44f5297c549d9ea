"""Single panels: what the score says, who is visible, what comes back.

Every function takes an image of any size and a grid (h, w) of any shape, and returns a
uint8 RGB array of the image's size.
"""

from enum import IntEnum

import numpy as np
import torch
from torch import Tensor

from mmattmask.masking import PatchPartition
from mmattmask.visualization.palette import MASKED, colorize, hatch

OVERLAY = 0.68  # share of the attention's colour; the rest is the grey image, darkened
DARKENED = 0.75
BORDER = 0.82  # lines between hidden patches are this much darker than the patches


class Membership(IntEnum):
    """The set a patch belongs to."""

    VISIBLE = 0
    MASKED = 1
    THROWN = 2


def membership(partition: PatchPartition, grid: tuple[int, int]) -> np.ndarray:
    """Return every patch's :class:`Membership`.

    Args:
        partition: Of B images with h * w patches each.
        grid: Patches of an image, (h, w).

    Returns:
        (B, h, w) uint8.
    """
    sets = torch.full_like(partition.ids_restore, Membership.VISIBLE)
    sets = sets.masked_fill(partition.mask.bool(), Membership.MASKED)
    sets = sets.masked_fill(partition.thrown, Membership.THROWN)
    array: np.ndarray = sets.cpu().numpy().astype(np.uint8).reshape(-1, *grid)
    return array


def draw_attention(
    image: np.ndarray, attention_map: np.ndarray, overlay: float = OVERLAY
) -> np.ndarray:
    """Lay an attention map over the grey image.

    Args:
        image: (H, W, 3) uint8.
        attention_map: (h, w), large = attended, any scale; the colours go from its
            smallest to its largest value. A constant map gets the lowest colour.
        overlay: Opacity of the colours, in [0, 1].
    """
    values = np.asarray(attention_map, dtype=np.float64)
    values = values - values.min()
    values = values / values.max() if values.max() > 0 else values
    colors = colorize(spread(values, image.shape[:2])).astype(np.float64)
    grey = image.astype(np.float64) @ (0.299, 0.587, 0.114) * DARKENED
    mixed = overlay * colors + (1 - overlay) * grey[..., None]
    return np.rint(mixed).astype(np.uint8)


def draw_partition(image: np.ndarray, sets: np.ndarray) -> np.ndarray:
    """Show visible patches as they are, masked ones flat, thrown ones dark and hatched.

    Args:
        image: (H, W, 3) uint8.
        sets: Each patch's :class:`Membership`, (h, w).
    """
    flat = np.empty_like(image)
    flat[:] = MASKED
    lines = patch_borders(sets.shape, image.shape[:2])
    flat[lines] = np.rint(flat[lines] * BORDER)
    return _compose(sets, image, flat)


def draw_reconstruction(
    image: np.ndarray, prediction: np.ndarray, sets: np.ndarray
) -> np.ndarray:
    """Show what the decoder predicts beside what the encoder saw.

    Visible patches are pasted from the image (the model is not asked for them), thrown
    ones were never predicted and look as in :func:`draw_partition`.

    Args:
        image: (H, W, 3) uint8.
        prediction: The predicted pixels, (H, W, 3) uint8; see
            :func:`unnormalize_patches` and :func:`unpatchify`.
        sets: Each patch's :class:`Membership`, (h, w).
    """
    return _compose(sets, image, prediction)


def unnormalize_patches(prediction: Tensor, target: Tensor) -> Tensor:
    """Undo ``norm_pix``: give patches the mean and variance of the true ones.

    These statistics come from the image, not from the model: a picture made with them
    shows more than the model knows and should say so.

    Args:
        prediction: Patches normalised to mean 0 and variance 1, (B, L, pixels).
        target: The same patches of the image, (B, L, pixels).

    Returns:
        Patches in the scale of ``target``, (B, L, pixels).

    Source: MAEPretrainHead.construct_target of mmpretrain 1.2.0, reversed.
    """
    mean = target.mean(dim=-1, keepdim=True)
    variance = target.var(dim=-1, keepdim=True)
    return prediction * (variance + 1e-6).sqrt() + mean


def patchify(images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Cut images (B, C, H, W) into patches (B, L, pixels), channels last in a patch."""
    height, width = images.shape[-2] // grid[0], images.shape[-1] // grid[1]
    patches = images.unflatten(3, (grid[1], width)).unflatten(2, (grid[0], height))
    return patches.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Join patches (B, L, pixels) to images (B, C, H, W); the reverse of patchify.

    Args:
        patches: In raster order, channels last inside a patch.
        grid: Patches of an image, (h, w).
        size: Height and width of an image in px.
    """
    height, width = size[0] // grid[0], size[1] // grid[1]
    patches = patches.reshape(len(patches), *grid, height, width, -1)
    return patches.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)


def to_rgb(images: Tensor, mean: Tensor, std: Tensor) -> np.ndarray:
    """Undo the data preprocessor: (B, 3, H, W) floats to (B, H, W, 3) uint8.

    Args:
        images: Normalised images in RGB.
        mean: Of the channels, (3, 1, 1), in [0, 255].
        std: Of the channels, (3, 1, 1).
    """
    pixels = (images.float() * std + mean).round().clamp(0, 255)
    array: np.ndarray = pixels.permute(0, 2, 3, 1).byte().cpu().numpy()
    return array


def spread(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Repeat a grid's values (h, w, ...) over the pixels (H, W, ...) they stand for."""
    rows = np.arange(size[0]) * values.shape[0] // size[0]
    columns = np.arange(size[1]) * values.shape[1] // size[1]
    return values[rows[:, None], columns[None, :]]


def patch_borders(grid: tuple[int, ...], size: tuple[int, ...]) -> np.ndarray:
    """Return the first row and column of pixels of every patch, (H, W) bool.

    Nothing where patches are too small (under 8 px) for lines.
    """
    borders = np.zeros(size, dtype=bool)
    if min(size[0] // grid[0], size[1] // grid[1]) < 8:
        return borders
    for axis in (0, 1):
        ids = np.arange(size[axis]) * grid[axis] // size[axis]
        first = np.diff(ids, prepend=ids[:1]) > 0
        borders |= first[:, None] if axis == 0 else first[None, :]
    return borders


def _compose(sets: np.ndarray, image: np.ndarray, masked: np.ndarray) -> np.ndarray:
    """Take visible pixels from the image and the others from elsewhere."""
    sets = spread(sets, image.shape[:2])[..., None]
    shown = np.where(sets == Membership.MASKED, masked, image)
    return np.where(sets == Membership.THROWN, hatch(*image.shape[:2]), shown)
