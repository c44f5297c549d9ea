"""Images with annotated foreground: folders of masks or label maps, index files."""

import csv
import dataclasses
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

IMAGE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff')
PathLike = str | Path


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image and where its foreground is.

    Attributes:
        path: The image.
        source: The file of the annotation, for messages.
        read_mask: Returns the foreground, (H, W) bool.
    """

    path: Path
    source: Path
    read_mask: Callable[[], np.ndarray]

    def load(self) -> tuple[Image.Image, np.ndarray]:
        """Read both.

        Returns:
            The image in RGB, turned upright, and its foreground, (H, W) bool.

        Raises:
            ValueError: If a file cannot be read or the sizes differ.
        """
        image = _open(self.path)
        mask = self.read_mask()
        if mask.shape != image.size[::-1]:
            raise ValueError(
                f'{self.path} is {image.width} x {image.height} px and its annotation '
                f'in {self.source} {mask.shape[1]} x {mask.shape[0]} px'
            )
        return image.convert('RGB'), mask


def read_index(
    index: PathLike,
    where: Mapping[str, str] | None = None,
    root: PathLike | None = None,
) -> list[AnnotatedImage]:
    """Read a CSV file with the columns ``image`` and ``mask``.

    Args:
        index: The file; its masks are PNG files, not 0 = foreground.
        where: Values that columns must have, such as ``dict(split='select')``.
        root: What the paths are relative to. Defaults to the folder of the file, or the
            one above it if the first image is only there.

    Raises:
        ValueError: If a column is missing or no row is left.
        FileNotFoundError: If there is no such file.
    """
    index, where = Path(index), dict(where or {})
    with index.open(newline='', encoding='utf-8') as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        rows = list(reader)
    missing = [name for name in ('image', 'mask', *where) if name not in columns]
    if missing:
        raise ValueError(f'{index} has no column {missing[0]!r} but {columns}')
    rows = [row for row in rows if all(row[k] == v for k, v in where.items())]
    if not rows:
        raise ValueError(f'{index} has no row with {where}')
    if root is None:
        above = not (index.parent / rows[0]['image']).exists()
        root = index.parent.parent if above else index.parent
    return [
        _binary(Path(root) / row['image'], Path(root) / row['mask']) for row in rows
    ]


def read_mask_folder(images: PathLike, masks: PathLike) -> list[AnnotatedImage]:
    """Read a folder of PNG masks, not 0 = foreground, and their images.

    Args:
        images: Folder of the images; those without a mask are left out.
        masks: Folder of the masks, each with its image's name, subfolder included.

    Raises:
        ValueError: If there is no mask, or a mask without its image.
    """
    return [_binary(image, mask) for image, mask in _pairs(images, masks)]


def read_label_maps(
    images: PathLike,
    labels: PathLike,
    foreground: Collection[int] | None = None,
    background: Collection[int] | None = None,
) -> list[AnnotatedImage]:
    """Read a folder of PNG label maps, such as ADE20K's, and their images.

    Args:
        images: Folder of the images; those without labels are left out.
        labels: Folder of the label maps, each with its image's name.
        foreground: Labels that are foreground.
        background: Instead of these, labels that are not.

    Raises:
        ValueError: If not exactly one of foreground and background is given, or files
            do not match.
    """
    if (foreground is None) == (background is None):
        raise ValueError(
            'give either the foreground or the background labels, got '
            f'foreground={foreground} and background={background}'
        )
    ids = sorted(foreground if foreground is not None else background or ())
    return [
        AnnotatedImage(
            image, label, partial(_select_labels, label, ids, foreground is None)
        )
        for image, label in _pairs(images, labels)
    ]


def patch_mask(
    mask: np.ndarray, grid: tuple[int, int], coverage: float = 0.5
) -> np.ndarray:
    """Tell which patches of the squashed image are foreground.

    Args:
        mask: Foreground of the whole image, (H, W) bool, of any size: as the model sees
            the image squashed, patch (i, j) stands for an h-th by a w-th of it.
        grid: Patches of the image, (h, w).
        coverage: A patch is foreground if at least this share of it is, in (0, 1].

    Returns:
        (h * w,) bool; all False for an empty foreground.

    Raises:
        ValueError: If coverage is not in (0, 1].
    """
    if not 0 < coverage <= 1:
        raise ValueError(f'coverage must be in (0, 1], got {coverage}')
    rows, columns = (_shares(n, size) for n, size in zip(grid, mask.shape, strict=True))
    # sums of many shares: a full patch may come out as 1 - 1e-16
    covered: np.ndarray = rows @ mask.astype(np.float64) @ columns.T
    return (covered >= coverage - 1e-9).reshape(-1)


def _shares(cells: int, size: int) -> np.ndarray:
    """Return the share that each pixel has in each cell, (cells, size)."""
    edges = np.arange(cells + 1)[:, None] * size / cells
    pixels = np.arange(size)[None]
    overlap = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    return np.clip(overlap, 0, None) * cells / size


def _open(path: Path) -> Image.Image:
    try:
        with Image.open(path) as file:
            return ImageOps.exif_transpose(file)
    except (OSError, ValueError, SyntaxError) as error:  # SyntaxError: PIL, PNG
        raise ValueError(f'{path} cannot be read as an image: {error}') from error


def read_saliency(path: Path) -> np.ndarray:
    """Read an image as a map: grey values, or all but a palette's first colour.

    Returns:
        (H, W) float32 in [0, 1].

    Raises:
        ValueError: If it cannot be read, or holds floats.
    """
    if _open(path).mode in ('1', 'P'):
        return (_labels(path) != 0).astype(np.float32)
    values = _labels(path)
    if values.dtype.kind == 'f':
        raise ValueError(f'{path} holds {values.dtype} numbers: save them as .npy maps')
    top = 255 if values.dtype == np.uint8 else 65535  # PIL reads 16 bits as 32
    return (values / top).astype(np.float32)


def _labels(path: Path) -> np.ndarray:
    """Read a map with one number per pixel, (H, W)."""
    image = _open(path)
    if image.mode in ('LA', 'RGB', 'RGBA'):
        image = image.convert('RGB').convert('L')
    return np.asarray(image)


def _binary(image: Path, mask: Path) -> AnnotatedImage:
    return AnnotatedImage(image, mask, lambda: _labels(mask) != 0)


def _select_labels(path: Path, ids: list[int], invert: bool) -> np.ndarray:
    return np.isin(_labels(path), ids, invert=invert)


def _pairs(images: PathLike, annotations: PathLike) -> list[tuple[Path, Path]]:
    """Match the files of two folders by name, subfolders included."""
    of_name: dict[Path, Path] = {}
    for path in sorted(Path(images).rglob('*')):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            name = path.relative_to(images).with_suffix('')
            if name in of_name:
                raise ValueError(f'{of_name[name]} and {path} have the same name')
            of_name[name] = path
    pairs = []
    for path in sorted(Path(annotations).rglob('*.png')):
        name = path.relative_to(annotations).with_suffix('')
        if name not in of_name:
            raise ValueError(f'there is no image for {path} in {images}')
        pairs.append((of_name[name], path))
    if not pairs:
        raise ValueError(f'there is no PNG file in {annotations}')
    return pairs
