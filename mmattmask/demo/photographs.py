"""The photographs that ship inside scikit-image, cut into labelled tiles."""

import json
import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

# Colour and grey photographs in scikit-image's wheel; others would be downloaded.
NAMES = (
    'astronaut.png',
    'brick.png',
    'camera.png',
    'cell.png',
    'chelsea.png',
    'coffee.png',
    'coins.png',
    'grass.png',
    'gravel.png',
    'hubble_deep_field.jpg',
    'ihc.png',
    'moon.png',
    'motorcycle_left.png',
    'page.png',
    'retina.jpg',
    'rocket.jpg',
)
SHORT_SIDE = 384  # px; photographs are scaled to it
BLOCK = 96  # px; a block is for training or for testing, and no tile leaves its block
TEST_EVERY = 4  # one block in so many, on the diagonals, is for testing

Box = tuple[int, int, int, int]


def find_photographs() -> list[Path]:
    """Return the photographs on this disk; nothing is downloaded.

    Raises:
        FileNotFoundError: If scikit-image or its photographs are not installed.
    """
    package = find_spec('skimage')
    folder = (
        Path(package.origin).parent / 'data' if package and package.origin else None
    )
    paths = (
        [folder / name for name in NAMES if (folder / name).exists()] if folder else []
    )
    if len(paths) < 2:
        raise FileNotFoundError(
            f'the demo needs the photographs of scikit-image, found {len(paths)}: run '
            "pip install 'mmattmask[demo]', or give a folder of images with --data"
        )
    return paths


def tile_boxes(
    size: tuple[int, int], split: str, tile: int, stride: int
) -> Iterator[Box]:
    """Yield the tiles of a photograph that belong to a split.

    Args:
        size: Width and height of the photograph in px.
        split: ``'train'`` or ``'test'``; their tiles share no pixel.
        tile: Side of a tile in px, at most a block's.
        stride: Px between tiles inside a block.

    Yields:
        Left, top, right, bottom in px.
    """
    for row, top in enumerate(range(0, size[1] - BLOCK + 1, BLOCK)):
        for column, left in enumerate(range(0, size[0] - BLOCK + 1, BLOCK)):
            is_test = (column + row) % TEST_EVERY == 1
            if is_test != (split == 'test'):
                continue
            for y in range(top, top + BLOCK - tile + 1, stride):
                for x in range(left, left + BLOCK - tile + 1, stride):
                    yield x, y, x + tile, y + tile


def write_tiles(
    folder: str | Path, tile: int, train_stride: int, test_stride: int
) -> bool:
    """Write ``train/<photograph>/*.png`` and ``test/<photograph>/*.png``.

    The folder appears complete or not at all. One that was made with the same settings
    is left as it is.

    Args:
        folder: Where to write; what is there with other settings is replaced.
        tile: Side of a tile in px.
        train_stride: Px between the tiles for training.
        test_stride: Px between the tiles for testing.

    Returns:
        Whether tiles were written.

    Raises:
        FileNotFoundError: If scikit-image or its photographs are not installed.
    """
    folder = Path(folder)
    paths = find_photographs()
    settings = {
        'photographs': [path.name for path in paths],
        'pixels': [SHORT_SIDE, BLOCK, TEST_EVERY, tile, train_stride, test_stride],
    }
    record = folder / 'tiles.json'
    if record.exists() and json.loads(record.read_text()) == settings:
        return False
    temporary = folder.with_name(f'{folder.name}.tmp{os.getpid()}')
    for path in paths:
        image = _read(path)
        for split, stride in (('train', train_stride), ('test', test_stride)):
            target = temporary / split / path.stem
            target.mkdir(parents=True)
            for box in tile_boxes(image.size, split, tile, stride):
                image.crop(box).save(target / f'{box[1]:04d}_{box[0]:04d}.png')
    (temporary / 'tiles.json').write_text(json.dumps(settings))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(temporary, folder)
    return True


def _read(path: Path) -> Image.Image:
    image = Image.open(path).convert('RGB')
    image.info.clear()  # a broken colour profile would travel into every tile
    scale = SHORT_SIDE / min(image.size)
    size = [round(side * scale) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS)
