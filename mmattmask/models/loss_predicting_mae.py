"""MAE that predicts its own loss for each patch, to be masked by it (HPM)."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmattmask.masking import PatchPartition, relative_order_loss, z_score_loss
from mmattmask.masking.attention import at_least_float32
from mmattmask.models.ema_teacher import EMATeacherHost
from mmattmask.models.mae import GuidedMAE, GuidedMAEDecoder
from mmattmask.models.score_decoder import ScoreDecoder
from mmattmask.registry import MODELS
from mmattmask.scorers import PredictedLoss


@MODELS.register_module()
class LossPredictionHead(BaseModule):
    """Predict the reconstruction loss of the masked patches with a second decoder.

    Args:
        neck: The pixel decoder; the host fills it in.
        relative: Learn which of two patches of an image has the larger loss; False
            learns the losses, z-scored per image. Defaults to True.
        loss_weight: Weight of the loss. Defaults to 1.
        depth: Blocks of the second decoder. Defaults to the pixel decoder's.

    Raises:
        ValueError: If ``loss_weight`` is negative or ``depth`` is out of range.

    Source: HPM, Eq. 5-6; Haochen-Wang409/HPM models_mae_learn_loss.py.
    """

    def __init__(
        self,
        neck: GuidedMAEDecoder,
        relative: bool = True,
        loss_weight: float = 1.0,
        depth: int | None = None,
    ) -> None:
        super().__init__()
        if loss_weight < 0:
            raise ValueError(f'loss_weight must be at least 0, got {loss_weight}')
        self.relative = relative
        self.loss_weight = loss_weight
        self.num_extra_tokens = neck.num_extra_tokens
        self.decoder = ScoreDecoder(neck, depth)

    def forward(self, tokens: Tensor) -> Tensor:
        """Predict the loss of patches.

        Args:
            tokens: Decoder tokens, CLS first, (B, 1 + N, D).

        Returns:
            (B, N), at least float32, in the order of the tokens.
        """
        return self.decoder(tokens)[:, self.num_extra_tokens :]

    def loss(self, pred: Tensor, target: Tensor, partition: PatchPartition) -> Tensor:
        """Compare predicted and true losses of the masked patches.

        Args:
            pred: Predictions in raster order, (B, L).
            target: Reconstruction losses, (B, L); no gradient flows into them.
            partition: The partition of this batch.

        Returns:
            Scalar, weighted.
        """
        compare = relative_order_loss if self.relative else z_score_loss
        ids = partition.ids_mask
        return self.loss_weight * compare(pred.gather(1, ids), target.gather(1, ids))


@MODELS.register_module()
class LossPredictingMAE(EMATeacherHost, GuidedMAE):
    """GuidedMAE that learns where its reconstruction fails and is masked there.

    ``loss_prediction`` appears beside ``loss``. An EMA teacher predicts the losses of
    the whole view, which are the score (``PredictedLoss``); it needs
    ``custom_hooks=[dict(type='mmattmask.LinearEMATeacherHook')]``.

    HPM's masks are those of a ``SoftToHardMaskGenerator`` with ``soft=(0, 0)``,
    ``hard=(0, 0.5)`` and ``include_current=True``.

    Args:
        *args: As for GuidedMAE.
        scorer: Config of a ``PredictedLoss``, the default.
        loss_head: Config of a ``LossPredictionHead``, without ``neck``.
        **kwargs: As for GuidedMAE.

    Raises:
        ValueError: If the scorer is another, or the parts do not fit each other.

    Source: HPM; Haochen-Wang409/HPM engine_pretrain.py.
    """

    def __init__(
        self,
        *args: Any,
        scorer: dict[str, Any] | nn.Module | None = None,
        loss_head: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if scorer is None:
            scorer = dict(type='mmattmask.PredictedLoss')
        super().__init__(*args, scorer=scorer, **kwargs)
        if not isinstance(self.scorer, PredictedLoss):
            raise ValueError(
                "LossPredictingMAE needs scorer type='mmattmask.PredictedLoss', got "
                f'{type(self.scorer).__name__}'
            )
        config = {'type': 'mmattmask.LossPredictionHead', **(loss_head or {})}
        self.loss_head: nn.Module = MODELS.build(
            config, default_args=dict(neck=self.neck)
        )
        self.init_teacher('backbone', 'neck', 'loss_head')
        self.scorer.predictor = self.predict_loss

    @torch.no_grad()
    def predict_loss(self, images: Tensor) -> Tensor:
        """Let the teacher predict the loss of every patch of whole images.

        Args:
            images: Normalised images of the training views' size, (B, 3, H, W).

        Returns:
            (B, L) float32, any scale and sign.

        Raises:
            ValueError: If the images have another size.
        """
        grid = self.policy_grid(images.shape[-2:])
        if grid != tuple(self.neck.grid):
            raise ValueError(
                f'losses are predicted on a grid of {tuple(self.neck.grid)} patches, '
                f'images of {images.shape[-2]} x {images.shape[-1]} px have {grid}'
            )
        (tokens,) = self.teacher['backbone'](images, mask=None)
        # every patch is visible, in raster order
        ids_restore = torch.arange(grid[0] * grid[1], device=images.device)
        ids_restore = ids_restore.expand(len(images), -1)
        tokens = self.teacher['neck'].embed(tokens, ids_restore)
        return self.teacher['loss_head'](tokens)

    def loss(
        self, inputs: Tensor, data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Reconstruct the masked patches and predict how badly that goes.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: One DataSample per view; None is enough.
            **kwargs: Not used.

        Returns:
            ``loss`` of the pixels as in MAE, and ``loss_prediction``.
        """
        partition = self.partition(inputs, data_samples)
        neck, head = self.neck, self.head
        with self.use_partition(partition):
            latent, mask, ids_restore = self.backbone(inputs)
            tokens = neck.embed(latent, ids_restore)
            pixels = neck.predict(neck.decode(tokens))
            pred = neck.to_raster(self.loss_head(tokens).unsqueeze(-1)).squeeze(-1)
        with torch.no_grad():
            error = at_least_float32(pixels) - head.construct_target(inputs)
            target = error.square().mean(dim=-1)
        return dict(
            loss=head.loss(pixels, inputs, mask),
            loss_prediction=self.loss_head.loss(pred, target, partition),
        )
