"""Look up whole-image maps from a bank, cropped and flipped like each view."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mmattmask.datasets.geometry import flip_axes
from mmattmask.masking import view_score
from mmattmask.masking.view import CROP_MODES, CropMode
from mmattmask.scorers.bank import AttentionBank, Storage


def check_options(**options: tuple[Any, tuple[Any, ...]]) -> None:
    """Raise ValueError unless every option (value, known values) is known."""
    for name, (value, known) in options.items():
        if value not in known:
            raise ValueError(f'{name} must be one of {known}, got {value!r}')


class CachedMaps(nn.Module, metaclass=ABCMeta):
    """Base of scorers whose maps are in an :class:`AttentionBank`.

    ``AttentionRefreshHook`` makes the bank from what :meth:`measure` returns; until
    then there is no score. Nothing of it is in checkpoints.

    Args:
        crop_mode: ``'aligned'`` (the papers) or ``'official'`` (the corner crop of
            AMT's released code).
        storage: ``'float16'`` or ``'uint8'``, half the size.

    Attributes:
        bank: The bank in use, or None.
        cached: Whether the scorer needs a bank.

    Raises:
        ValueError: If an option is unknown.
    """

    cached = True

    def __init__(
        self, crop_mode: CropMode = 'aligned', storage: Storage = 'float16'
    ) -> None:
        super().__init__()
        check_options(
            crop_mode=(crop_mode, CROP_MODES), storage=(storage, get_args(Storage))
        )
        self.crop_mode: CropMode = crop_mode
        self.storage: Storage = storage
        self.bank: AttentionBank | None = None

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless scores can be had for this student."""

    @abstractmethod
    def measure(self, backbone: nn.Module, images: Tensor) -> Tensor:
        """Return whole images' scores, (B, L) float32, large = attended.

        Args:
            backbone: The student's backbone.
            images: Normalised images, (B, 3, H, W).
        """

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        patch_size: int,
    ) -> Tensor | None:
        """Return the score of the views' patches.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: One DataSample per view with ``sample_idx``, ``crop_box``,
                ``ori_shape``, ``flip`` and ``flip_direction``.
            grid: Patches of a view, (h, w).
            patch_size: Side of a patch in px.

        Returns:
            Score, (B, h * w) float32, large = attended; None before the first refresh.

        Raises:
            ValueError: If a sample lacks its geometry or is not in the bank.
        """
        if self.bank is None:
            return None
        try:
            ids = np.array([sample.sample_idx for sample in data_samples])
            geometry = np.array(
                [
                    (*sample.crop_box, *sample.ori_shape[:2], *_flips(sample))
                    for sample in data_samples
                ],
                dtype=np.float32,
            )
        except AttributeError as error:
            raise ValueError(
                f'a view came without its geometry ({error}): end the training '
                "pipeline with type='mmattmask.PackInputs'"
            ) from error
        device = inputs.device
        maps = torch.from_numpy(self.bank.maps(ids)).to(device, non_blocking=True)
        boxes = torch.from_numpy(geometry).to(device, non_blocking=True)
        crop_box, image_size, flip = boxes.split([4, 2, 2], dim=1)
        with torch.autocast(device.type, enabled=False):
            return view_score(
                maps,
                crop_box,
                image_size,
                flip.bool(),
                grid,
                self.crop_mode,
                samples=patch_size,
            )


def _flips(sample: Any) -> tuple[bool, bool]:
    return flip_axes(
        getattr(sample, 'flip', False), getattr(sample, 'flip_direction', None)
    )
