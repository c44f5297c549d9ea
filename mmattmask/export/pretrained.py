"""Pre-trained weights for a ViT under MMPretrain's names, by ``init_cfg``.

Stock ``init_cfg=dict(type='Pretrained', ...)`` trains from random weights, without an
error, when the names of a checkpoint do not fit. This one converts, and refuses.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from mmengine.logging import print_log
from mmengine.model import update_init_info
from torch import nn

from mmattmask.checkpoints import OPTIONAL
from mmattmask.export.fit_vit import load_vit
from mmattmask.export.vit_keys import read_encoder
from mmattmask.registry import WEIGHT_INITIALIZERS


@WEIGHT_INITIALIZERS.register_module(name='Pretrained')
class PretrainedViT:
    """Start a backbone from a checkpoint of any source, in a config.

    ``init_cfg=dict(type='Pretrained', _scope_='mmattmask', checkpoint=FILE)`` works for
    backbones of MMPretrain in MMPretrain, MMDetection and MMSegmentation. The name is
    the stock one on purpose: MMEngine initialises all parts of a model after any other
    initialiser, over the loaded weights.

    Args:
        checkpoint: A file of this project, of official MAE, iBOT, AttMask or SimMIM,
            or of timm (``.safetensors`` too).
        prefix: What the names begin with in a file of several networks, such as
            ``'teacher.'``. Defaults to the backbone; of iBOT, DINO and AttMask, the
            teacher's, and ``'student'`` is the other.
        grid: Patches (h, w) of the checkpoint's position embedding. Defaults to what
            the config in an MMEngine checkpoint says, or a square.
        optional: Patterns of names that the checkpoint may lack.
    """

    def __init__(
        self,
        checkpoint: str | Path,
        prefix: str | None = None,
        grid: tuple[int, int] | None = None,
        optional: Iterable[str] = OPTIONAL,
    ) -> None:
        self.checkpoint = checkpoint
        self.prefix = prefix
        self.grid = grid
        self.optional = tuple(optional)

    def load(self, module: nn.Module) -> str:
        """Load the weights into a ViT; return a line that says so.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is damaged, has another architecture, or anything
                but ``optional`` would keep its random values.
        """
        if not str(self.checkpoint):
            raise ValueError(
                'no checkpoint is given: add --cfg-options '
                'model.backbone.init_cfg.checkpoint=FILE'
            )
        prefix = self.prefix and self.prefix.removesuffix('.')
        read = read_encoder(self.checkpoint, prefix)
        grid, optional = self.grid or read.grid, self.optional
        return load_vit(
            module, read.weights, read.source, grid, optional, read.num_heads
        )

    def __call__(self, module: nn.Module) -> None:
        """Load the weights, as MMEngine asks for it."""
        cfgs = getattr(module, 'init_cfg', None) or []
        # backbones initialise themselves after it unless it is one dict of this type
        if not isinstance(cfgs, Mapping) or cfgs['type'] != 'Pretrained':
            raise ValueError(
                "write init_cfg=dict(type='Pretrained', _scope_='mmattmask', ...), not "
                'a list; in a list, or after any other type, what was loaded is '
                'overwritten'
            )
        matched = self.load(module)
        print_log(matched, logger='current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, f'PretrainedViT: {matched}')
