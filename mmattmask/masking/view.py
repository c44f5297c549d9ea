"""From a whole-image attention map to the score of an augmented view's patches."""

from typing import Literal, get_args

import torch
from torch import Tensor

from mmattmask.masking.options import check_options

CropMode = Literal['aligned', 'official']
CROP_MODES: tuple[CropMode, ...] = get_args(CropMode)


def view_score(
    attention_map: Tensor,
    crop_box: Tensor,
    image_size: Tensor,
    flip: Tensor,
    grid: tuple[int, int],
    crop_mode: CropMode = 'aligned',
    samples: int = 16,
) -> Tensor:
    """Crop, resize and flip attention maps (B, h, w) the way the images were.

    The map is interpolated bilinearly, edge values reaching to the image border, and
    averaged over each patch of the view: two small matrix products per image.

    Args:
        attention_map: Maps of the whole images, any grid and float type.
        crop_box: The view in its source image, (B, 4): top, left, height, width in px.
        image_size: Height and width of the source images in px, (B, 2).
        flip: Whether flipped after the crop: vertically, horizontally, (B, 2) bool.
        grid: Patches of the view, (h', w').
        crop_mode: ``'aligned'`` takes the map of the cropped region (the paper);
            ``'official'`` the top-left two or three cells, as the released code does.
        samples: Points per patch and axis that are averaged; with the patch size in px
            this is the released "resize, then sum each patch" by the patch area.

    Returns:
        (B, h' * w') in raster order and in the range of the map, at least float32.

    Raises:
        ValueError: If shapes do not fit or ``crop_mode`` is unknown.

    Source: AMT, section "Masking and Throwing"; guijiejie/AMT mae-AMT/amtdatasets.py.
    """
    if attention_map.ndim != 3:
        raise ValueError(
            f'attention_map must be (B, h, w), got {tuple(attention_map.shape)}'
        )
    batch_size, height, width = attention_map.shape
    geometry = dict(crop_box=(crop_box, 4), image_size=(image_size, 2), flip=(flip, 2))
    for name, (value, size) in geometry.items():
        if tuple(value.shape) != (batch_size, size):
            raise ValueError(
                f'{name} must be {(batch_size, size)}, got {tuple(value.shape)}'
            )

    check_options(crop_mode=(crop_mode, CROP_MODES))
    dtype = torch.float64 if attention_map.dtype == torch.float64 else torch.float32
    origin, extent = crop_box.to(dtype).split(2, dim=1)
    cells = torch.full_like(origin, width)  # no copy from the CPU, which would wait
    cells[:, 0].fill_(height)
    image_size = image_size.to(dtype)
    if crop_mode == 'aligned':
        start, length = origin / image_size * cells, extent / image_size * cells
        last = cells - 1
    else:
        # Differs from the paper: pixels divided by the image size instead of the cell
        # size leave only the corner, two cells plus one where the crop ends at the
        # image's far border.
        reaches_end = (origin + extent >= image_size).to(dtype)
        length = torch.minimum(2 + reaches_end, cells)
        start, last = torch.zeros_like(length), length - 1

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
    # above the lowest cell, so that a constant map stays exactly constant: who ranks
    # would take rounding for attention
    values = attention_map.to(dtype)
    lowest = values.amin(dim=(1, 2), keepdim=True)
    above = rows @ (values - lowest) @ columns.transpose(1, 2)
    return (above + lowest).flatten(1)


def view_labels(
    label_map: Tensor,
    crop_box: Tensor,
    image_size: Tensor,
    flip: Tensor,
    grid: tuple[int, int],
    samples: int = 8,
) -> Tensor:
    """Crop, resize and flip integer label maps (B, h, w) the way the images were.

    Of ``samples`` points per axis of a patch, the most frequent label is the patch's,
    the smallest of several. Arguments as for :func:`view_score`; (B, h' * w').

    Raises:
        ValueError: If the labels are no integers.
    """
    if label_map.ndim != 3 or label_map.is_floating_point():
        raise ValueError(
            f'label_map must be (B, h, w) integers, got {tuple(label_map.shape)} '
            f'{label_map.dtype}'
        )
    cells = label_map.shape[1:]
    rows, columns = (
        _axis_points(
            crop_box[:, axis] / image_size[:, axis] * cells[axis],
            crop_box[:, axis + 2] / image_size[:, axis] * cells[axis],
            flip[:, axis],
            grid[axis] * samples,
        )
        .long()
        .clamp(0, cells[axis] - 1)
        for axis in (0, 1)
    )
    images = torch.arange(len(label_map), device=label_map.device)[:, None, None]
    points = label_map[images, rows.unsqueeze(2), columns.unsqueeze(1)]
    points = points.unflatten(2, (-1, samples)).unflatten(1, (-1, samples))
    labels: Tensor = points.transpose(2, 3).flatten(3).mode(dim=3).values
    return labels.flatten(1)


def resample(attention_map: Tensor, grid: tuple[int, int], samples: int = 16) -> Tensor:
    """Bring maps (B, h, w) to another grid, (B, h' * w'), as :func:`view_score`."""
    batch_size = len(attention_map)
    whole = attention_map.new_zeros(batch_size, 4)
    whole[:, 2:].fill_(1.0)
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
    """Weights of the map's cells for each patch along one axis, (B, patches, cells).

    ``start`` and ``length`` of the view are in cells, ``last`` is the largest cell
    index that may be read, all (B,). Rows sum to 1.
    """
    points = _axis_points(start, length, flip, num_patches * samples) - 0.5
    points = torch.minimum(points, last[:, None]).clamp_min(0)
    cells = torch.arange(num_cells, dtype=start.dtype, device=start.device)
    weights = (1 - (points[:, :, None] - cells).abs()).clamp_min(0)
    return weights.reshape(-1, num_patches, samples, num_cells).mean(dim=2)


def _axis_points(start: Tensor, length: Tensor, flip: Tensor, number: int) -> Tensor:
    """Where points spread over a view lie along one axis of its map, (B, number)."""
    points = torch.arange(number, dtype=start.dtype, device=start.device)
    points = (points + 0.5) / number
    points = torch.where(flip[:, None], 1 - points, points)
    return start[:, None] + points * length[:, None]
