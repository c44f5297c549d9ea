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
    """Whole images, ready for the model.

    Attributes:
        inputs: Normalised images on the model's device, (B, 3, H, W).
        ids: Sample ids, (B,) int64 on the CPU; -1 where the image cannot be read.
        labels: Class indices, (B,) int64 on the CPU; -1 where there is none.
    """

    inputs: Tensor
    ids: Tensor
    labels: Tensor


@contextmanager
def evaluating(runner: Any) -> Iterator[nn.Module]:
    """Evaluation mode, no gradients, and autocast when the run uses it.

    Yields the runner's model, wrapper included; its training mode comes back.
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


def check_images(runner: Any, images: WholeImages) -> None:
    """Try one image of every dataset, up to what the model is given.

    Raises:
        ValueError: If none can be read, or pipeline or data preprocessor do not take
            it.
    """
    blank = images.check()
    preprocessor = get_ori_model(runner.model).data_preprocessor
    try:
        normalized(preprocessor, blank[None])
    except Exception as error:  # a preprocessor may be anybody's
        raise ValueError(
            f'{type(preprocessor).__name__} does not take whole images, '
            f'{tuple(blank.shape)} {blank.dtype}: {error}'
        ) from error


def image_pass(
    runner: Any,
    images: WholeImages,
    batch_size: int,
    num_workers: int,
    description: str,
    ids: Sequence[int] | None = None,
    max_unreadable: int = 10,
) -> Iterator[ImageBatch]:
    """Go through this rank's share of whole images.

    The ranks share the images evenly; the first one comes again where needed so that
    all ranks make the same number of steps. The loader has its own random state, so
    training's stays as it was.

    Args:
        runner: The runner; its model's data preprocessor normalises the images.
        images: Where images come from.
        batch_size: Images per step and rank.
        num_workers: Loader processes per rank.
        description: For the progress line.
        ids: Which images. Defaults to all.
        max_unreadable: More unreadable images than this on one rank stop the pass.

    Yields:
        Batches; unreadable images are zeros, have the id -1 and are named in the log.

    Raises:
        ValueError: If more than ``max_unreadable`` images cannot be read.
    """
    rank, world_size = get_rank(), get_world_size()
    share = list(range(len(images)) if ids is None else ids)
    while len(share) % world_size:
        share.append(share[0])
    share = share[rank::world_size]
    loader: DataLoader = DataLoader(
        images,
        batch_size,
        sampler=share,
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
        inputs = normalized(preprocessor, pixels)
        if new:
            indices[torch.tensor([bool(error) for error in errors])] = -1
        yield ImageBatch(inputs, indices, labels)
