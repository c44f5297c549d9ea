"""Functions in processes of their own, without importing everything each time.

A process that has imported the packages, and done nothing else, is copied for each.
"""

import gc
import multiprocessing
import os
import socket
from pathlib import Path

import torch
from yapf.yapflib import yapf_api

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(
    ['mmpretrain', 'mmattmask.cli.train', 'mmattmask.models', 'tests.processes']
)


class Child:
    """A function that runs in another process; what it prints goes to a file."""

    def __init__(self, log, function, *arguments, cwd=None, **environment):
        self.log = Path(log).absolute()
        values = {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': '', **environment}
        self.process = CONTEXT.Process(
            target=_run, args=(str(self.log), cwd, values, function, arguments)
        )
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
    """Leave out a third of a small run: layout of logged configs, garbage of imports.

    MMEngine formats the config for every checkpoint and collects garbage, over all that
    was ever imported, for every dataset.
    """
    yapf_api.FormatCode = lambda text, **_: (text, True)
    gc.collect()
    gc.freeze()


def _run(log, cwd, environment, function, arguments):
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    torch.set_num_threads(1)
    spare_what_nobody_sees()
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
