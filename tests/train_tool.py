"""Run tools/train.py as a command does, without importing everything each time.

A process that has imported the packages, and done nothing else, is copied for each run.
"""

import json
import multiprocessing
import os
import runpy
import sys
from pathlib import Path

from tests.config_building import ROOT

CONTEXT = multiprocessing.get_context('forkserver')
CONTEXT.set_forkserver_preload(
    ['mmpretrain', 'mmattmask.cli.train', 'mmattmask.models', 'tests.train_tool']
)


def _run(argv, folder, log):
    file = os.open(log, os.O_WRONLY | os.O_CREAT)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ['CUDA_VISIBLE_DEVICES'] = ''
    os.chdir(folder)
    sys.argv = argv
    runpy.run_path(argv[0], run_name='__main__')


def train(name, work_dir, *options, timeout=600):
    """Train a config; return the rows it logged.

    Args:
        name: The config, below the repository.
        work_dir: Where it writes; the run's folder is the one around it.
        *options: What follows --cfg-options.
        timeout: Seconds after which it fails.
    """
    argv = [str(ROOT / 'tools' / 'train.py'), str(ROOT / name)]
    argv += ['--work-dir', str(work_dir), '--cfg-options', *options]
    log = Path(work_dir).parent / 'log.txt'
    process = CONTEXT.Process(target=_run, args=(argv, work_dir.parent, str(log)))
    process.start()
    process.join(timeout)
    if process.is_alive():
        process.kill()
        process.join()
    assert process.exitcode == 0, log.read_text()[-3000:]
    (scalars,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]
