"""One pass of the model over whole images during training, without side effects."""

import dataclasses
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.logging import print_log
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import autocast
from mmpretrain.models import TwoNormDataPreprocessor
from mmpretrain.utils import get_ori_model
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmattmask.datasets.whole_images import WholeImages
from mmattmask.progress_report import report_progress


@dataclasses.dataclass(frozen=True)
class ImageBatch:
    """Whole images, ready for the model."""

    inputs: Tensor  # normalised, on the model's device, (B, 3, H, W)
    ids: Tensor  # (B,) int64 on the CPU; -1 of unreadable images and padding
    labels: Tensor  # class indices, (B,) int64 on the CPU; -1 where there is none


@contextmanager
def evaluating(runner: Any) -> Iterator[nn.Module]:
    """Yield the model in evaluation mode, without gradients, with the run's autocast.

    It is the runner's, wrapper included; its training mode comes back.
    """
    model: nn.Module = runner.model
    training = model.training
    optim_wrapper = getattr(runner, 'optim_wrapper', None)
    enabled = isinstance(optim_wrapper, AmpOptimWrapper)
    dtype = getattr(optim_wrapper, 'cast_dtype', None) if enabled else None
    model.eval()
    try:
        with torch.no_grad(), autocast(enabled=enabled, dtype=dtype):
            yield model
    finally:
        model.train(training)


def normalized(preprocessor: nn.Module, pixels: Tensor) -> Tensor:
    """Return pixels (B, 3, H, W) as the model wants them, on its device."""
    # BEiT and CAE normalise two pictures of an image, the first for the backbone
    two = isinstance(preprocessor, TwoNormDataPreprocessor)
    batch = {'inputs': [pixels, pixels] if two else pixels, 'data_samples': []}
    inputs = preprocessor(batch, False)['inputs']
    return inputs[0] if two else inputs


def check_images(runner: Any, images: WholeImages) -> Tensor:
    """Try one image of every dataset; return what the model is given, (1, C, H, W).

    ValueError if images cannot be read or prepared.
    """
    blank = images.check()
    preprocessor = get_ori_model(runner.model).data_preprocessor
    try:
        return normalized(preprocessor, blank[None])
    except Exception as error:  # a preprocessor may be anybody's
        raise ValueError(
            f'{type(preprocessor).__name__} does not take whole images, '
            f'{tuple(blank.shape)} {blank.dtype}: {error}'
        ) from error


def image_pass(
    runner: Any,
    images: WholeImages,
    batch_size: int | None,
    num_workers: int | None,
    description: str,
    ids: Sequence[int] | None = None,
    max_unreadable: int = 10,
) -> Iterator[ImageBatch]:
    """Go through this rank's share of whole images, or of those with these ids.

    Unreadable images are zeros, have the id -1 and are named in the log; ValueError for
    more than ``max_unreadable`` on a rank. The first image comes again, with the id -1,
    where ranks would make fewer steps than others. The loader has its own random state.
    Batch size (per rank) and number of workers default to those of training.
    """
    if not batch_size:  # training's is None, too, beside a batch sampler
        training = runner.train_dataloader
        of_sampler = getattr(training.batch_sampler, 'batch_size', 1)
        batch_size = training.batch_size or of_sampler
    if num_workers is None:
        num_workers = runner.train_dataloader.num_workers
    rank, world_size = get_rank(), get_world_size()
    share = list(range(len(images)) if ids is None else ids)
    number = len(share)
    share += share[:1] * (-number % world_size)
    places = torch.arange(len(share))[rank::world_size]
    loader: DataLoader = DataLoader(
        images,
        batch_size,
        sampler=share[rank::world_size],
        num_workers=num_workers,
        generator=torch.Generator().manual_seed(0),
        pin_memory=torch.cuda.is_available(),
    )
    preprocessor = get_ori_model(runner.model).data_preprocessor
    batches: Iterator[Any] = iter(loader)
    if rank == 0:
        batches = report_progress(batches, len(loader), description)
    unreadable: list[str] = []
    for pixels, indices, labels, errors in batches:
        new = [error for error in errors if error]
        for error in new:
            print_log(
                f'{description}: skipped an unreadable image: {error}',
                logger='current',
                level=logging.WARNING,
            )
        unreadable += new
        if len(unreadable) > max_unreadable:
            raise ValueError(
                f'{description}: {len(unreadable)} images cannot be read, '
                f'max_unreadable is {max_unreadable}: {"; ".join(unreadable[:20])}'
            )
        unread = torch.tensor([bool(error) for error in errors])
        indices[unread | (places[: len(indices)] >= number)] = -1
        places = places[len(indices) :]
        yield ImageBatch(normalized(preprocessor, pixels), indices, labels)
