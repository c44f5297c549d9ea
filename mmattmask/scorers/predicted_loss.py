"""Scores from the model's guess of how hard each patch is to reconstruct (HPM)."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from mmattmask.masking import min_max
from mmattmask.registry import MODELS
from mmattmask.scorers.self_attention import cut, patch_size_of


@MODELS.register_module()
class PredictedLoss(nn.Module):
    """How large a reconstruction loss the host's EMA teacher predicts for each patch.

    The teacher sees the whole view, unmasked. It belongs to the host, a
    ``LossPredictingMAE``, so this scorer has no state of its own.

    Attributes:
        predictor: From images (B, 3, H, W) to predicted losses (B, L); set by the host.

    Source: HPM, section 3.3.
    """

    predictor: Callable[[Tensor], Tensor] | None = None

    def check(self, backbone: nn.Module) -> None:
        """Do nothing: the teacher has the student's patches."""

    def map_grid(
        self, backbone: nn.Module, image_size: Sequence[int]
    ) -> tuple[int, int]:
        """Return the student's grid (h, w) for images of ``image_size`` (H, W) px."""
        return cut(image_size, patch_size_of(backbone))

    def measure(self, model: nn.Module, images: Tensor) -> Tensor:
        """Return the images' scores, (B, L) float32 in [0, 1].

        Args:
            model: The host; not used.
            images: Normalised images of the training views' size, (B, 3, H, W).

        Raises:
            ValueError: If the host does not predict losses.
        """
        if self.predictor is None:
            raise ValueError(
                "PredictedLoss needs a host with type='mmattmask.LossPredictingMAE': "
                'others do not predict their loss'
            )
        # the order is the prediction's; the scale suits every mask generator
        return min_max(self.predictor(images))

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[Any] | None,
        grid: tuple[int, int],
        patch_size: int,
    ) -> Tensor:
        """Return the score of the views' patches.

        Args:
            inputs: Normalised views, (B, 3, H, W).
            data_samples: Not used.
            grid: Not used.
            patch_size: Not used.

        Returns:
            Score, (B, L) float32 in [0, 1], large = hard to reconstruct.
        """
        return self.measure(nn.Identity(), inputs)
