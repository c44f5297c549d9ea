"""Any folder of images as the demo's data."""

import dataclasses
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from mmattmask.files import write_text

EXTENSIONS = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif')
TEST_SHARE = 5  # one labelled image in so many is for testing
MAX_IMAGES = 5000  # more would take longer than a demo should

Sample = tuple[str, int]  # path below the folder, class index


@dataclasses.dataclass(frozen=True)
class FolderSplit:
    """What a folder holds.

    Attributes:
        classes: Names of the class folders; empty if there are no labels.
        train: Paths below the folder and class indices (0 without labels).
        test: The same; empty without labels.
    """

    classes: tuple[str, ...]
    train: tuple[Sample, ...]
    test: tuple[Sample, ...]


def split_folder(folder: str | Path) -> FolderSplit:
    """Find images, their classes, and a split that is the same every time.

    Two or more subfolders with images, and none beside them, are classes. Everything
    else is taken as images without labels.

    Args:
        folder: Searched with all its subfolders.

    Returns:
        At most ``MAX_IMAGES`` images, spread evenly over the folder.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there are fewer than two images in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f'there is no folder {folder}')
    paths = sorted(_find_images(folder))
    if len(paths) < 2:
        raise ValueError(
            f'{folder} holds {len(paths)} images ({", ".join(EXTENSIONS)}), the demo '
            'needs at least 2'
        )
    if len(paths) > MAX_IMAGES:
        step = len(paths) / MAX_IMAGES
        paths = [paths[int(place * step)] for place in range(MAX_IMAGES)]
    classes = sorted({Path(path).parts[0] for path in paths})
    if len(classes) < 2 or any(len(Path(path).parts) < 2 for path in paths):
        return FolderSplit((), tuple((path, 0) for path in paths), ())
    train: list[Sample] = []
    test: list[Sample] = []
    for label, name in enumerate(classes):
        own = [path for path in paths if Path(path).parts[0] == name]
        own.sort(key=lambda path: hashlib.blake2b(path.encode()).digest())
        num_test = len(own) // TEST_SHARE or int(len(own) > 1)
        test += [(path, label) for path in sorted(own[:num_test])]
        train += [(path, label) for path in sorted(own[num_test:])]
    return FolderSplit(tuple(classes), tuple(train), tuple(test))


def _find_images(folder: Path) -> Iterable[str]:
    for root, _, names in os.walk(folder, followlinks=True):
        for name in names:
            if name.lower().endswith(EXTENSIONS):
                yield (Path(root) / name).relative_to(folder).as_posix()


def write_annotations(
    path: str | Path, samples: Sequence[Sample], with_label: bool
) -> None:
    """Write a CustomDataset annotation file: one image per line.

    Args:
        path: The file; it appears complete or not at all.
        samples: Images and class indices.
        with_label: Write the class indices too.

    Raises:
        ValueError: If a path has a line break in it.
    """
    for name, _ in samples:
        if len(name.splitlines()) != 1:
            raise ValueError(f'the name of an image has a line break in it: {name!r}')
    lines = [
        f'{name} {label}\n' if with_label else f'{name}\n' for name, label in samples
    ]
    write_text(path, ''.join(lines))
