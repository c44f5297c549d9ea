"""How long a training step takes with AMT and with random masking."""

import copy
import dataclasses
import time
from statistics import median
from typing import Any

import torch
from mmengine.optim import OptimWrapper
from torch import nn

from mmattmask.mask_generators import RandomMaskGenerator
from mmattmask.reporting import machine


@dataclasses.dataclass(frozen=True)
class StepTimes:
    """Training steps of the same model and batch, measured in turns.

    Attributes:
        guided: Seconds per step as the run masks, looking scores up included.
        random: Seconds per step of stock random masking.
        batch_size: Images per step.
    """

    guided: tuple[float, ...]
    random: tuple[float, ...]
    batch_size: int

    @property
    def ratio(self) -> float:
        """Median of guided over median of random."""
        return median(self.guided) / median(self.random)

    def __str__(self) -> str:
        return (
            f'{self.ratio:.2f} (medians of {len(self.guided)} steps each, in turns: '
            f'{1000 * median(self.guided):.0f} ms and '
            f'{1000 * median(self.random):.0f} ms; batch {self.batch_size}; '
            f'{machine()})'
        )


def measure_step_times(
    model: nn.Module, batch: dict[str, Any], runs: int = 15, warm_up: int = 2
) -> StepTimes:
    """Time whole training steps: data preprocessing, forward, backward, update.

    Args:
        model: A guided host, unwrapped; it is copied.
        batch: A batch of the training loader.
        runs: Measured steps of each kind.
        warm_up: Steps of each kind before these.
    """
    guided, stock = copy.deepcopy(model), copy.deepcopy(model)
    stock.guidance.scorer = None
    stock.guidance.mask_generator = RandomMaskGenerator(model.backbone.mask_ratio)
    stock.guidance.warmup_mask_generator = stock.guidance.mask_generator
    steps = []
    for host in (guided, stock):
        host.train()
        optimizer = torch.optim.AdamW(host.parameters(), lr=1e-6)
        steps.append((host, OptimWrapper(optimizer)))
    seconds: list[list[float]] = [[], []]
    for run in range(warm_up + runs):
        for kind in (0, 1) if run % 2 else (1, 0):
            host, optim_wrapper = steps[kind]
            _wait()
            start = time.perf_counter()
            host.train_step(batch, optim_wrapper)
            _wait()
            if run >= warm_up:
                seconds[kind].append(time.perf_counter() - start)
    return StepTimes(tuple(seconds[0]), tuple(seconds[1]), len(batch['inputs']))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
