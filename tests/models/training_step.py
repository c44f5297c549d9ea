"""One training step of a model, its gradients, and models of golden cases."""

import torch


def step(model, seed=5, size=(48, 48)) -> dict:
    """Losses of one step; its gradients are in the model."""
    torch.manual_seed(seed)
    images = torch.randn(3, 3, *size)
    losses = model(images, None, mode='loss')
    model.parse_losses(losses)[0].backward()
    return losses


def gradients(model, prefix='') -> dict:
    return {
        name: value.grad
        for name, value in model.named_parameters()
        if value.requires_grad and name.startswith(prefix)
    }


def sizes_of(case) -> dict:
    """What a MAE of a golden case's sizes has in its config, see ``guided_mae``."""
    names = dict(dims='embed_dim', depth='depth', heads='num_heads')
    names |= {name: name for name in ('img_size', 'patch_size')}
    decoder = ('decoder_embed_dim', 'decoder_depth', 'decoder_num_heads')
    names |= {f'neck__{name}': name for name in decoder}
    return {ours: case.config[theirs] for ours, theirs in names.items()}


def norms_of(state, names) -> torch.Tensor:
    """Norms as in the golden files, of query and value only in the qkv biases."""
    values = []
    for name in names:
        value = state[name].double()
        if name.endswith('qkv.bias'):
            query, _, rest = value.chunk(3)
            value = torch.cat([query, rest])
        values.append(value.norm())
    return torch.stack(values)


def names_with_copies(case, parts: dict[str, str]) -> dict[str, str]:
    """Official names of a student's parameters to ours.

    ``parts`` are laid out as the pixel decoder's, whose names lack the ``_suffix``.
    """
    names, translated = case.meta['param_map'], {}
    for old, new in names.items():
        if old.startswith('teacher_model.'):
            continue
        if new is None:
            part = next(part for part in parts if old.startswith(part))
            twin = old.replace('_' + part.rstrip('.').split('_')[-1], '')
            new = parts[part] + names[twin].split('.', 2)[2]
        translated[old] = new
    return translated
