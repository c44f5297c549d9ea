"""MAE that predicts the patches' score beside their pixels (GPA as a feature)."""

import copy
from typing import Any

import torch
from torch import Tensor

from mmattmask.mask_generators.progress import training_progress
from mmattmask.masking import PatchPartition
from mmattmask.models.attention_head import AttentionHead
from mmattmask.models.mae import GuidedMAE
from mmattmask.models.mae_decoder import Decoded
from mmattmask.registry import MODELS


@MODELS.register_module()
class ScorePredictingMAE(GuidedMAE):
    """GuidedMAE with masked attention modeling: ``loss_attention`` beside ``loss``.

    Args:
        *args: As for GuidedMAE.
        attention_head: Config of an ``AttentionHead``, without ``neck``.
        **kwargs: As for GuidedMAE; a scorer is needed.

    Raises:
        ValueError: If there is no scorer, or the parts do not fit each other.

    Source: GPA, section 3.3.
    """

    def __init__(
        self,
        *args: Any,
        attention_head: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        if self.guidance.scorer is None:
            raise ValueError(
                'ScorePredictingMAE needs a scorer: there is no score to predict '
                'without one'
            )
        config = {'type': 'mmattmask.AttentionHead', **(attention_head or {})}
        self.attention_head: AttentionHead = MODELS.build(
            config, default_args=dict(neck=self.neck)
        )

    def init_weights(self) -> None:
        """Initialise as stock; a second decoder starts as a copy of the first.

        Unless ``init_cfg`` of the model loads a file that has one.
        """
        config = self.init_cfg if isinstance(self.init_cfg, dict) else {}
        before = copy.deepcopy(self.attention_head.state_dict())
        super().init_weights()
        after = self.attention_head.state_dict()
        if config.get('type') != 'Pretrained' or all(
            torch.equal(value, after[name]) for name, value in before.items()
        ):
            self.attention_head.start_from(self.neck)

    def other_losses(
        self,
        target: Tensor,
        score: Tensor | None,
        partition: PatchPartition,
        decoded: Decoded,
    ) -> dict[str, Tensor]:
        """Return ``loss_attention``, and what the scorer learns."""
        losses = super().other_losses(target, score, partition, decoded)
        if score is not None:
            size = self.backbone.img_size
            score = self.guidance.spread_values(score, size).flatten(1)
        loss = self.attention_head.loss(
            self.neck, decoded, score, partition, training_progress()
        )
        return losses | dict(loss_attention=loss)
