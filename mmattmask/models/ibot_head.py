"""The projection head of iBOT and DINO."""

from itertools import pairwise
from typing import Any

from mmcv.cnn import build_activation_layer
from mmengine.model import BaseModule
from mmengine.model.weight_init import trunc_normal_
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from mmattmask.masking.attention import at_least_float32, full_precision
from mmattmask.registry import MODELS


@MODELS.register_module()
class IBOTHead(BaseModule):
    """MLP, L2 normalisation, and a linear layer to prototypes of learned length.

    Args:
        in_channels: Width of the tokens. The host fills it in.
        out_channels: Prototypes of CLS tokens, K.
        patch_out_channels: Prototypes of patches, with a last layer of their own.
            Defaults to None: patches share that of the CLS tokens (``shared_head``).
        hid_channels: Width of the MLP.
        bottleneck_channels: Width before the last layer.
        num_layers: Linear layers of the MLP, at least 1.
        norm_last_layer: Keep the length of every prototype at 1. The released code
            recommends it for ViT-B and larger; for ViT-S lengths are learned.
        act_cfg: Activation of the MLP. Defaults to GELU.
        init_cfg: As for BaseModule.

    Raises:
        ValueError: If a size is less than 1.

    Source: bytedance/ibot models/head.py.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int = 8192,
        patch_out_channels: int | None = None,
        hid_channels: int = 2048,
        bottleneck_channels: int = 256,
        num_layers: int = 3,
        norm_last_layer: bool = True,
        act_cfg: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        hidden = [hid_channels] * (num_layers - 1)
        widths = [in_channels, *hidden, bottleneck_channels]
        if num_layers < 1 or min(*widths, out_channels, patch_out_channels or 1) < 1:
            raise ValueError(
                f'num_layers ({num_layers}) and all widths must be at least 1, got '
                f'{widths}, {out_channels} and {patch_out_channels}'
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.patch_out_channels = patch_out_channels or out_channels
        layers: list[nn.Module] = []
        for width, next_width in pairwise(widths):
            layers += [nn.Linear(width, next_width)]
            layers += [build_activation_layer(act_cfg or dict(type='GELU'))]
        self.mlp = nn.Sequential(*layers[:-1])
        self.last_layer = _prototypes(
            bottleneck_channels, out_channels, norm_last_layer
        )
        self.patch_last_layer: nn.Module | None = None
        if patch_out_channels is not None:
            self.patch_last_layer = _prototypes(
                bottleneck_channels, patch_out_channels, norm_last_layer
            )

    def init_weights(self) -> None:
        """Initialise the MLP; the last layers stay as they were built."""
        super().init_weights()
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def project(self, x: Tensor) -> Tensor:
        """Turn tokens (..., C) into directions (..., bottleneck) of length 1."""
        return F.normalize(self.mlp(x), dim=-1, eps=1e-12)

    def cls_logits(self, z: Tensor) -> Tensor:
        """Compare projected CLS tokens with the prototypes, (..., K)."""
        return self.last_layer(z)

    def patch_logits(self, z: Tensor) -> Tensor:
        """Compare projected patches with their prototypes, (..., K)."""
        return self._patch_layer(z)

    @property
    def _patch_layer(self) -> Any:
        own = self.patch_last_layer
        return self.last_layer if own is None else own

    def mean_patch_logits(self, z: Tensor) -> Tensor:
        """Return the mean output (K,) of projected patches, without computing any.

        The last layer has no bias, so the mean of its outputs is its output for the
        mean.
        """
        with full_precision(z):
            mean = at_least_float32(z).mean(dim=(0, 1))
            return F.linear(mean, at_least_float32(self._patch_layer.weight))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of CLS (B, K) and patches (B, L, K), from all tokens."""
        z = self.project(x)
        return self.cls_logits(z[:, 0]), self.patch_logits(z[:, 1:])


def _prototypes(in_channels: int, out_channels: int, fixed_length: bool) -> nn.Module:
    """Linear layer whose rows have a direction, and a length that starts at 1."""
    layer = weight_norm(nn.Linear(in_channels, out_channels, bias=False), dim=0)
    length = layer.parametrizations.weight.original0
    nn.init.ones_(length)
    length.requires_grad_(not fixed_length)
    return layer
