"""Models of the zoo, built and with their weights."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.models import VisionTransformer
from mmpretrain.registry import MODELS
from mmpretrain.utils import register_all_modules
from torch import nn

from mmattmask.evaluation.features import Normalisation
from mmattmask.evaluation.frozen_backbone import normalisation_of
from mmattmask.export import load_matched, read_state_dict
from mmattmask.export.pretrained import load_pretrained
from mmattmask.zoo.entries import Entry, find_entry, weights_path

# What a backbone is given for pre-training; a plain ViT has its own.
OWN = ('type', '_scope_', 'out_type', 'init_cfg')


def get_model(
    name: str,
    pretrained: bool = False,
    backbone_only: bool = False,
    device: str | torch.device | None = None,
    **kwargs: Any,
) -> nn.Module:
    """Build a model of the zoo; nothing is downloaded.

    Args:
        name: One of ``list_models()``.
        pretrained: Load its weights. Defaults to False, as in MMPretrain: the weights
            are as the constructors leave them, before ``init_weights()``.
        backbone_only: Return the encoder as MMPretrain's ``VisionTransformer`` instead
            of the pre-training model (``GuidedMAE`` and others, with decoder).
        device: Where the model goes. Defaults to the CPU.
        **kwargs: Merged into the config of the model, or of the ViT with
            ``backbone_only``, such as ``out_type='avg_featmap'``, ``img_size=64``
            (positions are interpolated).

    Returns:
        In evaluation mode. Its inputs are normalised images, see :func:`normalisation`;
        a frozen teacher that the config names is neither needed nor loaded.

    Raises:
        ValueError: If there is no such model, its file is not the published one, its
            encoder is no ViT, or ``kwargs`` make another architecture of it.
    """
    entry = find_entry(name)
    cfg = read_config(entry)
    config = plain_vit(cfg.model.backbone, name) if backbone_only else cfg.model
    config = Config(dict(model=config))
    config.merge_from_dict(dict(model=kwargs))
    model = build(config.model)
    if pretrained:
        load(model, name, backbone_only)
    model.to(device or 'cpu').eval()  # MMPretrain's backbones return nothing here
    return model


def normalisation(name: str) -> Normalisation:
    """Return mean and standard deviation, in 0 to 255, that a model's images need.

    Raises:
        ValueError: If there is no such model.
    """
    return normalisation_of(Config.fromfile(find_entry(name).config))


def read_config(entry: Entry) -> Config:
    """Read a model's config, with the preprocessor inside of the model."""
    cfg = Config.fromfile(entry.config)
    cfg.model.setdefault('data_preprocessor', cfg.get('data_preprocessor'))
    return cfg


def build(config: Mapping[str, Any]) -> nn.Module:
    """Build a model without initialising it, in MMPretrain's scope."""
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(config)


def plain_vit(backbone: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the config of MMPretrain's ViT for a backbone of pre-training.

    Raises:
        ValueError: If the backbone is no ViT of MMPretrain's names.
    """
    register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        kind = MODELS.get(backbone['type'])
    if kind is None or not issubclass(kind, VisionTransformer):
        raise ValueError(
            f'the encoder of {name} is a {backbone["type"]}, which has no plain ViT: '
            'leave backbone_only out and use model.backbone'
        )
    known = inspect.signature(VisionTransformer).parameters
    config = {k: v for k, v in backbone.items() if k in known and k not in OWN}
    return dict(type='VisionTransformer', **config)


def load(model: nn.Module, name: str, backbone_only: bool = False) -> str:
    """Load a model's weights and refuse to leave any of it without.

    Returns:
        A line such as ``'matched 150/150 weights of FILE'``.
    """
    path = weights_path(name)
    if backbone_only:
        return load_pretrained(model, path)
    return load_matched(model, read_state_dict(path), path)
