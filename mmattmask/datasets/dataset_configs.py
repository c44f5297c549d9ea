"""What the config of a dataset tells: what it wraps, and the order of its colours."""

from collections.abc import Iterator
from typing import Any

from mmpretrain.datasets import CIFAR10
from mmpretrain.registry import DATASETS

from mmattmask.datasets.packed_images import PackedImages
from mmattmask.datasets.stl10 import STL10

# Their samples, and those of classes derived from them, begin as RGB arrays.
RGB_ARRAYS = (CIFAR10, PackedImages, STL10)


def all_datasets(config: Any) -> Iterator[Any]:
    """Yield the config of a dataset and those of all that it wraps."""
    yield config
    inner = [config['dataset']] if 'dataset' in config else config.get('datasets', ())
    for part in inner:
        yield from all_datasets(part)


def base_datasets(config: Any) -> list[Any]:
    """Return the configs of datasets inside of wrappers."""
    wraps = {'dataset', 'datasets'}
    return [one for one in all_datasets(config) if wraps.isdisjoint(one)]


def is_rgb(config: Any) -> bool:
    """Say whether the config of a dataset makes RGB images, or BGR as of loaded files.

    Arrays are BGR, too, unless of ``RGB_ARRAYS``; steps of the pipeline that say
    ``to_rgb`` or ``to_bgr`` exchange the channels. The first of joined datasets counts.
    """
    base = base_datasets(config)[0]
    kind = base.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    begins = isinstance(kind, type) and issubclass(kind, RGB_ARRAYS)
    return begins != bool(_exchanges(base.get('pipeline')) % 2)


def _exchanges(steps: Any) -> int:
    """Count the steps that exchange red and blue; of several views in the first."""
    if isinstance(steps, dict):
        own = bool(steps.get('to_rgb') or steps.get('to_bgr'))
        return own + _exchanges(steps.get('transforms'))
    if not isinstance(steps, list | tuple):
        return 0
    views = steps[:1] if steps and isinstance(steps[0], list | tuple) else steps
    return sum(map(_exchanges, views))
