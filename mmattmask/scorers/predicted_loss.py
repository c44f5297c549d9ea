"""Scores from the model's guess of how hard each patch is to reconstruct (HPM)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmattmask.masking import (
    PatchPartition,
    min_max,
    relative_order_loss,
    z_score_loss,
)
from mmattmask.masking.attention import low_precision
from mmattmask.registry import MODELS
from mmattmask.scorers.base import Scorer
from mmattmask.scorers.ema_teacher import EMATeacher
from mmattmask.scorers.score_decoder import ScoreDecoder


@MODELS.register_module()
class PredictedLoss(Scorer):
    """How large a reconstruction loss an EMA teacher predicts for each patch.

    A second decoder on the host's decoder tokens learns the losses of the masked
    patches (``loss_prediction``). Its EMA teacher sees the whole view, unmasked; what
    it predicts is the score. It needs
    ``custom_hooks=[dict(type='mmattmask.LinearEMATeacherHook')]``.

    HPM's masks are those of a ``SoftToHardMaskGenerator`` with ``soft=(0, 0)``,
    ``hard=(0, 0.5)`` and ``include_current=True``.

    Args:
        relative: Learn which of two patches of an image has the larger loss; False
            learns the losses, z-scored per image.
        loss_weight: Weight of ``loss_prediction``.
        depth: Blocks of the second decoder. Defaults to the pixel decoder's.

    Raises:
        ValueError: If ``loss_weight`` is negative or ``depth`` is out of range.

    Source: HPM, section 3.3, Eq. 5-6; Haochen-Wang409/HPM models_mae_learn_loss.py,
    engine_pretrain.py.
    """

    paired_hooks = ('LinearEMATeacherHook', 'EMATeacherHook')

    def __init__(
        self,
        relative: bool = True,
        loss_weight: float = 1.0,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        if loss_weight < 0:
            raise ValueError(f'loss_weight must be at least 0, got {loss_weight}')
        self.relative = relative
        self.loss_weight = loss_weight
        self.depth = depth

    def bind(self, host: nn.Module) -> None:
        """Make a second decoder of the host's make, and the teacher, or ValueError."""
        neck: Any = getattr(host, 'neck', None)
        if not hasattr(neck, 'decoder_blocks') or not hasattr(neck, 'embed'):
            raise ValueError(
                "PredictedLoss needs a host with type='mmattmask.GuidedMAEDecoder', "
                f'{type(host).__name__} has {type(neck).__name__}'
            )
        encoder: Any = host.backbone
        kind, number = getattr(encoder, 'out_type', None), len(encoder.out_indices)
        if (kind, number) != ('raw', 1):
            raise ValueError(
                'PredictedLoss reads the tokens of the last block: out_type must be '
                f"'raw' with one of out_indices, {type(encoder).__name__} has {kind!r} "
                f'with {number}'
            )
        self.num_extra_tokens = neck.num_extra_tokens
        self.grid = tuple(neck.grid)
        self.decoder = ScoreDecoder(neck, self.depth)
        self.teacher = EMATeacher(
            host,
            'guidance.scorer.teacher',
            backbone='backbone',
            neck='neck',
            decoder='guidance.scorer.decoder',
        )

    @torch.no_grad()
    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the images' scores, (B, L) float32 in [0, 1]."""
        # the order is the prediction's; the scale suits every mask generator
        return min_max(self.predict(images))

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Let the teacher predict the loss of every patch, (B, L) float32 of any scale.

        ValueError if the images do not have the training views' size.
        """
        teacher = self.teacher
        grid = self.map_grid(teacher['backbone'], images.shape[-2:])
        if grid != self.grid:
            raise ValueError(
                f'losses are predicted on a grid of {self.grid} patches, images of '
                f'{images.shape[-2]} x {images.shape[-1]} px have {grid}'
            )
        neck: Any = teacher['neck']
        # every patch is visible, in raster order
        ids_restore = torch.arange(grid[0] * grid[1], device=images.device)
        with low_precision(images):
            (tokens,) = teacher['backbone'](images, mask=None)
            tokens = neck.embed(tokens, ids_restore.expand(len(images), -1))
            return teacher['decoder'](tokens)[:, self.num_extra_tokens :]

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None,
        grid: tuple[int, int],
        cell_size: int,
    ) -> Tensor:
        """Return the score of the views' patches, (B, L) float32 in [0, 1]."""
        return self.measure(self, inputs)

    def loss(
        self,
        score: Tensor,
        partition: PatchPartition,
        error: Tensor,
        progress: float,
        tokens: Tensor,
    ) -> dict[str, Tensor]:
        """Compare predicted and true losses of the masked patches."""
        pred = self.decoder(tokens)[:, self.num_extra_tokens :]
        pred, error = (
            values.gather(1, partition.ids_mask)
            for values in (partition.to_raster(pred), error)
        )
        compare = relative_order_loss if self.relative else z_score_loss
        return dict(loss_prediction=self.loss_weight * compare(pred, error))
