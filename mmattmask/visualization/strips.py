"""Drawings of the same images over time, kept so that a run goes on with them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmattmask.files import whole_file
from mmattmask.visualization.gif import write_gif
from mmattmask.visualization.pages import draw_sheet
from mmattmask.visualization.records import ImageRecord, load_records, save_records

FOLDER = 'mask_strips'
DRAWINGS = '[0-9]' * 8 + '.npz'
MOST_ROWS = 12  # of a sheet; more cannot be told apart


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
    """Return what ``MaskStripHook`` kept in a work dir, (H, W, 3) uint8 per time.

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


def write_strip_gif(folder: str | Path, path: Path) -> str:
    """Write the frames of :func:`strip_frames`; return a line about it."""
    frames = strip_frames(folder)
    return f'{len(frames)} drawings in {write_gif(frames, path)}'


def _draw(paths: Sequence[Path]) -> np.ndarray:
    drawings, titles = zip(*map(load_records, paths), strict=True)
    return draw_sheet(drawings, titles)
