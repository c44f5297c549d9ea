"""GIFs over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmattmask.visualization.palette import PAPER


def write_gif(
    frames: Sequence[np.ndarray],
    path: str | Path,
    seconds: float = 0.8,
    last_seconds: float = 2.5,
) -> Path:
    """Write frames as an endless GIF.

    Frames of unequal size get paper at the right and below. A frame equal to the one
    before is not stored again but shown for longer.

    Args:
        frames: (H, W, 3) uint8 each.
        path: The file.
        seconds: How long a frame is shown.
        last_seconds: How long the last one is.

    Returns:
        The file.

    Raises:
        ValueError: If there is no frame, or a time is not positive.
    """
    if not frames or seconds <= 0 or last_seconds <= 0:
        raise ValueError(
            'a GIF needs at least one frame and positive times, got '
            f'{len(frames)} frames, {seconds} s and {last_seconds} s'
        )
    height, width = (max(frame.shape[axis] for frame in frames) for axis in (0, 1))
    film = Image.new('RGB', (width, height * len(frames)), PAPER)
    for number, frame in enumerate(frames):
        film.paste(Image.fromarray(frame), (0, number * height))
    # one palette for all: colours of its own for each frame would flicker
    film = film.quantize(256, dither=Image.Dither.NONE)
    tops = range(0, film.height, height)
    images = [film.crop((0, top, width, top + height)) for top in tops]
    times = [round(1000 * seconds)] * (len(images) - 1) + [round(1000 * last_seconds)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    options: Any = dict(save_all=True, append_images=images[1:], duration=times, loop=0)
    images[0].save(path, optimize=False, **options)
    return path
