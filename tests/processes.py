"""Functions in processes of their own, without importing everything each time.

A process that holds what tests/preloaded.py names is copied for each.
"""

import functools
import gc
import multiprocessing
import os
import socket
from multiprocessing import forkserver
from pathlib import Path

import mmengine.config.utils as config_utils
import mmengine.runner.runner as runners
import torch
import torch.utils.data._utils as loader_utils
from yapf.yapflib import yapf_api

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(['tests.preloaded'])


class Child:
    """A function that runs in another process; what it prints goes to a file."""

    def __init__(self, log, function, *arguments, cwd=None, **environment):
        self.log = Path(log).absolute()
        values = {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '', **environment}
        self.process = CONTEXT.Process(
            target=_run, args=(str(self.log), cwd, values, function, arguments)
        )
        here = Path.cwd()
        os.chdir(Path(__file__).parents[1])  # where the server of the first finds us
        try:
            forkserver.ensure_running()
        finally:
            os.chdir(here)
        self.process.start()

    def finish(self, code=0, timeout=300):
        """Wait for it to end with a code, or one of several; return what it printed."""
        self.process.join(timeout)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        output = self.log.read_text()
        codes = code if isinstance(code, tuple) else (code,)
        assert self.process.exitcode in codes, output[-3000:]
        return output


def spare_what_nobody_sees():
    """Leave out most of a small run: what is no work of its own.

    MMEngine formats the config for every checkpoint, collects garbage, over all that
    was ever imported, for every dataset, asks compilers for their versions, and reads
    the index of all of MMPretrain's models for every config based on one of them. Torch
    waits 5 s for loader processes of a run before, which nobody has told to end.
    """
    yapf_api.FormatCode = lambda text, **_: (text, True)
    config_utils.load = functools.cache(config_utils.load)
    runners.collect_env = dict
    loader_utils.MP_STATUS_CHECK_INTERVAL = 1.0
    gc.collect()
    gc.freeze()


def _run(log, cwd, environment, function, arguments):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    torch.set_num_threads(1)
    if cwd is not None:
        os.chdir(cwd)
    function(*arguments)


def run_ranks(folder, function, *arguments, ranks=2, code=0, each=(), **others):
    """Run a function as the ranks of a launcher; return what each printed.

    Args:
        folder: For what they print.
        function: Called with the arguments by every rank.
        *arguments: Of the function.
        ranks: How many.
        code: With which all of them must end.
        each: Environment variables of each rank.
        **others: Environment variables of all ranks, and ``cwd``.
    """
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    shared = dict(
        WORLD_SIZE=str(ranks), MASTER_ADDR='127.0.0.1', MASTER_PORT=port, **others
    )
    children = [
        Child(
            Path(folder) / f'rank{rank}.txt',
            function,
            *arguments,
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            **shared,
            **(each[rank] if rank < len(each) else {}),
        )
        for rank in range(ranks)
    ]
    return [child.finish(code) for child in children]
