"""A model to look at, from a config or a name, with a checkpoint's weights."""

import dataclasses
import logging
from typing import Any

from mmpretrain.registry import MODELS

from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.frozen_backbone import (
    OPTIONAL,
    is_config,
    load_backbone,
    normalisation_of,
    read_network,
)
from mmattmask.export import load_matched, read_state_dict
from mmattmask.models import IBOT
from mmattmask.scorers.ema_teacher import teacher_backbone
from mmattmask.scorers.self_attention import image_size_of

RANDOM = 'random weights, no checkpoint'
# What is loaded by others, or never: constants, and hidden teachers.
NEVER_SAVED = (*OPTIONAL, r'^data_preprocessor\.')


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A model to look at, in evaluation mode.

    Attributes:
        vit: The module whose attention is read.
        normalisation: What its input is normalised with.
        host: The algorithm; without it there is neither policy nor reconstruction.
        weights: A line about its weights.
    """

    vit: Any
    normalisation: Normalisation
    host: Any = None
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
        key: Which network of the checkpoint, see ``load_backbone``. Of a whole
            algorithm ``'student'``, or ``'teacher'`` where it has an EMA teacher, which
            is looked at by default in self-distillation.
        options: Overrides of the config file.
        size: Height and width of the images in px; with a name only.
        device: Where it runs.

    Raises:
        ValueError: If arguments, config and checkpoint do not fit each other.
    """
    is_file = is_config(config)
    if size is not None and is_file:
        raise ValueError(
            f'--size {size[0]} {size[1]} goes with names such as vit-base-p16; in a '
            'config the size is model.backbone.img_size'
        )
    cfg = read_network(config, options, size, checkpoint)
    model: dict[str, Any] = cfg.model.to_dict()
    state = {} if checkpoint is None or not is_file else read_state_dict(checkpoint)
    parts = {name.split('.')[0] for name in state}
    line = RANDOM
    if not is_file or (state and ('backbone' not in parts or parts == {'backbone'})):
        backbone = {k: v for k, v in model['backbone'].items() if k != '_scope_'}
        if checkpoint is None:
            vit = _initialised(backbone)
        else:
            vit, line = load_backbone(backbone, checkpoint, key)
        return LoadedModel(vit.to(device), normalisation_of(cfg), weights=line)
    model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    host = _initialised(model) if checkpoint is None else MODELS.build(model)
    networks = dict(student=host.backbone)
    if (teacher := teacher_backbone(host)) is not None:
        networks['teacher'] = teacher
    # other hosts have teachers too, but only self-distillation evaluates them
    key = key or ('teacher' if isinstance(host, IBOT) else 'student')
    if key not in networks:
        raise ValueError(f'{type(host).__name__} has no {key!r} but {list(networks)}')
    if checkpoint is not None:
        line = load_matched(host, state, checkpoint, NEVER_SAVED)
    if key == 'teacher':
        line = f'{line} (teacher)'
    host.to(device)
    return LoadedModel(networks[key], normalisation_of(cfg), host, line)


def _initialised(config: dict[str, Any]) -> Any:
    """Build and initialise, without MMEngine's two lines for every parameter."""
    module = MODELS.build(config)
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        module.init_weights()
    finally:
        logging.disable(before)
    return module
