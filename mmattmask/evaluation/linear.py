"""Linear classifiers on frozen features, one per learning rate, trained at once."""

import math
from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from torch import Tensor, nn

# iBOT's sweep: 1e-4 to 9, before the scaling with the batch size.
SWEEP = tuple(
    digit * 10**power
    for power in (-4.0, -3.0, -2.0, -1.0, 0.0)
    for digit in range(1, 10)
)
CHUNK_ROWS = 1024
TOP = 5
MOMENTUM = 0.9


def cosine(epoch: int, epochs: int) -> float:
    """Return the factor of the learning rate in an epoch: from 1 down towards 0."""
    return (1 + math.cos(math.pi * epoch / epochs)) / 2


class LinearSweep(nn.Module):
    """Linear classifiers of D features in C classes, one per learning rate.

    All of them see the same features, so the stack is one matrix: a step is two matrix
    products for all classifiers, and its gradient is exact in closed form. Every
    classifier learns as ``nn.Linear`` with cross entropy and torch's SGD, without
    weight decay. One that diverges leaves the others alone. ValueError unless all rates
    are positive.

    Source: bytedance/ibot evaluation/eval_linear_multi.py.
    """

    lrs: Tensor
    weight: Tensor
    bias: Tensor
    weight_velocity: Tensor
    bias_velocity: Tensor

    def __init__(
        self,
        lrs: Sequence[float],
        dim: int,
        num_classes: int,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if not lrs or min(lrs) <= 0:
            raise ValueError(f'learning rates must be positive, got {tuple(lrs)}')
        self.num_classes = num_classes
        count = len(lrs)
        # Differs from iBOT: all classifiers start from the same draw, so that only
        # their learning rates differ and one alone is the same as one of many.
        weight = torch.empty(num_classes, dim).normal_(0, 0.01, generator=generator)
        self.register_buffer('lrs', torch.tensor(lrs, dtype=torch.float32))
        self.register_buffer('weight', weight.repeat(count, 1))
        self.register_buffer('bias', torch.zeros(count * num_classes))
        self.register_buffer('weight_velocity', torch.zeros_like(self.weight))
        self.register_buffer('bias_velocity', torch.zeros_like(self.bias))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits of every classifier, (B, classifiers, C), from (B, D)."""
        logits = torch.addmm(self.bias, features, self.weight.T)
        return logits.view(len(features), len(self.lrs), self.num_classes)

    @torch.no_grad()
    def step(
        self,
        features: Tensor,
        labels: Tensor,
        factor: float = 1.0,
        batch_size: int | None = None,
    ) -> Tensor:
        """Take one step of SGD on this process's share of a batch, (B, D) and (B,).

        ``batch_size`` is that of all processes, by default B. Returns this share's part
        of the mean cross entropy, (classifiers,); those of all processes add up to it.
        """
        batch_size = batch_size or len(features)
        logs = self(features).log_softmax(dim=-1)
        own = labels.view(-1, 1, 1).expand(-1, len(self.lrs), 1)
        loss = -logs.gather(2, own).sum(dim=(0, 2)) / batch_size
        one = logs.new_full((), -1.0).expand_as(own)
        slope = logs.exp_().scatter_add_(2, own, one).div_(batch_size).flatten(1)
        gradients = [slope.T @ features, slope.sum(dim=0)]
        if get_world_size() > 1:
            for gradient in gradients:
                all_reduce(gradient)
        rates = (self.lrs * -factor).repeat_interleave(self.num_classes)
        for value, velocity, gradient, rate in (
            (self.weight, self.weight_velocity, gradients[0], rates[:, None]),
            (self.bias, self.bias_velocity, gradients[1], rates),
        ):
            velocity.mul_(MOMENTUM).add_(gradient)
            value.addcmul_(velocity, rate)
        return loss

    @torch.no_grad()
    def accuracy(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return top-1 and top-5 in percent, (classifiers, 2) float64 on the CPU.

        Classifiers that have diverged have 0.
        """
        device = self.weight.device
        hits = torch.zeros(2, len(self.lrs), dtype=torch.int64, device=device)
        for start in range(0, len(labels), CHUNK_ROWS):
            part = slice(start, start + CHUNK_ROWS)
            logits = self(features[part].to(device))
            target = labels[part].to(device).view(-1, 1)
            own = target[..., None].expand(-1, len(self.lrs), 1)
            better = (logits > logits.gather(2, own)).sum(dim=2)
            finite = logits.isfinite().all(dim=2)
            first = (logits.argmax(dim=2) == target) & finite
            hits += torch.stack([first.sum(0), ((better < TOP) & finite).sum(0)])
        return (100 * hits.T.double() / len(labels)).cpu()
