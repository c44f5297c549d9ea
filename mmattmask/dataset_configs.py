"""What the config of a dataset tells: what it wraps, and the order of its colours."""

from collections.abc import Iterator
from typing import Any

from mmpretrain.datasets import CIFAR10
from mmpretrain.registry import DATASETS


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

    Arrays are BGR, too, unless of CIFAR or of a class that says ``rgb_arrays``; steps
    of the pipeline that say ``to_rgb`` or ``to_bgr`` exchange the channels. The first
    of joined datasets counts.
    """
    base = base_datasets(config)[0]
    return _begins_rgb(base) != bool(_exchanges(base.get('pipeline')) % 2)


def colours_of(config: Any) -> str | None:
    """Return ``'rgb'`` or ``'bgr'`` as :func:`is_rgb`, or None if it is not known.

    It is of arrays that are RGB, and of files that MMCV loads.
    """
    begins_rgb = _begins_rgb(base_datasets(config)[0])
    if not begins_rgb and not has_step(config, 'LoadImageFromFile'):
        return None
    return 'rgb' if is_rgb(config) else 'bgr'


def check_same_colours(**configs: Any) -> None:
    """Raise ValueError if datasets, by the names of arguments, differ in colours."""
    orders = {name: colours_of(config) for name, config in configs.items()}
    if len({order for order in orders.values() if order}) > 1:
        raise ValueError(
            f'red and blue are exchanged between datasets, {orders}: end a pipeline in '
            "dict(type='NumpyToPIL', to_rgb=True), dict(type='PILToNumpy')"
        )


def _begins_rgb(base: Any) -> bool:
    kind = base.get('type')
    kind = DATASETS.get(kind) if isinstance(kind, str) else kind
    stock = isinstance(kind, type) and issubclass(kind, CIFAR10)
    return stock or getattr(kind, 'rgb_arrays', False)


def has_step(config: Any, name: str) -> bool:
    """Say whether pipelines of a dataset's config have a step of a class of this name.

    At their top level, and in any of joined datasets.
    """
    pipelines = [base.get('pipeline') or () for base in base_datasets(config)]
    steps = [step for steps in pipelines for step in steps if isinstance(step, dict)]
    types = [step.get('type', '') for step in steps]
    return any(getattr(t, '__name__', str(t)).split('.')[-1] == name for t in types)


def _exchanges(steps: Any) -> int:
    """Count the steps that exchange red and blue; of several views in the first."""
    if isinstance(steps, dict):
        own = bool(steps.get('to_rgb') or steps.get('to_bgr'))
        return own + _exchanges(steps.get('transforms'))
    if not isinstance(steps, list | tuple):
        return 0
    views = steps[:1] if steps and isinstance(steps[0], list | tuple) else steps
    return sum(map(_exchanges, views))
