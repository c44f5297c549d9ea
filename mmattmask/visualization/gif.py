"""GIFs over time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmattmask.visualization.panels import PAPER

MILLISECONDS, OF_THE_LAST = 800, 2500  # how long frames are shown


def write_gif(frames: Sequence[np.ndarray], path: str | Path) -> Path:
    """Write frames as an endless GIF and return its path.

    Frames of unequal size get paper at the right and below. A frame equal to the one
    before is not stored again but shown for longer.

    Args:
        frames: (H, W, 3) uint8 each, at least one.
        path: The file.
    """
    height, width = (max(frame.shape[axis] for frame in frames) for axis in (0, 1))
    film = Image.new('RGB', (width, height * len(frames)), PAPER)
    for number, frame in enumerate(frames):
        film.paste(Image.fromarray(frame), (0, number * height))
    # one palette for all: colours of its own for each frame would flicker
    film = film.quantize(256, dither=Image.Dither.NONE)
    tops = range(0, film.height, height)
    images = [film.crop((0, top, width, top + height)) for top in tops]
    times = [MILLISECONDS] * (len(images) - 1) + [OF_THE_LAST]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    options: Any = dict(save_all=True, append_images=images[1:], duration=times, loop=0)
    images[0].save(path, optimize=False, **options)
    return path
