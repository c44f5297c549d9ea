"""GIFs: a run's mask strips one after the other, or the pictures of checkpoints."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mmattmask.visualization.layout import pad, stack
from mmattmask.visualization.strips import GAP, MARGIN, framed

ROWS = '[0-9]' * 8 + '.png'


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
    pages = [pad(frame, height, width, 0.0, 0.0) for frame in frames]
    # one palette for all: colours of its own for each frame would flicker
    palette = Image.fromarray(np.concatenate(pages)).quantize(256, dither=0)
    images = [Image.fromarray(page).quantize(palette=palette) for page in pages]
    times = [round(1000 * seconds)] * (len(images) - 1) + [round(1000 * last_seconds)]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=times,
        loop=0,
        optimize=False,
    )
    return path


def strip_frames(folder: str | Path) -> list[np.ndarray]:
    """Return what ``MaskStripHook`` drew, one frame per drawing, in order of time.

    Args:
        folder: A run's ``mask_strips`` folder, or its work dir. Titles and legend are
            those of ``mask_strips.png`` beside it, if it is there.

    Returns:
        (H, W, 3) uint8 each.

    Raises:
        FileNotFoundError: If there are no drawings.
    """
    folder = Path(folder)
    if (folder / 'mask_strips').is_dir():
        folder = folder / 'mask_strips'
    rows = [_read(path) for path in sorted(folder.glob(ROWS))]
    if not rows:
        raise FileNotFoundError(
            f'there are no drawings in {folder}: MaskStripHook writes them, unless '
            'sheet_images=0'
        )
    sheet = folder.with_suffix('.png')
    top = bottom = None
    if sheet.exists():
        top, bottom = _frame_of(_read(sheet), rows)
    return [
        framed([part for part in (top, row, bottom) if part is not None])
        for row in rows
    ]


def _frame_of(
    sheet: np.ndarray, rows: Sequence[np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Cut titles and legend out of the sheet; nothing if it is not of these rows."""
    inner = sheet[MARGIN:-MARGIN, MARGIN:-MARGIN]
    body = stack(rows, GAP)
    height, width = body.shape[:2]
    for top in range(len(inner) - height + 1):
        if np.array_equal(inner[top : top + height, :width], body):
            return inner[: top - GAP], inner[top + height + GAP :]
    return None, None


def _read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert('RGB'))
