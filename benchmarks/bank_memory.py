"""Memory that an attention bank costs the main process and the loader processes.

    python benchmarks/bank_memory.py

A bank of the stated size is made (sparse: it takes no disk), loader processes are
forked, and the main process looks batches up. Own memory is what a process has written
for itself; the bank's pages in memory are counted apart: all processes share them and
the system drops them when memory is short.
"""

import argparse
import multiprocessing
import platform
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from mmattmask.scorers import AttentionBank, BankHeader, BankWriter


def memory_mib(field: str, pid: int | str = 'self') -> float:
    """Return a field of a process's memory statistics in MiB."""
    lines = Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()
    sizes = [int(line.split()[1]) for line in lines if line.startswith(field + ':')]
    return sum(sizes) / 1024


def idle(connection) -> None:
    """Live like a loader process that was forked with the bank open."""
    connection.recv()


def measure(num_rows: int, batch_size: int, batches: int, workers: int) -> list[str]:
    """Return one row of the table."""
    with tempfile.TemporaryDirectory() as folder:
        header = BankHeader(num_rows, (14, 14), 'float16', 'zeros', 'zeros')
        writer = BankWriter(Path(folder) / 'zeros.bank', header)
        writer.finish()
        del writer
        before = memory_mib('Anonymous')
        clean = memory_mib('Pss_File')
        bank = AttentionBank(Path(folder) / 'zeros.bank', verify=False)
        pipes = [multiprocessing.Pipe() for _ in range(workers)]
        context = multiprocessing.get_context('fork')
        processes = [context.Process(target=idle, args=(b,)) for _, b in pipes]
        for process in processes:
            process.start()
        time.sleep(0.5)
        idle_mib = [memory_mib('Anonymous', p.pid) for p in processes]
        rng = np.random.default_rng(0)
        times = []
        for _ in range(batches):
            ids = rng.integers(0, num_rows, batch_size)
            start = time.perf_counter()
            bank.maps(ids)
            times.append(time.perf_counter() - start)
        growth = memory_mib('Anonymous') - before
        pages = memory_mib('Pss_File') - clean
        worker_growth = max(
            memory_mib('Anonymous', process.pid) - old
            for process, old in zip(processes, idle_mib, strict=True)
        )
        for parent, _ in pipes:
            parent.send(None)
        for process in processes:
            process.join()
    return [
        f'{num_rows:,}',
        f'{header.num_bytes / 1e6:,.0f} MB',
        f'{growth:.1f} MiB',
        f'{pages:.1f} MiB',
        f'{worker_growth:.1f} MiB',
        f'{statistics.median(times) * 1e3:.2f} ms',
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--batch-size', type=int, default=512)
    parser.add_argument('--batches', type=int, default=200)
    parser.add_argument('--workers', type=int, default=4)
    args = parser.parse_args()
    print(f'\n{platform.machine()}, Python {platform.python_version()}, batch '
          f'{args.batch_size}, {args.batches} look-ups, {args.workers} loader '
          'processes, 14 x 14 maps, float16\n')  # fmt: skip
    print(
        '| images | file | main process, own | bank pages mapped, shared '
        '| loader process, own (target 0) | look-up of a batch |'
    )
    print('|---|---|---|---|---|---|')
    for num_rows in (1_281_167, 14_197_122):
        row = measure(num_rows, args.batch_size, args.batches, args.workers)
        print('| ' + ' | '.join(row) + ' |', flush=True)


if __name__ == '__main__':
    main()
