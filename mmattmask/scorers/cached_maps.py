"""Look up whole-image maps from a bank, cropped and flipped like each view."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mmattmask.geometry import read_metainfo, view_geometry
from mmattmask.masking import view_score
from mmattmask.masking.attention import full_precision
from mmattmask.masking.options import check_options
from mmattmask.masking.position import log_mean_map, without_position
from mmattmask.masking.view import CROP_MODES, CropMode
from mmattmask.scorers.bank import AttentionBank, Keep, Storage
from mmattmask.scorers.base import DEBIAS, Debias, Scorer

NUM_MEAN_MAPS = 4096


class CachedMaps(Scorer):
    """Base of scorers whose maps are in an :class:`AttentionBank`, ``bank``, or None.

    ``AttentionRefreshHook`` makes it from what :meth:`measure` returns; until then
    there is no score. Nothing of it is in checkpoints. ValueError if an option is
    unknown.

    Args:
        crop_mode: ``'aligned'`` (the papers) or ``'official'`` (the corner crop of
            AMT's released code).
        storage: ``'float16'`` or ``'uint8'``, half the size.
        debias: See :class:`Scorer`.
        keep: Where the bank is kept, see :meth:`AttentionBank.look_up`.
    """

    cached = True

    def __init__(
        self,
        crop_mode: CropMode = 'aligned',
        storage: Storage = 'float16',
        debias: Debias | None = None,
        keep: Keep | None = None,
    ) -> None:
        super().__init__()
        check_options(
            crop_mode=(crop_mode, CROP_MODES),
            storage=(storage, get_args(Storage)),
            debias=(debias, DEBIAS),
            keep=(keep, (None, *get_args(Keep))),
        )
        self.keep: Keep | None = keep
        self.debias = debias
        self._log_mean: tuple[AttentionBank, Tensor] | None = None
        self.crop_mode: CropMode = crop_mode
        self.storage: Storage = storage
        self.bank: AttentionBank | None = None

    @property
    def reads_geometry(self) -> bool:  # type: ignore[override]
        """Whether a score depends on where the view lies in its source image."""
        return self.cached

    @property
    def paired_hooks(self) -> tuple[str, ...]:  # type: ignore[override]
        """The hook that makes the bank, where there is one and none was given."""
        needed = self.cached and self.bank is None
        return ('AttentionRefreshHook',) if needed else ()

    @property
    def made_by(self) -> str:
        """What the maps of a bank depend on, beside images and weights, in words."""
        return type(self).__name__

    def log_mean(self, bank: AttentionBank, device: torch.device) -> Tensor:
        """Return what at most 4096 images of a bank have in common, (h, w) float32."""
        if self._log_mean is None or self._log_mean[0] is not bank:
            maps = torch.from_numpy(bank.sample(NUM_MEAN_MAPS))
            common = log_mean_map(maps).unflatten(0, bank.header.grid)
            self._log_mean = bank, common.to(device)
        return self._log_mean[1]

    @abstractmethod
    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the scores of whole images, see the base class."""

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor | None:
        """Return the score of the views' cells; None before the first refresh.

        Samples have ``sample_idx``, ``crop_box``, ``ori_shape``, ``flip`` and
        ``flip_direction``; ValueError where one lacks them or is not in the bank.
        """
        if self.bank is None:
            return None
        device = inputs.device
        ids = np.array([idx for (idx,) in read_metainfo(data_samples, 'sample_idx')])
        crop_box, image_size, flip = view_geometry(data_samples, device)
        maps = self.bank.look_up(ids, device, self.keep)
        if self.debias == 'position':
            maps = without_position(maps, self.log_mean(self.bank, device))
        with full_precision(inputs):
            return view_score(
                maps,
                crop_box,
                image_size,
                flip,
                grid,
                self.crop_mode,
                samples=cell_size,
            )
