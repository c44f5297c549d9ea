"""RandomResizedCrop of a batch at once: boxes, and pixels as Pillow's."""

import math

import torch
from torch import Tensor

# of Pillow's filters, in px of the smaller image
RADIUS = {'bilinear': 1.0, 'bicubic': 2.0}


def draw_boxes(
    number: int,
    size: tuple[int, int],
    area_range: tuple[float, float],
    aspect_range: tuple[float, float],
    attempts: int = 10,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Draw crops by the law of MMPretrain's and torchvision's RandomResizedCrop.

    Returns top, left, height and width in px, (number, 4) int64 on the CPU. Where all
    ``attempts`` miss the image of ``size`` (h, w) the crop is a central one.
    """
    height, width = size
    shape = (4, number, attempts)
    area, aspect, *place = torch.rand(shape, generator=generator, dtype=torch.float64)
    area = height * width * (area_range[0] + (area_range[1] - area_range[0]) * area)
    low, high = map(math.log, aspect_range)
    aspect = (low + (high - low) * aspect).exp()
    extent = (area / aspect).sqrt().round(), (area * aspect).sqrt().round()
    fits = torch.ones(number, attempts, dtype=torch.bool)
    origin = []
    for side, length, draw in zip(size, extent, place, strict=True):
        fits &= (length > 0) & (length <= side)
        origin.append((draw * (side - length + 1)).floor())
    boxes = torch.stack([*origin, *extent], dim=-1).long()
    first = fits.to(torch.uint8).argmax(dim=1)
    boxes = boxes[torch.arange(number), first]
    central = torch.tensor(_central_box(size, aspect_range))
    return torch.where(fits.any(dim=1, keepdim=True), boxes, central)


def _central_box(
    size: tuple[int, int], aspect_range: tuple[float, float]
) -> tuple[int, int, int, int]:
    """Return the largest box in the middle whose shape is within the range."""
    height, width = size
    if width / height < min(aspect_range):
        height = round(width / min(aspect_range))
    elif width / height > max(aspect_range):
        width = round(height * max(aspect_range))
    return (size[0] - height) // 2, (size[1] - width) // 2, height, width


def crop_resized(
    images: Tensor,
    boxes: Tensor,
    flip: Tensor,
    size: tuple[int, int],
    interpolation: str = 'bicubic',
) -> Tensor:
    """Crop every image, resize it and maybe flip it, as Pillow within 2 of 255 levels.

    Images (B, C, H, W) uint8 and boxes (B, 4) of :func:`draw_boxes`; ``flip``, (B,)
    bool, exchanges left and right. Returns (B, C, *size) uint8.
    """
    radius = RADIUS[interpolation]
    top, left, height, width = boxes.float().unbind(dim=1)
    rows = _weights(top, height, images.shape[-2], size[0], radius)
    columns = _weights(left, width, images.shape[-1], size[1], radius)
    columns = torch.where(flip[:, None, None], columns.flip(1), columns)
    # Pillow rounds in between, too
    wide = images.float().flatten(1, 2) @ columns.transpose(1, 2)
    wide = _rounded(wide).unflatten(1, images.shape[1:3])
    return _rounded(rows[:, None] @ wide).to(torch.uint8)


def _rounded(values: Tensor) -> Tensor:
    return (values + 0.5).floor().clamp(0, 255)


def _weights(
    start: Tensor, length: Tensor, size: int, target: int, radius: float
) -> Tensor:
    """Return what px of an axis count in each of a view, (B, target, size)."""
    start, length = start[:, None, None], length[:, None, None]
    scale = length / target
    steps = torch.arange(target, device=start.device)[None, :, None]
    centre = start + (steps + 0.5) * scale
    pixels = torch.arange(size, device=start.device)
    distance = ((pixels + 0.5 - centre) / scale.clamp(min=1)).abs()
    weights = _cubic(distance) if radius > 1 else (1 - distance).clamp(min=0)
    inside = (pixels >= start) & (pixels < start + length)
    weights = weights * inside
    return weights / weights.sum(dim=-1, keepdim=True)


def _cubic(distance: Tensor, a: float = -0.5) -> Tensor:
    """Return Keys' cubic kernel at distances >= 0; 0 from 2 on."""
    near = ((a + 2) * distance - (a + 3)) * distance.square() + 1
    far = (((distance - 5) * distance + 8) * distance - 4) * a
    return torch.where(distance < 1, near, far * (distance < 2))
