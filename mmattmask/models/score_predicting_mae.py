"""MAE that predicts the patches' score beside their pixels (GPA as a feature)."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmattmask.mask_generators.progress import training_progress
from mmattmask.models.mae import GuidedMAE
from mmattmask.registry import MODELS


@MODELS.register_module()
class ScorePredictingMAE(GuidedMAE):
    """GuidedMAE with masked attention modeling: ``loss_attention`` beside ``loss``.

    Args:
        *args: As for GuidedMAE.
        attention_head: Config of an ``AttentionHead``, without ``neck``. Defaults to
            the paper's variant.
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
        if self.scorer is None:
            raise ValueError(
                'ScorePredictingMAE needs a scorer: there is no score to predict '
                'without one'
            )
        config = {'type': 'mmattmask.AttentionHead', **(attention_head or {})}
        self.attention_head: nn.Module = MODELS.build(
            config, default_args=dict(neck=self.neck)
        )

    def init_weights(self) -> None:
        """Initialise as stock; a second decoder starts as a copy of the first."""
        super().init_weights()
        self.attention_head.start_from(self.neck)

    def loss(
        self, inputs: Tensor, data_samples: Sequence[Any], **kwargs: Any
    ) -> dict[str, Tensor]:
        """Reconstruct the pixels and predict the score.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: One DataSample per view.
            **kwargs: Not used.

        Returns:
            ``loss`` of the pixels as in MAE, and ``loss_attention``.
        """
        score, partition = self.guide(inputs, data_samples)
        neck = self.neck
        with self.use_partition(partition):
            latent, mask, ids_restore = self.backbone(inputs)
            tokens = neck.embed(latent, ids_restore)
            features = neck.decode(tokens)
            loss = self.head.loss(neck.predict(features), inputs, mask)
            loss_attention = self.attention_head.loss(
                neck, tokens, features, score, partition, training_progress()
            )
        return dict(loss=loss, loss_attention=loss_attention)
