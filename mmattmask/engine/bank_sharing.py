"""How the ranks of a run share the work on one bank per node."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size

CHUNK_ROWS = 65536


def node_leaders() -> list[int]:
    """Return for every rank the first rank on its machine."""
    hosts = all_gather_object(socket.gethostname())
    return [hosts.index(host) for host in hosts]


def succeeded_everywhere(success: bool) -> bool:
    """Return whether ``success`` is true on all ranks."""
    flag = torch.tensor(float(success))
    all_reduce(flag, op='sum')
    return int(flag) == get_world_size()


@contextmanager
def together() -> Iterator[None]:
    """Let a block fail on all ranks if it fails on one, so that none waits for it.

    Raises:
        Exception: What the block raised here.
        RuntimeError: If it failed on another rank.
    """
    failure = None
    try:
        yield
    except Exception as error:
        failure = error
    if not succeeded_everywhere(failure is None):
        raise failure or RuntimeError(
            'the attention refresh failed on another rank, whose log says why'
        )


def exchange_rows(rows: np.ndarray, ids: np.ndarray, leaders: list[int]) -> None:
    """Give every node the rows that ranks on other nodes wrote.

    Nothing happens where all ranks are on one machine. Else the rows travel in chunks,
    and the first rank of each node stores them.

    Args:
        rows: This node's bank, (N, h, w), open for writing.
        ids: The rows this rank wrote, (M,) integers.
        leaders: See :func:`node_leaders`.
    """
    if len(set(leaders)) == 1:
        return
    owned = np.zeros(len(rows), dtype=bool)
    owned[ids] = True
    for start in range(0, len(rows), CHUNK_ROWS):
        part, own = rows[start : start + CHUNK_ROWS], owned[start : start + CHUNK_ROWS]
        # the last column counts the owners: padding repeats a sample on two ranks
        total = np.zeros((len(part), part[0].size + 1), dtype=np.float32)
        total[own, :-1] = part[own].reshape(-1, part[0].size)
        total[own, -1] = 1
        shared = torch.from_numpy(total)
        all_reduce(shared, op='sum')
        count = total[:, -1:]
        known = count[:, 0] > 0
        if get_rank() == leaders[get_rank()]:
            mean = total[known, :-1] / count[known]
            part[known] = mean.reshape(-1, *part.shape[1:]).astype(part.dtype)
