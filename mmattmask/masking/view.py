"""From a whole-image attention map to the score of an augmented view's patches."""

from typing import Literal

import torch
from torch import Tensor

CropMode = Literal['aligned', 'official']
CROP_MODES: tuple[CropMode, ...] = ('aligned', 'official')


def view_score(
    attention_map: Tensor,
    crop_box: Tensor,
    image_size: Tensor,
    flip: Tensor,
    grid: tuple[int, int],
    crop_mode: CropMode = 'aligned',
    samples: int = 16,
) -> Tensor:
    """Crop, resize and flip attention maps the way the images were.

    The map is interpolated bilinearly, edge values reaching to the image border, and
    averaged over each patch of the view. Rows and columns are independent, so this is
    two small matrix products per image, for the whole batch at once.

    Args:
        attention_map: Maps of the whole images, (B, h, w), any grid and float type.
        crop_box: The view in its source image, (B, 4): top, left, height, width in px.
        image_size: Height and width of the source images in px, (B, 2).
        flip: Whether the view was flipped after the crop: vertically, horizontally,
            (B, 2) bool.
        grid: Patches of the view, (h', w').
        crop_mode: ``'aligned'`` takes the map of the cropped region (the paper);
            ``'official'`` reproduces the released code, which takes the top-left two
            or three cells whatever the crop is.
        samples: Points per patch and axis that are averaged; with the patch size in px
            this is the released "resize to the input size, then sum each patch",
            divided by the patch area.

    Returns:
        Score of the view's patches in raster order, (B, h' * w'), float32 (float64 for
        float64 maps), in the range of the map.

    Raises:
        ValueError: If shapes do not fit or ``crop_mode`` is unknown.

    Source: AMT, section "Masking and Throwing"; guijiejie/AMT mae-AMT/amtdatasets.py.
    """
    if attention_map.ndim != 3:
        raise ValueError(
            f'attention_map must be (B, h, w), got {tuple(attention_map.shape)}'
        )
    batch_size, height, width = attention_map.shape
    expected = {'crop_box': (batch_size, 4), 'image_size': (batch_size, 2)}
    for name, value in (('crop_box', crop_box), ('image_size', image_size)):
        if tuple(value.shape) != expected[name]:
            raise ValueError(
                f'{name} must be {expected[name]}, got {tuple(value.shape)}'
            )
    if tuple(flip.shape) != (batch_size, 2):
        raise ValueError(f'flip must be {(batch_size, 2)}, got {tuple(flip.shape)}')

    dtype = torch.float64 if attention_map.dtype == torch.float64 else torch.float32
    cells = torch.tensor([height, width], dtype=dtype, device=attention_map.device)
    origin, extent = crop_box.to(dtype).split(2, dim=1)
    image_size = image_size.to(dtype)
    if crop_mode == 'aligned':
        start, length = origin / image_size * cells, extent / image_size * cells
        last = (cells - 1).expand(batch_size, 2)
    elif crop_mode == 'official':
        # Differs from the paper: pixels divided by the image size instead of the cell
        # size leave only the corner, two cells plus one where the crop ends at the
        # image's far border.
        reaches_end = (origin + extent >= image_size).to(dtype)
        length = torch.minimum(2 + reaches_end, cells)
        start, last = torch.zeros_like(length), length - 1
    else:
        raise ValueError(f'crop_mode must be one of {CROP_MODES}, got {crop_mode!r}')

    rows, columns = (
        _axis_weights(
            start[:, axis],
            length[:, axis],
            last[:, axis],
            flip[:, axis],
            num_cells,
            num_patches,
            samples,
        )
        for axis, (num_cells, num_patches) in enumerate(
            zip((height, width), grid, strict=True)
        )
    )
    return (rows @ attention_map.to(dtype) @ columns.transpose(1, 2)).flatten(1)


def resample(attention_map: Tensor, grid: tuple[int, int], samples: int = 16) -> Tensor:
    """Bring maps to another grid: interpolated bilinearly, averaged over each patch.

    Args:
        attention_map: Maps, (B, h, w), any grid and float type.
        grid: Patches wanted, (h', w').
        samples: Points per patch and axis that are averaged.

    Returns:
        Score in raster order, (B, h' * w'), float32 (float64 for float64 maps).
    """
    batch_size = len(attention_map)
    whole = attention_map.new_tensor([[0.0, 0.0, 1.0, 1.0]]).expand(batch_size, -1)
    flip = torch.zeros(batch_size, 2, dtype=torch.bool, device=attention_map.device)
    return view_score(attention_map, whole, whole[:, 2:], flip, grid, samples=samples)


def _axis_weights(
    start: Tensor,
    length: Tensor,
    last: Tensor,
    flip: Tensor,
    num_cells: int,
    num_patches: int,
    samples: int,
) -> Tensor:
    """Weights of the map's cells for each patch along one axis.

    Args:
        start: Where the view begins, in cells, (B,).
        length: Its extent in cells, (B,).
        last: Largest cell index that may be read, (B,).
        flip: Whether the axis is reversed, (B,) bool.
        num_cells: Cells of the map along the axis.
        num_patches: Patches of the view along the axis.
        samples: Points averaged per patch.

    Returns:
        (B, num_patches, num_cells), rows sum to 1.
    """
    points = torch.arange(num_patches * samples, dtype=start.dtype, device=start.device)
    points = (points + 0.5) / (num_patches * samples)
    points = torch.where(flip[:, None], 1 - points, points)
    points = start[:, None] + points * length[:, None] - 0.5
    points = torch.minimum(points, last[:, None]).clamp_min(0)
    cells = torch.arange(num_cells, dtype=start.dtype, device=start.device)
    weights = (1 - (points[:, :, None] - cells).abs()).clamp_min(0)
    return weights.reshape(-1, num_patches, samples, num_cells).mean(dim=2)
