"""Images with annotated foreground: masks, label maps, index files, COCO."""

import csv
import dataclasses
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw, ImageOps

# Also what training takes of a folder by default: .ppm and .pgm.
IMAGE_SUFFIXES = (
    *('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm'),
)
PathLike = str | Path


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An image and where its foreground is."""

    path: Path
    source: Path  # of the annotation, for messages
    read_mask: Callable[[], np.ndarray]  # (H, W) bool

    def load(self) -> tuple[Image.Image, np.ndarray]:
        """Return the image in RGB, turned upright, and its foreground, (H, W) bool.

        ValueError if they differ in size, or see :func:`read_picture`.
        """
        image = read_picture(self.path)
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
    """Read a CSV file with the columns ``image`` and ``mask`` (not 0 = foreground).

    Other columns have the values of ``where``. Paths are relative to ``root``, else to
    the folder of the file, or the one above it if the first image is only there.
    ValueError without such a column or row.
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
    """Read a folder of PNG masks, not 0 = foreground, and the images of their names."""
    return [_binary(image, mask) for image, mask in _pairs(images, masks)]


def read_label_maps(
    images: PathLike,
    labels: PathLike,
    foreground: Collection[int] | None = None,
    background: Collection[int] | None = None,
) -> list[AnnotatedImage]:
    """Read a folder of PNG label maps, such as ADE20K's, and the images of their names.

    Either the foreground's or the background's labels are given, or ValueError.
    """
    if (foreground is None) == (background is None):
        raise ValueError(
            'give either the foreground or the background labels, got '
            f'foreground={foreground} and background={background}'
        )
    ids = sorted(foreground if foreground is not None else background or ())

    def select(path: Path) -> np.ndarray:
        return np.isin(_labels(path), ids, invert=foreground is None)

    return [
        AnnotatedImage(image, label, partial(select, label))
        for image, label in _pairs(images, labels)
    ]


def read_coco(
    annotations: PathLike,
    images: PathLike,
    shapes: Literal['polygons', 'boxes'] = 'polygons',
    categories: Sequence[str] | None = None,
) -> list[AnnotatedImage]:
    """Read COCO-style instances (no pycocotools); foreground is their union, no crowds.

    Of the categories with these names, else of all. Instances that are run-length
    encoded have no polygons: ValueError unless boxes are asked for, as for files in
    another format and unknown categories.
    """
    if shapes not in ('polygons', 'boxes'):
        raise ValueError(f"shapes must be 'polygons' or 'boxes', got {shapes!r}")
    path = Path(annotations)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        ids = {item['name']: item['id'] for item in content['categories']}
        infos, instances = content['images'], content['annotations']
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not in COCO's format: {error!r}") from error
    unknown = [name for name in categories or () if name not in ids]
    if unknown:
        raise ValueError(f'{path} has no category {unknown[0]!r} but {sorted(ids)}')
    wanted = {ids[name] for name in categories or ids}
    found: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for item in instances:
        if item['category_id'] in wanted and not item.get('iscrowd', 0):
            found[item['image_id']].append(item)
            polygons = item.get('segmentation')
            if shapes == 'polygons' and not isinstance(polygons, list):
                raise ValueError(
                    f'{path}: annotation {item.get("id")} has no polygons '
                    f'({type(polygons).__name__}): use boxes'
                )
    return [
        AnnotatedImage(
            Path(images) / info['file_name'],
            path,
            partial(_draw, info, found[info['id']], shapes),
        )
        for info in infos
    ]


def patch_mask(
    mask: np.ndarray, grid: tuple[int, int], coverage: float = 0.5
) -> np.ndarray:
    """Tell which patches of the squashed image are foreground, (h * w,) bool.

    Of ``mask``, (H, W) bool, of any size, patch (i, j) stands for an h-th by a w-th. It
    is foreground if at least the share ``coverage`` of it is; ValueError unless that is
    in (0, 1].
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


def read_picture(path: Path) -> Image.Image:
    """Read an image upright, in 8 bits: of 16 the upper ones, as OpenCV does.

    ValueError for numbers outside of 16 bits, floating-point images and what is none.
    """
    image = _open(path)
    if image.mode[0] not in 'IF':
        return image
    values = np.asarray(image)
    if values.dtype.kind == 'f' or values.min() < 0 or values.max() > 65535:
        raise ValueError(
            f'{path} holds {values.dtype} numbers from {values.min()} to '
            f'{values.max()}: save it with 8 or 16 bits'
        )
    return Image.fromarray((values >> 8).astype(np.uint8))


def read_saliency(path: Path) -> np.ndarray:
    """Read grey values, or all but a palette's first colour, (H, W) in [0, 1].

    ValueError for floating-point images and what is none.
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


def _draw(
    info: dict[str, Any], instances: list[dict[str, Any]], shapes: str
) -> np.ndarray:
    """Draw the union of the instances, (H, W) bool."""
    canvas = Image.new('L', (info['width'], info['height']))
    draw = ImageDraw.Draw(canvas)
    for item in instances:
        if shapes == 'boxes':
            x, y, width, height = item['bbox']
            draw.rectangle((x, y, x + width, y + height), fill=1)
        else:
            for polygon in item['segmentation']:
                draw.polygon(polygon, fill=1)
    return np.asarray(canvas) != 0
