"""tools/train.py as a command runs it."""

import json
import runpy
import sys
from pathlib import Path

from tests.config_building import ROOT
from tests.processes import Child


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
    folder = Path(work_dir).parent
    Child(folder / 'log.txt', run_script, argv, cwd=folder).finish(timeout=timeout)
    (scalars,) = Path(work_dir).glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]


def run_script(argv):
    """Run a script with arguments, as python does."""
    sys.argv = argv
    runpy.run_path(argv[0], run_name='__main__')
