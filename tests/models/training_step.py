"""One training step of a model, and the gradients it leaves."""

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
