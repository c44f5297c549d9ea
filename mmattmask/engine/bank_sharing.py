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
    """Let a block fail on all ranks if it fails on one, so that none waits for it."""
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
    """Give every node the rows (ids (M,), each of one rank) that other nodes wrote.

    They travel in chunks, and the first rank of each node stores them in its bank,
    (N, h, w), which is open for writing.
    """
    if len(set(leaders)) == 1:
        return
    owned = np.zeros(len(rows), dtype=bool)
    owned[ids] = True
    for start in range(0, len(rows), CHUNK_ROWS):
        part, own = rows[start : start + CHUNK_ROWS], owned[start : start + CHUNK_ROWS]
        # the last column tells the rows that a rank wrote
        total = np.zeros((len(part), part[0].size + 1), dtype=np.float32)
        total[own, :-1] = part[own].reshape(-1, part[0].size)
        total[own, -1] = 1
        all_reduce(torch.from_numpy(total), op='sum')
        if get_rank() == leaders[get_rank()]:
            known = total[:, -1] > 0
            rows_of_all = total[known, :-1].reshape(-1, *part.shape[1:])
            part[known] = rows_of_all.astype(part.dtype)
