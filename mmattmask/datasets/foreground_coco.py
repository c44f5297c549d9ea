"""Foreground from COCO-style instances, drawn without pycocotools."""

import json
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image, ImageDraw

from mmattmask.datasets.foreground import AnnotatedImage, PathLike


def read_coco(
    annotations: PathLike,
    images: PathLike,
    shapes: Literal['polygons', 'boxes'] = 'polygons',
    categories: Sequence[str] | None = None,
) -> list[AnnotatedImage]:
    """Read COCO-style instances; the foreground is their union.

    Args:
        annotations: The JSON file. Crowds (``iscrowd``) are left out.
        images: Folder of the images.
        shapes: ``'polygons'`` or ``'boxes'``.
        categories: Names of the categories that are foreground. Defaults to all.

    Raises:
        ValueError: If the file is not in COCO's format, a category does not exist, or
            an instance has no polygons (none at all, or run-length encoded) where they
            are asked for.
        FileNotFoundError: If there is no such file.
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


def _draw(
    info: dict[str, Any], instances: list[dict[str, Any]], shapes: str
) -> np.ndarray:
    """Draw the union of the instances, (H, W) bool."""
    canvas = Image.new('L', (info['width'], info['height']))
    draw = ImageDraw.Draw(canvas)
    for item in instances:
        polygons = [_box(item)] if shapes == 'boxes' else item['segmentation']
        for polygon in polygons:
            draw.polygon(polygon, fill=1)
    return np.asarray(canvas) != 0


def _box(item: dict[str, Any]) -> list[float]:
    x, y, width, height = item['bbox']
    return [x, y, x + width, y, x + width, y + height, x, y + height]
