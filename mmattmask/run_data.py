"""What a run is held to about its images, before its first step and before a test."""

from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module
from math import ceil
from typing import Any

import torch


def check_length(loop: Any, loader: Any, world_size: int, model: Any) -> None:
    """Raise ValueError if the run would make no step, or one of too few images.

    Parts say in ``least_images`` how many a batch needs: what compares them.
    """
    batches = getattr(loader, 'batch_sampler', None)  # PyTorch makes one
    sampler = _sampler_of(loader)
    size = getattr(batches, 'batch_size', loader.batch_size)
    if sampler == 'DefaultSampler' and not getattr(batches, 'drop_last', False):
        last = ceil(len(loader.dataset) / world_size) % size or size
        for part in model.modules():
            if last < getattr(part, 'least_images', 1):
                name = type(getattr(part, 'scorer', part)).__name__
                raise ValueError(
                    f'{name} compares the images of a batch, and the '
                    f'last of an epoch has {last} ({len(loader.dataset)} images, '
                    f'{size} in a batch, {world_size} processes): set '
                    'train_dataloader.drop_last=True'
                )
    if 'Infinite' not in sampler and not len(loader):
        raise ValueError(
            f'{len(loader.dataset)} training images make no batch of {size} with '
            f'drop_last=True on {world_size} processes: set '
            'train_dataloader.batch_size to less, or drop_last=False'
        )
    if loop.max_iters < 1:
        raise ValueError(
            f'the run has {loop.max_epochs} epochs and {loop.max_iters} iterations: '
            'set train_cfg.max_epochs or max_iters to at least 1'
        )


def renew_worker_seeds(loader: Any) -> None:
    """Let loader processes that start in every epoch draw other numbers in each.

    Differs from MMEngine, which gives them the same seeds again: crops, flips and masks
    of every epoch would be those of the first. Processes that persist, or whose sampler
    has no end, go on drawing.
    """
    stock = loader.worker_init_fn
    by_mmengine = import_module('mmengine.dataset').worker_init_fn
    goes_on = loader.persistent_workers or 'Infinite' in _sampler_of(loader)
    if not goes_on and getattr(stock, 'func', None) is by_mmengine:
        loader.worker_init_fn = partial(_seed_worker, stock)


def _sampler_of(loader: Any) -> str:
    batches = getattr(loader, 'batch_sampler', None)  # PyTorch makes one
    return type(getattr(batches, 'sampler', None)).__name__


def _seed_worker(stock: partial[None], worker_id: int) -> None:
    drawn = torch.initial_seed() - worker_id  # by torch, another one in each epoch
    stock(worker_id, seed=(stock.keywords['seed'] + drawn) % 2**31)


def check_classes(**datasets: Any) -> None:
    """Raise ValueError if a class number means other classes in two datasets, by name.

    Folders are numbered as they are listed: one that is missing on one side shifts all
    that follow. Datasets, or their ``metainfo``, that name no classes are left out.
    """
    known = {name: _classes_of(dataset) for name, dataset in datasets.items()}
    known = {name: classes for name, classes in known.items() if classes}
    for name, classes in list(known.items())[1:]:
        first = next(iter(known))
        if classes != known[first]:
            differ = ', '.join(sorted(set(classes) ^ set(known[first]))[:6])
            what = f'not the same: {differ}' if differ else 'in another order'
            raise ValueError(
                f'{first} has {len(known[first])} classes and {name} {len(classes)}, '
                f'{what}; give both the same, classes=[...] of folders, else '
                'metainfo=dict(classes=(...)), for labels are their numbers'
            )


def _classes_of(dataset: Any) -> list[str]:
    about = (
        dataset if isinstance(dataset, Mapping) else getattr(dataset, 'metainfo', {})
    )
    classes = about.get('classes')
    return list(map(str, classes)) if isinstance(classes, list | tuple) else []


def lost_categories(dataset: Any) -> str:
    """Say it if a COCO file has annotations of none of a dataset's classes."""
    for part in _parts(dataset):
        images = getattr(part, 'cat_img_map', None)
        own = getattr(part, 'cat_ids', None)
        if not images or own is None:
            continue
        lost = sorted(set(images) - set(own))
        if lost:
            number = len(set().union(*(images[one] for one in lost)))
            return (
                f'annotations of {len(lost)} categories (ids '
                f'{", ".join(map(str, lost[:6]))}) in {number} images of '
                f'{part.ann_file} are left out: they are none of the {len(own)} '
                'classes; if they are meant, name them in metainfo=dict(classes=(...)) '
                'of the datasets'
            )
    return ''


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield a dataset and all that it wraps."""
    yield dataset
    inner = getattr(dataset, 'dataset', None)
    for part in [inner] if inner is not None else getattr(dataset, 'datasets', ()):
        yield from _parts(part)
