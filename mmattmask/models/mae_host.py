"""What MAE and its relatives need to be hosts: parts that fit each other."""

from typing import Any

from mmpretrain.models import MAEPretrainDecoder, MAEPretrainHead
from mmpretrain.registry import MODELS as MMPRETRAIN_MODELS
from torch import nn

from mmattmask.mask_generators import BaseMaskGenerator
from mmattmask.models.guided import GuidedHost, PartitionedBackbone
from mmattmask.scorers.self_attention import patch_size_of


class MAEHost(GuidedHost):
    """Mixin for algorithms with an encoder of visible patches and an MAE decoder.

    What can be inferred need not be in the config: the decoder's grid, number of
    patches, patch size, input width and whether there is a CLS token, and the head's
    patch size.

    Args:
        backbone: Config of a :class:`PartitionedBackbone`, or a module.
        neck: Config of a ``GuidedMAEDecoder``, or a module.
        head: Config of a stock head or of a ``GuidedMAEHead``.
        mask_generator: Config of a mask generator.
        scorer: Config of a scorer. Defaults to None: no score.
        **kwargs: As for the stock algorithm.

    Raises:
        ValueError: If the parts do not fit each other.
    """

    def __init__(
        self,
        backbone: dict[str, Any] | nn.Module,
        neck: dict[str, Any] | nn.Module,
        head: dict[str, Any] | nn.Module,
        mask_generator: dict[str, Any] | BaseMaskGenerator,
        scorer: dict[str, Any] | nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        if isinstance(backbone, dict):
            backbone = MMPRETRAIN_MODELS.build(backbone)
        if isinstance(backbone, PartitionedBackbone):
            if isinstance(neck, dict):
                neck = self._complete_neck(neck, backbone)
            if isinstance(head, dict):
                head = self._complete_head(head, backbone)
        super().__init__(backbone, neck, head, **kwargs)
        self.init_guidance(mask_generator, scorer)
        self._check_parts()

    def _complete_neck(self, neck: dict, backbone: nn.Module) -> dict:
        self._check_decoder(MMPRETRAIN_MODELS.get(neck['type']))
        inferred = dict(
            num_patches=backbone.num_patches,
            grid=tuple(backbone.patch_resolution),
            patch_size=patch_size_of(backbone),
            embed_dim=backbone.embed_dims,
            with_cls_token=has_cls_token(backbone),
        )
        return {**inferred, **neck}

    def _complete_head(self, head: dict, backbone: nn.Module) -> dict:
        if not issubclass(MMPRETRAIN_MODELS.get(head['type']), MAEPretrainHead):
            return head
        return {'patch_size': patch_size_of(backbone), **head}

    def _check_parts(self) -> None:
        backbone, neck, head = self.backbone, self.neck, self.head
        self._check_decoder(type(neck))
        grid = tuple(backbone.patch_resolution)
        checks = {
            'grid': (neck.grid, grid),
            'embed_dim': (neck.decoder_embed.in_features, backbone.embed_dims),
        }
        if isinstance(head, MAEPretrainHead):
            patch_size = patch_size_of(backbone)
            pixels = patch_size**2 * head.in_channels
            checks['head.patch_size'] = (head.patch_size, patch_size)
            checks['output'] = (neck.decoder_pred.out_features, pixels)
        for name, (value, expected) in checks.items():
            if value != expected:
                raise ValueError(
                    f'neck or head do not fit the backbone: {name} is {value}, the '
                    f'backbone needs {expected}'
                )
        # our head overrides what takes images for square
        is_stock = getattr(type(head), 'patchify', None) is MAEPretrainHead.patchify
        if grid[0] != grid[1] and is_stock:
            raise ValueError(
                f'{type(head).__name__} takes square images only, the grid is '
                f"{grid[0]} x {grid[1]}: use head type='mmattmask.GuidedMAEHead'"
            )

    def _check_decoder(self, cls: type) -> None:
        if not issubclass(cls, MAEPretrainDecoder) or not hasattr(cls, 'partition'):
            raise ValueError(
                f"{type(self).__name__} needs neck type='mmattmask.GuidedMAEDecoder', "
                f'got {cls.__name__}'
            )


def has_cls_token(backbone: nn.Module) -> bool:
    """Return whether a backbone's tokens begin with a CLS token."""
    return getattr(backbone, 'cls_token', None) is not None
