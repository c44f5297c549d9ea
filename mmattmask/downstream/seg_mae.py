"""MMSegmentation's MAE backbone that loads what it is given, or refuses.

Needs MMSegmentation; configs import it with ``custom_imports``.
"""

from typing import Any

from mmengine.model import initialize
from mmseg.models import MAE

from mmattmask.registry import MODELS


@MODELS.register_module()
class SegMAE(MAE):
    """MMSegmentation's MAE backbone with mmattmask's loader of checkpoints.

    The stock class loads nothing, and says nothing, when the names of a checkpoint
    begin with ``backbone.``: all of MMPretrain's do. Beyond a plain ViT it has relative
    position biases and layer scales, which start at 0 and ``init_values``.

    Args:
        *args: As for MMSegmentation's MAE.
        **kwargs: As for MMSegmentation's MAE. With
            ``init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint=FILE)``
            the file may come from any source that ``PretrainedViT`` reads.
    """

    init_cfg: Any

    @property
    def patch_resolution(self) -> tuple[int, int]:
        """The grid (h, w) of the position embedding."""
        return tuple(self.patch_shape)

    def init_weights(self) -> None:
        """Initialise, then load the checkpoint if the config names one."""
        init_cfg, self.init_cfg = self.init_cfg, None
        super().init_weights()
        self.init_cfg = init_cfg
        if init_cfg:
            initialize(self, init_cfg)
