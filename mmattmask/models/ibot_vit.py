"""The ViT of iBOT, AttMask and DINO."""

from typing import Any

import torch
from mmengine.model.weight_init import trunc_normal_
from mmpretrain.models import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from mmattmask.registry import MODELS


@MODELS.register_module()
class IBOTViT(VisionTransformer):
    """Stock VisionTransformer with a mask token, for crops of several sizes.

    Args:
        *args: As for VisionTransformer. ``arch='deit-small'`` is the ViT-S of the
            papers; the stock ``'small'`` is another one.
        with_mask_token: Learn what stands in for masked patches.
        out_type: As for VisionTransformer; ``'raw'`` is all tokens, CLS first.
        **kwargs: As for VisionTransformer.

    Source: bytedance/ibot models/vision_transformer.py.
    """

    def __init__(
        self,
        *args: Any,
        with_mask_token: bool = True,
        out_type: str = 'raw',
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, out_type=out_type, **kwargs)
        token = nn.Parameter(torch.zeros(1, 1, self.embed_dims))
        self.register_parameter('mask_token', token if with_mask_token else None)

    def init_weights(self) -> None:
        """Initialise as the released code does; patch embedding and mask as built."""
        super().init_weights()
        if isinstance(self.init_cfg, dict) and self.init_cfg['type'] == 'Pretrained':
            return
        # Differs from MMPretrain: truncated normal everywhere, not only for positions.
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.cls_token is not None:
            trunc_normal_(self.cls_token, std=0.02)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the position embedding for a grid of (h, w) patches, (1, 1 + L, C)."""
        if tuple(grid) == tuple(self.patch_resolution):
            return self.pos_embed
        extra, patches = self.pos_embed.tensor_split([self.num_extra_tokens], dim=1)
        patches = patches.transpose(1, 2).unflatten(2, tuple(self.patch_resolution))
        # Differs from MMPretrain: the released code gives scale factors, a tenth of a
        # patch too large against rounding errors, and so samples at other points.
        scale = [
            (target + 0.1) / source
            for target, source in zip(grid, self.patch_resolution, strict=True)
        ]
        patches = F.interpolate(patches, scale_factor=scale, mode='bicubic')
        return torch.cat([extra, patches.flatten(2).transpose(1, 2)], dim=1)

    def embed(self, x: Tensor, mask: Tensor | None) -> tuple[Tensor, tuple[int, int]]:
        """Turn images into tokens with positions, (B, 1 + L, C), and tell the grid.

        ValueError for a mask without a mask token.
        """
        x, grid = self.patch_embed(x)
        if mask is not None:
            if self.mask_token is None:
                raise ValueError(
                    f'{type(self).__name__} was given a mask, but has no mask token: '
                    'set with_mask_token=True'
                )
            masked = mask.flatten(1).unsqueeze(-1).bool()
            x = torch.where(masked, self.mask_token.to(x.dtype), x)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        return self.drop_after_pos(x + self.positions(grid)), grid

    def forward(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, ...]:
        """Run the ViT on images of any size, as the stock one does without a mask.

        The mask token replaces patches where ``mask``, (B, h, w) or (B, L), is 1 or
        True. ValueError if there is no such token.
        """
        x, grid = self.embed(x, mask)
        x = self.pre_norm(x)
        # As VisionTransformer.forward of mmpretrain 1.2.0 from here on.
        outputs = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i == len(self.layers) - 1 and self.final_norm:
                x = self.ln1(x)
            if i in self.out_indices:
                outputs.append(self._format_output(x, grid))
        return tuple(outputs)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        if self.mask_token is None:  # a teacher takes its student's weights
            state_dict.pop(f'{prefix}mask_token', None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
