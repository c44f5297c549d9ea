"""Tiny ViTs of this and other projects with random weights, and their features."""

import torch
from mmengine.registry import MODELS
from mmpretrain.models import VisionTransformer
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

ARCH = dict(embed_dims=24, num_layers=2, num_heads=2, feedforward_channels=48)
SIZE, PATCH = (32, 48), 8
SIZES = dict(
    img_size=SIZE, patch_size=PATCH, embed_dim=24, depth=2, num_heads=2, mlp_ratio=2
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


def hugging_face_features(folder, config) -> torch.Tensor:
    """ViTModel.forward of transformers 4, written down from its weights."""
    state = load_file(folder / 'model.safetensors')

    def linear(x, name):
        return F.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])

    def norm(x, name):
        eps = config['layer_norm_eps']
        return F.layer_norm(
            x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'], eps
        )

    start = 'embeddings.patch_embeddings.projection'
    weights = state[f'{start}.weight'], state[f'{start}.bias']
    x = F.conv2d(images(), *weights, stride=config['patch_size'])
    x = x.flatten(2).transpose(1, 2)
    cls = state['embeddings.cls_token'].expand(len(x), -1, -1)
    x = torch.cat([cls, x], dim=1) + state['embeddings.position_embeddings']
    heads = config['num_attention_heads']
    for index in range(config['num_hidden_layers']):
        block = f'encoder.layer.{index}'
        y = norm(x, f'{block}.layernorm_before')
        parts = [
            linear(y, f'{block}.attention.attention.{part}')
            .unflatten(2, (heads, -1))
            .transpose(1, 2)
            for part in ('query', 'key', 'value')
        ]
        y = F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2)
        x = x + linear(y, f'{block}.attention.output.dense')
        y = F.gelu(
            linear(norm(x, f'{block}.layernorm_after'), f'{block}.intermediate.dense')
        )
        x = x + linear(y, f'{block}.output.dense')
    return norm(x, 'layernorm')
