"""A model to look at, from a config or a name, with a checkpoint's weights."""

import dataclasses
import logging
from typing import Any

from mmengine.config import Config
from mmpretrain.registry import MODELS
from torch import nn

from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.frozen_backbone import (
    OPTIONAL,
    load_backbone,
    named_backbone,
    normalisation_of,
)
from mmattmask.export import load_matched, read_state_dict
from mmattmask.models import IBOT
from mmattmask.scorers.self_attention import image_size_of

CONFIG_SUFFIXES = ('.py', '.json', '.yaml', '.yml')
RANDOM = 'random weights, no checkpoint'
# What is loaded by others, or never: constants, and hidden teachers.
NEVER_SAVED = (*OPTIONAL, r'^data_preprocessor\.')


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model to look at, in evaluation mode.

    Attributes:
        vit: Whose attention is read.
        normalisation: What its input is normalised with.
        host: The whole algorithm, or None: then there is neither policy nor
            reconstruction.
        weights: A line about its weights.
    """

    vit: nn.Module
    normalisation: Normalisation
    host: nn.Module | None = None
    weights: str = RANDOM

    def __post_init__(self) -> None:
        """Leave training mode."""
        for module in (self.vit, self.host):
            if module is not None:
                module.eval()  # returns nothing in MMPretrain

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of its images in px."""
        return image_size_of(self.vit)


def load_model(
    config: str,
    checkpoint: str | None = None,
    key: str | None = None,
    options: dict[str, Any] | None = None,
    size: tuple[int, int] | None = None,
    device: str = 'cpu',
) -> LoadedModel:
    """Build a model and give it a checkpoint's weights.

    A checkpoint of the config's whole algorithm fills all of it. One of a backbone
    alone (official MAE, DINO, iBOT and AttMask files) fills the backbone; there is
    neither policy nor reconstruction then.

    Args:
        config: A config file, or the name of a ViT such as ``'vit-base-p16'``.
        checkpoint: Weights; None leaves them as they are initialised.
        key: Which network of the checkpoint, see ``read_weights``. Of a whole
            self-distillation the teacher is looked at, unless this is ``'student'``.
        options: Overrides of the config file.
        size: Height and width of the images in px; with a name only.
        device: Where it runs.

    Raises:
        ValueError: If arguments, config and checkpoint do not fit each other.
        FileNotFoundError: If a file is missing.
    """
    if not config.endswith(CONFIG_SUFFIXES):
        if options:
            raise ValueError(f'--cfg-options need a config file, got {config}')
        vit = named_backbone(config, size or (224, 224))
        vit, line = _backbone(vit, checkpoint, key)
        return LoadedModel(vit.to(device), Normalisation(), None, line)
    if size is not None:
        raise ValueError(
            f'--size {size[0]} {size[1]} goes with names such as vit-base-p16; in a '
            'config the size is model.backbone.img_size'
        )
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(options or {})
    if 'backbone' not in cfg.get('model', {}):
        raise ValueError(f'{config} has no model.backbone')
    vit, host, line = _whole_or_backbone(cfg, checkpoint, key)
    if host is not None:
        host.to(device)  # may hide the teacher
    return LoadedModel(vit.to(device), normalisation_of(cfg), host, line)


def _whole_or_backbone(
    cfg: Config, checkpoint: str | None, key: str | None
) -> tuple[nn.Module, nn.Module | None, str]:
    """Return what is looked at, its host if there are weights for it, and a line."""
    state = {} if checkpoint is None else read_state_dict(checkpoint)
    parts = {name.split('.')[0] for name in state}
    if checkpoint is not None and ('backbone' not in parts or parts == {'backbone'}):
        vit, line = _backbone(cfg.model.backbone.to_dict(), checkpoint, key)
        return vit, None, line
    config = cfg.model.to_dict()
    if cfg.get('data_preprocessor') and not config.get('data_preprocessor'):
        config['data_preprocessor'] = cfg.data_preprocessor.to_dict()
    host = MODELS.build(config)
    if checkpoint is None:
        _initialise(host)
        line = RANDOM
    else:
        line = load_matched(host, state, checkpoint, NEVER_SAVED)
    # other hosts have teachers too, but only self-distillation evaluates them
    if isinstance(host, IBOT) and key != 'student':
        return host.teacher['backbone'], host, f'{line} (teacher)'
    return host.backbone, host, line


def _backbone(
    config: dict[str, Any], checkpoint: str | None, key: str | None
) -> tuple[nn.Module, str]:
    if checkpoint is not None:
        return load_backbone(config, checkpoint, key)
    vit = MODELS.build({k: v for k, v in config.items() if k != '_scope_'})
    _initialise(vit)
    return vit, RANDOM


def _initialise(module: nn.Module) -> None:
    """Initialise without MMEngine's two lines for every parameter."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        module.init_weights()
    finally:
        logging.disable(before)
