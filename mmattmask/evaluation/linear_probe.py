"""Train a sweep of linear classifiers, epoch by epoch, and go on where it stopped."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from mmengine.dist import (
    all_reduce,
    broadcast,
    broadcast_object_list,
    get_rank,
    get_world_size,
)
from mmengine.logging import print_log
from torch import Tensor
from torch.utils.data import DataLoader

from mmattmask.evaluation.eval_data import LabelledImages, RandomViews
from mmattmask.evaluation.extraction import check_readable
from mmattmask.evaluation.features import FrozenFeatures
from mmattmask.evaluation.linear import LinearSweep, cosine
from mmattmask.files import whole_file
from mmattmask.progress_report import report_progress

# This process's share of every batch of an epoch -> their features and labels
Batches = Callable[[int, list[Tensor]], Iterator[tuple[Tensor, Tensor]]]


@dataclasses.dataclass(frozen=True)
class ProbeSettings:
    """The protocol of iBOT and DINO unless changed.

    ``lrs`` are those of a batch of 256; they grow with ``batch_size``, that of all
    processes together. ``seed`` is of first weights, order and augmentation. ValueError
    without an epoch or an image.
    """

    lrs: tuple[float, ...]
    epochs: int = 100
    batch_size: int = 1024
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(
                f'epochs ({self.epochs}) and batch size ({self.batch_size}) must be '
                'at least 1'
            )


@dataclasses.dataclass
class ProbeHistory:
    """What the epochs came to: top-1 and top-5 in percent, and mean training losses.

    Accuracies are (epochs, classifiers, 2), losses (epochs, classifiers).
    """

    accuracy: Tensor
    loss: Tensor

    def best(self) -> tuple[int, int]:
        """Return epoch and classifier of the best top-1, the first among equals."""
        top1 = self.accuracy[..., 0]
        epoch, classifier = divmod(int(top1.flatten().argmax()), top1.shape[1])
        return epoch, classifier


def epoch_shares(num_images: int, settings: ProbeSettings, epoch: int) -> list[Tensor]:
    """Return the images of this process in every batch of an epoch.

    The batches are those of one process; each is dealt out among all. A last batch with
    fewer images than processes is left out.
    """
    generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + epoch)
    order = torch.randperm(num_images, generator=generator)
    rank, world_size = get_rank(), get_world_size()
    return [
        batch[rank::world_size]
        for batch in order.split(settings.batch_size)
        if len(batch) >= world_size
    ]


def fixed_features(features: Tensor, labels: Tensor, device: str) -> Batches:
    """Return batches of features that were made once, without augmentation."""

    def batches(epoch: int, shares: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for share in shares:
            yield features[share].to(device), labels[share].to(device)

    return batches


def fresh_features(
    model: FrozenFeatures, images: LabelledImages, seed: int, num_workers: int
) -> Batches:
    """Return batches of features of new random views in every epoch."""
    (kind,) = model.kinds
    keys: list[list[tuple[int, int]]] = []  # of the epoch; workers outlive it
    loader: DataLoader = DataLoader(
        RandomViews(images, seed),
        batch_sampler=keys,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
    )

    def batches(epoch: int, shares: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        keys[:] = [[(epoch, index) for index in share.tolist()] for share in shares]
        for pixels, _, labels, errors in loader:
            check_readable(errors)
            features = model(pixels, images.rgb)[kind]
            yield features, labels.to(features.device)

    return batches


class LinearProbe:
    """Linear classifiers of features of width ``dim``, tested after every epoch.

    All that is needed to go on is then written to ``state``: a killed and restarted
    probe ends like one that nobody stopped.
    """

    def __init__(
        self,
        settings: ProbeSettings,
        dim: int,
        num_classes: int,
        state: Path,
        device: str = 'cpu',
    ) -> None:
        self.settings = settings
        lrs = [lr * settings.batch_size / 256 for lr in settings.lrs]
        rng = torch.Generator().manual_seed(settings.seed)
        self.sweep = LinearSweep(lrs, dim, num_classes, rng).to(device)
        self.state = state
        self.history: list[tuple[Tensor, Tensor]] = []
        self._load()

    def run(
        self, num_images: int, batches: Batches, features: Tensor, labels: Tensor
    ) -> ProbeHistory:
        """Train to the end; return the history of all epochs, of earlier runs too.

        ``batches`` are of ``num_images`` training images, ``features`` (N, D) and
        ``labels`` (N,) of those for validation.
        """
        start, first = time.monotonic(), len(self.history)
        for epoch in range(first, self.settings.epochs):
            loss = self._train(num_images, batches, epoch)
            self.history.append((self.sweep.accuracy(features, labels), loss.cpu()))
            self._save()
            to_do = self.settings.epochs - len(self.history)
            self._report((time.monotonic() - start) / (epoch + 1 - first) * to_do)
        accuracies, losses = zip(*self.history, strict=True)
        return ProbeHistory(torch.stack(accuracies), torch.stack(losses))

    def _train(self, num_images: int, batches: Batches, epoch: int) -> Tensor:
        """Train one epoch; return the mean loss of every classifier."""
        settings = self.settings
        shares = epoch_shares(num_images, settings, epoch)
        if not shares:
            raise ValueError(
                f'{num_images} training images are too few for {get_world_size()} '
                'processes'
            )
        factor = cosine(epoch, settings.epochs)
        steps = batches(epoch, shares)
        if get_rank() == 0:
            steps = report_progress(steps, len(shares), f'linear probe, {epoch + 1}')
        total = torch.zeros_like(self.sweep.lrs)
        seen = 0
        for features, labels in steps:
            size = min(settings.batch_size, num_images - seen)
            seen += size
            total += self.sweep.step(features, labels, factor, size) * size
        all_reduce(total)
        return total / seen

    def _save(self) -> None:
        if get_rank() != 0:
            return
        content = dict(sweep=self.sweep.state_dict(), history=self.history)
        with whole_file(self.state) as temporary:
            torch.save(content, temporary)

    def _load(self) -> None:
        """Go on from the first process's state, if there is one."""
        if get_rank() == 0 and self.state.exists():
            content = torch.load(self.state, map_location='cpu', weights_only=True)
            self.sweep.load_state_dict(content['sweep'])
            self.history = [tuple(epoch) for epoch in content['history']]
            print_log(
                f'linear probe: going on after epoch {len(self.history)} of '
                f'{self.state}',
                logger='current',
            )
        histories = [self.history]
        broadcast_object_list(histories)
        self.history = histories[0]
        for buffer in self.sweep.buffers():
            broadcast(buffer)

    def _report(self, left: float) -> None:
        accuracy, loss = self.history[-1]
        best = int(accuracy[:, 0].argmax())
        print_log(
            f'linear probe: epoch {len(self.history)}/{self.settings.epochs}, best '
            f'top-1 {accuracy[best, 0]:.2f} (lr {self.settings.lrs[best]:g}), loss '
            f'{loss[best]:.4f}, eta {left:.0f} s',
            logger='current',
        )
