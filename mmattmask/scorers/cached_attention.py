"""Scores from attention maps that the model made of the whole images (AMT)."""

from collections.abc import Sequence
from typing import Any, get_args

import numpy as np
import torch
from torch import Tensor, nn

from mmattmask.datasets.geometry import flip_axes
from mmattmask.masking import reduce_heads, view_score
from mmattmask.masking.attention import HEAD_REDUCTIONS, HeadReduction
from mmattmask.masking.view import CROP_MODES, CropMode
from mmattmask.registry import MODELS
from mmattmask.scorers.bank import AttentionBank, Storage
from mmattmask.scorers.self_attention import check_readable, read_cls_attention


@MODELS.register_module()
class CachedAttention(nn.Module):
    """Look up the model's own attention maps, cropped and flipped like each view.

    The maps are in an :class:`AttentionBank` that ``AttentionRefreshHook`` renews; until
    the first refresh there is no score. The module has no parameters and no state of
    its own in checkpoints.

    Args:
        reduce_heads: How heads become one map: ``'mean_minmax'`` (the paper),
            ``'minmax_mean'`` (the released code) or ``'mean'``.
        crop_mode: ``'aligned'`` (the paper) or ``'official'`` (the released code's
            corner crop).
        storage: ``'float16'`` or ``'uint8'``, half the size.
        block: The encoder block whose attention is read. Defaults to the last.

    Raises:
        ValueError: If an option is unknown or the two do not go together.

    Source: AMT, section "Semantic Information Extraction".
    """

    def __init__(
        self,
        reduce_heads: HeadReduction = 'mean_minmax',
        crop_mode: CropMode = 'aligned',
        storage: Storage = 'float16',
        block: int = -1,
    ) -> None:
        super().__init__()
        options = {
            'reduce_heads': (reduce_heads, HEAD_REDUCTIONS),
            'crop_mode': (crop_mode, CROP_MODES),
            'storage': (storage, get_args(Storage)),
        }
        for name, (value, known) in options.items():
            if value not in known:
                raise ValueError(f'{name} must be one of {known}, got {value!r}')
        if storage == 'uint8' and reduce_heads == 'mean':
            raise ValueError(
                "storage='uint8' needs maps scaled to [0, 1], but reduce_heads='mean' "
                'leaves them near 1 / number of patches'
            )
        self.reduce_heads: HeadReduction = reduce_heads
        self.crop_mode: CropMode = crop_mode
        self.storage: Storage = storage
        self.block = block
        self.bank: AttentionBank | None = None

    def check(self, backbone: nn.Module) -> None:
        """Raise ValueError unless the backbone's attention can be read."""
        check_readable(backbone, self.block)

    def measure(self, backbone: nn.Module, images: Tensor) -> Tensor:
        """Return whole images' scores, (B, L) float32, in [0, 1] unless ``'mean'``.

        Args:
            backbone: The ViT to read.
            images: Normalised images, (B, 3, H, W).
        """
        attention = read_cls_attention(backbone, images, self.block)
        return reduce_heads(attention, self.reduce_heads)

    def forward(
        self,
        data_samples: Sequence[Any],
        grid: tuple[int, int],
        patch_size: int,
        device: torch.device,
    ) -> Tensor | None:
        """Return the score of the views' patches.

        Args:
            data_samples: One DataSample per view with ``sample_idx``, ``crop_box``,
                ``ori_shape``, ``flip`` and ``flip_direction``.
            grid: Patches of a view, (h, w).
            patch_size: Side of a patch in px.
            device: Where the score is wanted.

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
                f'a view came without its geometry ({error}): end the training pipeline '
                "with type='mmattmask.PackInputs'"
            ) from error
        maps = torch.from_numpy(self.bank.maps(ids)).to(device, non_blocking=True)
        boxes = torch.from_numpy(geometry).to(device, non_blocking=True)
        crop_box, image_size, flip = boxes.split([4, 2, 2], dim=1)
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
