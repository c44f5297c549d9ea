"""Drawings of the same images over time, kept so that a run goes on with them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mmattmask.files import whole_file
from mmattmask.visualization.pages import draw_sheet
from mmattmask.visualization.panels import PAPER
from mmattmask.visualization.records import ImageRecord, load_records, save_records

FOLDER = 'mask_strips'
DRAWINGS = '[0-9]' * 8 + '.npz'
MOST_ROWS = 12  # of a sheet; more cannot be told apart
MILLISECONDS, OF_THE_LAST = 800, 2500  # how long frames are shown


def add_drawing(
    work_dir: str | Path, records: Sequence[ImageRecord], time: int, unit: str
) -> None:
    """Keep records of a time and draw ``mask_strips.png`` of all times up to it.

    Drawings of later times, of a former run, are removed. Of many times the sheet shows
    the first, the last and some between.
    """
    folder = Path(work_dir) / FOLDER
    for path in folder.glob(DRAWINGS):
        if int(path.stem) >= time:
            path.unlink()
    title = f'{unit} {time}\n{records[0].policy_note}'
    save_records(folder / f'{time:08d}.npz', records, title)
    paths = sorted(folder.glob(DRAWINGS))
    shown = np.linspace(0, len(paths) - 1, min(len(paths), MOST_ROWS)).round()
    picture = _draw([paths[int(number)] for number in shown])
    with whole_file(folder.with_suffix('.png')) as temporary:
        Image.fromarray(picture).save(temporary)


def strip_frames(folder: str | Path) -> list[np.ndarray]:
    """Return what ``MaskStripHook`` kept, (H, W, 3) uint8 per time.

    ``folder`` is a work dir, or the ``mask_strips`` in it.

    Raises:
        FileNotFoundError: If there are no drawings.
    """
    folder = Path(folder)
    if (folder / FOLDER).is_dir():
        folder = folder / FOLDER
    paths = sorted(folder.glob(DRAWINGS))
    if not paths:
        raise FileNotFoundError(
            f'there are no drawings in {folder}: MaskStripHook writes them, unless '
            'sheet_images=0'
        )
    return [_draw([path]) for path in paths]


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


def write_strip_gif(folder: str | Path, path: Path) -> str:
    """Write the frames of :func:`strip_frames`; return a line about it."""
    frames = strip_frames(folder)
    return f'{len(frames)} drawings in {write_gif(frames, path)}'


def _draw(paths: Sequence[Path]) -> np.ndarray:
    drawings, titles = zip(*map(load_records, paths), strict=True)
    return draw_sheet(drawings, titles)
