"""ViTDet's feature pyramid from one map."""

from typing import Any

from mmengine.model import BaseModule
from mmpretrain.models.utils import build_norm_layer
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.registry import MODELS

NORM = dict(type='LN2d', eps=1e-6)


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Maps of stride 4, 8, 16, 32 and 64 from the last map of a plain ViT (stride 16).

    Args:
        in_channels: Channels of the ViT's map.
        out_channels: Channels of each map of the pyramid.
        norm_cfg: Norm after each convolution, over the channels of a pixel.
        init_cfg: See BaseModule.

    Source: ViTDet, https://arxiv.org/abs/2203.16527, section 3; facebookresearch/
    detectron2 detectron2/modeling/backbone/vit.py.
    """

    def __init__(
        self,
        in_channels: int = 768,
        out_channels: int = 256,
        norm_cfg: dict[str, Any] = NORM,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        half, quarter = in_channels // 2, in_channels // 4
        resize: tuple[list[nn.Module], ...] = (
            [
                nn.ConvTranspose2d(in_channels, half, kernel_size=2, stride=2),
                build_norm_layer(norm_cfg, half),
                nn.GELU(),
                nn.ConvTranspose2d(half, quarter, kernel_size=2, stride=2),
            ],
            [nn.ConvTranspose2d(in_channels, half, kernel_size=2, stride=2)],
            [],
            [nn.MaxPool2d(kernel_size=2, stride=2)],
        )
        self.stages = nn.ModuleList(
            nn.Sequential(
                *layers,
                nn.Conv2d(channels, out_channels, kernel_size=1, bias=False),
                build_norm_layer(norm_cfg, out_channels),
                nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
                build_norm_layer(norm_cfg, out_channels),
            )
            for layers, channels in zip(
                resize, (quarter, half, in_channels, in_channels), strict=True
            )
        )

    def forward(self, inputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Return five maps of one (B, C, h, w), or of the last of several.

        The first is (B, out_channels, 4h, 4w), the last every second pixel of the one
        before.
        """
        x = inputs if isinstance(inputs, Tensor) else inputs[-1]
        maps = [stage(x) for stage in self.stages]
        maps.append(F.max_pool2d(maps[-1], kernel_size=1, stride=2))
        return tuple(maps)
