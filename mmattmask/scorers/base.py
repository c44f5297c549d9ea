"""What every scorer does, and what is checked of the scores it gives."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmattmask.masking import PatchPartition
from mmattmask.scorers.self_attention import grid_of, patch_size_of

Debias = Literal['position']
DEBIAS: tuple[Debias | None, ...] = (None, *get_args(Debias))


class Scorer(BaseModule, metaclass=ABCMeta):
    """Says how much each patch of a view is attended.

    A subclass implements :meth:`forward`; everything else has a default.

    Attributes:
        reads_geometry: Whether a score depends on where the view lies in its source
            image: then data samples must tell (``crop_box``, ``flip``, …).
        gives_labels: Whether the score is a label map, for policies on parts.
        cached: Whether maps of whole images are made by ``AttentionRefreshHook`` from
            what :meth:`measure` returns.
        paired_hooks: Names of hooks of which one must be among the run's: without them
            the scorer never knows a score, or one that never changes.
        added_hooks: Names of hooks that every run with the scorer gets.
        debias: ``'position'`` divides scores by the geometric mean of their place:
            over the images of the bank where maps are cached, else over the batch.
    """

    reads_geometry: bool = False
    gives_labels: bool = False
    cached: bool = False
    paired_hooks: ClassVar[tuple[str, ...]] = ()
    added_hooks: ClassVar[tuple[str, ...]] = ()
    debias: Debias | None = None

    @abstractmethod
    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor | None:
        """Return the score of the views' cells.

        Args:
            inputs: Normalised views, (B, C, H, W).
            data_samples: One DataSample per view.
            grid: Cells of a view, (h, w); a cell is a patch unless the host says
                otherwise.
            cell_size: Side of a cell in px.

        Returns:
            (B, h * w) on the device of ``inputs``, finite and not negative, large =
            attended; None while nothing is known.
        """

    def fewest_images(self, num_views: int) -> int:
        """Return the fewest images that a batch of so many views of each needs."""
        compares = self.debias is not None and not self.cached
        return 2 if compares and num_views < 2 else 1

    def bind(self, host: nn.Module) -> None:
        """Get to know the algorithm whose masks this guides; called once, at its end.

        Modules of the host must not become modules of the scorer. ValueError if the
        scorer cannot work in this host.
        """

    def views_from(self, preprocessor: nn.Module) -> None:
        """Get to know where views come from; ValueError if it is not enough."""

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless scores can be had for this student."""

    def check_other_images(self) -> None:
        """Raise ValueError if only training images can have scores."""

    def map_grid(
        self, backbone: nn.Module, image_size: Sequence[int]
    ) -> tuple[int, int]:
        """Return the grid (h, w) of the maps of images of (H, W) px."""
        return grid_of(image_size, patch_size_of(backbone))

    @property
    def measures(self) -> bool:
        """Whether :meth:`measure` is implemented."""
        return type(self).measure is not Scorer.measure

    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the scores of whole images, (B, L) float32, large = attended.

        ``model`` is the host, in its distributed wrapper if it has one. ValueError if
        the scorer does not look at images.
        """
        raise ValueError(
            'attention maps need a scorer that measures images, '
            f'{type(model).__name__} has {type(self).__name__}'
        )

    def of_teacher(self, attention: Tensor, num_views: int) -> Tensor | None:
        """Return the score that is known from the host's EMA teacher, or None.

        ``attention`` (num_views * B, L) is its CLS token's, one view after the other.
        """
        return None

    @property
    def learns(self) -> bool:
        """Whether :meth:`loss` is implemented: then scores may carry gradients."""
        return type(self).loss is not Scorer.loss

    def loss(
        self,
        score: Tensor,
        partition: PatchPartition,
        error: Tensor,
        progress: float,
        tokens: Tensor,
    ) -> dict[str, Tensor]:
        """Return what the scorer learns from, by name; the host adds it to its losses.

        Args:
            score: What :meth:`forward` returned, (B, L), with its graph.
            partition: What the policy made of it.
            error: Reconstruction error of each patch, (B, L) in raster order, without
                graph; it means nothing for thrown patches.
            progress: Share of the training that is done, in [0, 1].
            tokens: The decoder's, as of ``GuidedMAEDecoder.embed``.
        """
        raise ValueError(f'{type(self).__name__} has nothing to learn: it has no loss')


def check_score(
    score: Any,
    scorer: nn.Module,
    shape: tuple[int, int],
    device: torch.device,
    values: bool = True,
    data_samples: Sequence[Any] | None = None,
) -> None:
    """Raise ValueError unless a scorer returned a score of this shape (B, L).

    ``values`` are looked at, too, which waits for the device; ``data_samples`` name the
    first wrong one.
    """
    name = type(scorer).__name__
    if not isinstance(score, Tensor):
        raise ValueError(
            f'{name} must return a tensor of shape {shape} or None, got '
            f'{type(score).__name__}'
        )
    if tuple(score.shape) != shape:
        raise ValueError(
            f'{name} must return one score per cell, shape (B, L) = {shape}, got '
            f'{tuple(score.shape)}'
        )
    if score.device != device:
        raise ValueError(f'{name} returned scores on {score.device}, not on {device}')
    if score.is_complex():
        raise ValueError(f'{name} must return real scores, got {score.dtype}')
    if not values or score.is_meta:
        return
    wrong = ~((score >= 0) & (score < torch.inf)).all(dim=1)
    if wrong.any():
        place = int(wrong.nonzero()[0])
        where = f'view {place} of the batch'
        if data_samples is not None and place < len(data_samples):
            path = getattr(data_samples[place], 'img_path', None)
            where += '' if path is None else f' ({path})'
        raise ValueError(
            f'{name} returned scores that are negative, infinite or undefined for '
            f'{int(wrong.sum())} of {shape[0]} views, first {where}: scores are at '
            'least 0, large = attended'
        )
