"""How the ranks of a run share one bank of k-NN features: each keeps its own part."""

import torch
from mmengine.dist import all_gather, get_world_size
from torch import Tensor

from mmattmask.evaluation import nearest_neighbours


def nearest_on_all_ranks(
    query: Tensor, bank: Tensor, labels: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Find the nearest neighbours in a bank that is spread over the ranks.

    Queries (Q, C) are the same on all ranks; of the bank, (N, C), and its labels, (N,),
    each has a part, which may be empty. Returns similarity, nearest first, and labels
    of the neighbours, (Q, min(k, all)) each.
    """
    total = int(gather(torch.tensor([len(bank)])).sum())
    similarity = query.new_full((k, len(query)), -torch.inf)
    classes = torch.zeros_like(similarity, dtype=torch.int64)
    if len(bank):
        nearest, rows = nearest_neighbours(query, bank, k)
        similarity[: nearest.shape[1]] = nearest.T
        classes[: nearest.shape[1]] = labels.to(query.device)[rows].T
    similarity, classes = gather(similarity), gather(classes)
    similarity, places = similarity.topk(min(k, total), dim=0)
    return similarity.T, classes.gather(0, places).T


def gather(own: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, which may have different numbers of them."""
    if get_world_size() == 1:
        return own
    sizes = [int(size) for size in all_gather(torch.tensor(len(own)))]
    padded = own.new_zeros(max(sizes), *own.shape[1:])
    padded[: len(own)] = own
    parts = all_gather(padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])
