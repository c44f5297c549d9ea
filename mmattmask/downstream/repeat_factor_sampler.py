"""Images with rare categories come more often."""

import itertools
import math
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import torch
from mmengine.dist import get_dist_info, sync_random_seed
from torch import Tensor
from torch.utils.data import Sampler

from mmattmask.registry import DATA_SAMPLERS


def repeat_factors(categories: Sequence[Collection[int]], threshold: float) -> Tensor:
    """Compute how often each image should come in an epoch, from its categories.

    A category in a fraction f of the images has the factor max(1, sqrt(threshold / f)),
    an image, (number of images,) float64, that of its rarest category.

    Source: LVIS, https://arxiv.org/abs/1908.03195, appendix B.2.
    """
    counts = Counter(c for found in categories for c in set(found))
    factors = {
        category: max(1.0, math.sqrt(threshold * len(categories) / count))
        for category, count in counts.items()
    }
    return torch.tensor(
        [max((factors[c] for c in found), default=1.0) for found in categories],
        dtype=torch.float64,
    )


@DATA_SAMPLERS.register_module()
class RepeatFactorSampler(Sampler[int]):
    """Endless sampler of LVIS: factors are rounded up or down at random each epoch.

    Differs from MMDetection: its ClassBalancedDataset always rounds up, so with a fixed
    number of iterations images with rare categories come too often.

    Args:
        dataset: Has ``get_cat_ids(index)``, as detection datasets do.
        threshold: Categories in more images than this fraction are not repeated.
        seed: Same for all processes. Defaults to a random one.

    Source: facebookresearch/detectron2 detectron2/data/samplers/distributed_sampler.py.
    """

    def __init__(
        self, dataset: Any, threshold: float = 1e-3, seed: int | None = None
    ) -> None:
        self.rank, self.world_size = get_dist_info()
        self.size = len(dataset)
        self.seed = sync_random_seed() if seed is None else seed
        categories = [dataset.get_cat_ids(index) for index in range(self.size)]
        self.factors = repeat_factors(categories, threshold)

    def epoch(self, rng: torch.Generator) -> Tensor:
        """Draw one epoch: ids of images, shuffled."""
        draws = torch.rand(self.size, generator=rng, dtype=torch.float64)
        times = (self.factors + draws).floor().long()
        ids = torch.arange(self.size).repeat_interleave(times)
        return ids[torch.randperm(len(ids), generator=rng)]

    def __iter__(self) -> Iterator[int]:
        """Yield this process's share of one endless order."""
        rng = torch.Generator().manual_seed(self.seed)
        epochs = (self.epoch(rng).tolist() for _ in itertools.count())
        order = itertools.chain.from_iterable(epochs)
        return itertools.islice(order, self.rank, None, self.world_size)

    def __len__(self) -> int:
        return self.size

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the order has no epochs."""
