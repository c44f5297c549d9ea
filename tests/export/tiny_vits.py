"""Tiny ViTs of this and other projects with random weights, and their features."""

import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer
from safetensors.torch import load_file
from torch import nn

ARCH = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
SIZE, PATCH = (32, 48), 8
SIZES = dict(
    img_size=SIZE, patch_size=PATCH, embed_dim=24, depth=2, num_heads=2, mlp_ratio=2
)
TIMM = (
    ('.ffn.layers.0.0.', '.mlp.fc1.'),
    ('.ffn.layers.1.', '.mlp.fc2.'),
    ('layers.', 'blocks.'),
    ('patch_embed.projection', 'patch_embed.proj'),
    ('.ln1.', '.norm1.'),
    ('.ln2.', '.norm2.'),
)
CONVVIT = dict(embed_dims=(4, 8, 24), depths=(1, 2, 2), num_heads=2, strides=(4, 2, 1))


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    module.eval()  # of MMPretrain returns nothing
    return module


def vit(seed=0, **changes) -> VisionTransformer:
    defaults = dict(arch=ARCH, img_size=SIZE, patch_size=PATCH, out_type='raw')
    return randomised(VisionTransformer(**{**defaults, **changes}), seed)


def simmim_vit(**changes) -> nn.Module:
    config = dict(
        type='mmattmask.SimMIMViT',
        arch=ARCH,
        img_size=SIZE,
        patch_size=PATCH,
        use_rel_pos_bias=False,
        use_shared_rel_pos_bias=True,
        out_type='raw',
    )
    return randomised(MODELS.build({**config, **changes}))


def images() -> torch.Tensor:
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def save(state, path, prefix='backbone.', **others):
    """A training checkpoint of this project."""
    state = {prefix + name: value for name, value in state.items()}
    torch.save({'state_dict': {**state, **others}, 'meta': {'epoch': 3}}, path)
    return path


def load(path):
    if path.suffix == '.safetensors':
        return load_file(path)
    return torch.load(path, weights_only=True)


def prefixed(prefix, state):
    return {prefix + name: value for name, value in state.items()}


def timm_names(state):
    """Weights of MMPretrain's ViT as timm, MAE, DINO, iBOT and AttMask call them."""
    renamed = {}
    for name, value in state.items():
        if name.startswith('ln1.'):
            name = name.replace('ln1.', 'norm.')
        for ours, theirs in TIMM:
            name = name.replace(ours, theirs)
        renamed[name] = value
    return renamed
