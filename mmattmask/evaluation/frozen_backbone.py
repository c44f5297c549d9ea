"""A backbone to evaluate, from a config or a name, with a checkpoint's weights."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.utils import to_2tuple
from mmpretrain.registry import MODELS
from torch import nn

from mmattmask.checkpoints import read_checkpoint
from mmattmask.dataset_configs import has_step, is_rgb
from mmattmask.evaluation.features import Normalisation
from mmattmask.export import load_vit
from mmattmask.export.fit_vit import same_grid
from mmattmask.export.vit_keys import read_encoder
from mmattmask.quiet import quietly
from mmattmask.recorded_config import recorded_backbone, recorded_config

# 'small' is another model in MMPretrain: 8 blocks, 768 wide.
ARCHS = dict(
    tiny='deit-tiny', small='deit-small', base='base', large='large', huge='huge'
)
# What only pre-training uses.
OPTIONAL = (r'mask_token', r'masked_embed')
DEFAULT_SIZE = (224, 224)


def is_config(name: str) -> bool:
    """Tell a config file from the name of a backbone."""
    return name.endswith(('.py', '.json', '.yaml', '.yml'))


def named_backbone(name: str, size: tuple[int, int] = DEFAULT_SIZE) -> dict[str, Any]:
    """Return the config of a plain ViT for images of ``size`` (h, w) px.

    Names are ``vit-ARCH-pPATCH``, such as ``vit-small-p16``: tiny, small, base (the
    models of DeiT, MAE, DINO, iBOT and AttMask), large or huge. ValueError for others.
    """
    match = re.fullmatch(r'vit-([a-z]+)-p(\d+)', name)
    if match is None or match[1] not in ARCHS:
        raise ValueError(
            f'{name!r} is neither a config file nor vit-ARCH-pPATCH with ARCH one of '
            f'{", ".join(ARCHS)}'
        )
    return dict(
        type='VisionTransformer',
        arch=ARCHS[match[1]],
        patch_size=int(match[2]),
        img_size=size,
        out_type='raw',
    )


def read_network(
    config: str,
    options: dict[str, Any] | None,
    size: tuple[int, int] | None,
    checkpoint: str | Path | None,
) -> Config:
    """Return the config with ``model.backbone``, of a file or of a ViT's name.

    Options override a file's. Of a name the config in an MMEngine checkpoint tells
    pixels, training images and, unless ``size`` (h, w) does, the size in px; else they
    are ImageNet's and 224. ValueError for options of a name, or without a backbone.
    """
    if is_config(config):
        with quietly():  # it may import packages
            cfg = Config.fromfile(config)
        cfg.merge_from_dict(options or {})
    elif options:
        raise ValueError(f'--cfg-options need a config file, got {config}')
    else:
        content = None if checkpoint is None else read_checkpoint(checkpoint)
        known = recorded_config(content)
        size = size or recorded_backbone(content).get('img_size') or DEFAULT_SIZE
        model = dict(backbone=named_backbone(config, to_2tuple(size)))
        pixels = (known.get('model') or {}).get('data_preprocessor')
        pixels = pixels or known.get('data_preprocessor')
        loader = known.get('train_dataloader')
        cfg = Config(
            dict(model=model, data_preprocessor=pixels, train_dataloader=loader)
        )
    if 'backbone' not in cfg.get('model', {}):
        raise ValueError(f'{config} has no model.backbone')
    return cfg


def normalisation_of(cfg: Mapping[str, Any]) -> Normalisation:
    """Return the normalisation that a pre-training config's model is trained with.

    ValueError if the pipeline normalises instead of the data preprocessor.
    """
    model = cfg.get('model') or {}
    preprocessor = model.get('data_preprocessor') or cfg.get('data_preprocessor')
    dataset = (cfg.get('train_dataloader') or {}).get('dataset') or {}
    if has_step(dataset, 'Normalize'):
        raise ValueError(
            "the training pipeline has a step 'Normalize', which images of an "
            'evaluation do not go through: give mean and std to data_preprocessor'
        )
    if not preprocessor:
        return Normalisation()
    return Normalisation(
        tuple(preprocessor.get('mean') or (0.0, 0.0, 0.0)),
        tuple(preprocessor.get('std') or (1.0, 1.0, 1.0)),
        is_rgb(dataset) != bool(preprocessor.get('to_rgb', False)),
    )


def load_backbone(
    config: dict[str, Any], checkpoint: str | Path, key: str | None = None
) -> tuple[nn.Module, str]:
    """Build a backbone and give it a checkpoint's weights.

    Args:
        config: The backbone's config.
        checkpoint: An MMEngine, MAE, iBOT, AttMask or DINO file.
        key: Which of its networks, see :func:`mmattmask.export.vit_keys.pick_network`.
            Defaults to the one that is evaluated in the papers: the teacher of iBOT,
            DINO and AttMask, and else the only one. The official evaluation goes on
            with random weights if there is none.

    Returns:
        The backbone, and a line such as ``'matched 150/150 weights of FILE'``.

    Raises:
        ValueError: If weights of the backbone are missing or have another shape.
        FileNotFoundError: If there is no such checkpoint.
    """
    config = {name: value for name, value in config.items() if name != '_scope_'}
    if MODELS.get(config.get('type', '')) is None:
        raise ValueError(f'there is no backbone {config.get("type")!r}')
    backbone = MODELS.build(config)
    weights, source, grid, heads = read_encoder(checkpoint, key)
    grid = grid or same_grid(backbone, weights)
    return backbone, load_vit(backbone, weights, source, grid, OPTIONAL, heads)
