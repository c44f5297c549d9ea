"""Let a run's training pipeline record its views before its workers start."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.dataset import BaseDataset, InfiniteSampler

from mmattmask.datasets.recording import check_pipeline, exchange_stock


def record_in_log(runner: Any, datasets: Sequence[BaseDataset]) -> None:
    """As :func:`exchange_in_log`; ValueError if a view cannot be found in its image."""
    exchange_in_log(runner, datasets)
    for dataset in datasets:
        check_pipeline(dataset.pipeline.transforms)


def exchange_in_log(runner: Any, datasets: Sequence[BaseDataset]) -> None:
    """Make the training pipeline record where views come from, and say so."""
    names = [n for each in datasets for n in exchange_stock(each.pipeline.transforms)]
    if not names:
        return
    runner.logger.info(
        f'training pipeline: {", ".join(dict.fromkeys(names))} of mmattmask stand in '
        'for the stock ones and record where views come from'
    )
    _restart_workers(runner)


def _restart_workers(runner: Any) -> None:
    """Start workers anew that have the former pipeline (iteration-based loops).

    The official runtime starts them when the loop is built. They have drawn indices
    from the sampler, which begins again; the random stream is left as it was.
    """
    loader = runner.train_dataloader
    loader._iterator = None
    iterator: Any = getattr(runner.train_loop, 'dataloader_iterator', None)
    if getattr(iterator, '_iterator', None) is None:
        return
    sampler = getattr(loader.batch_sampler, 'sampler', None)
    if isinstance(sampler, InfiniteSampler):
        sampler.indices = sampler._indices_of_rank()
    with torch.random.fork_rng(devices=[]):
        iterator._iterator = iter(loader)
