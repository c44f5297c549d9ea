"""The photographs that ship inside scikit-image, for examples and pictures."""

from importlib.util import find_spec
from pathlib import Path

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


def find_photographs() -> list[Path]:
    """Return the photographs on this disk; nothing is downloaded.

    Raises:
        FileNotFoundError: If scikit-image or its photographs are not installed.
    """
    package = find_spec('skimage')
    folder = Path(package.origin or '').parent / 'data' if package else Path('none')
    paths = [folder / name for name in NAMES if (folder / name).exists()]
    if len(paths) < 2:
        raise FileNotFoundError(
            f'{len(paths)} photographs of scikit-image found: run '
            "pip install 'mmattmask[demo]', or give images of your own"
        )
    return paths
