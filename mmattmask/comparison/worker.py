"""One run of a comparison in a process of its own: train, evaluate, write a row."""

import copy
import fcntl
import json
import os
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from mmattmask.cli.launch import drop_amp_without_accelerator, set_loader_defaults
from mmattmask.comparison.evaluate import Evaluation, evaluate
from mmattmask.engine.clock_hook import FILE as CLOCK
from mmattmask.reporting import machine

CONFIG, JOB, ROW, LOCK = 'config.py', 'job.json', 'row.json', 'lock'


def write_json(path: Path, content: Any) -> None:
    """Write a file that is there whole or not at all."""
    temporary = path.with_suffix('.tmp')
    temporary.write_text(json.dumps(content, indent=2) + '\n')
    os.replace(temporary, path)


@contextmanager
def locked(folder: Path) -> Any:
    """Let one process at a time work in a folder; one that was orphaned ends first."""
    with (folder / LOCK).open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def last_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint of a run, or None."""
    pointer = folder / 'last_checkpoint'
    path = Path(pointer.read_text().strip()) if pointer.exists() else None
    # the folder may have been moved since
    path = path and folder / path.name
    return path if path and path.exists() else None


def train(cfg: Config, folder: Path, teacher: str | None, key: str) -> Path:
    """Train to the end, from the last checkpoint on if there is one."""
    cfg.work_dir = str(folder)
    cfg.resume, cfg.load_from = False, None
    checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        cfg.resume, cfg.load_from = True, str(checkpoint)
    if teacher is not None:
        cfg.merge_from_dict({key: teacher})
    hooks = list(cfg.get('custom_hooks') or [])
    cfg.custom_hooks = [*hooks, dict(type='mmattmask.ClockHook')]
    set_loader_defaults(cfg, ('train_dataloader',), {})
    drop_amp_without_accelerator(cfg)
    Runner.from_cfg(cfg).train()
    checkpoint = last_checkpoint(folder)
    if checkpoint is None:
        raise ValueError(f'{folder}: training left no checkpoint')
    return checkpoint


def run(folder: Path) -> None:
    """Do the job that ``job.json`` describes, unless its row is there."""
    if (folder / ROW).exists():
        return
    job = json.loads((folder / JOB).read_text())
    cfg = Config.fromfile(folder / CONFIG)
    if cfg.get('custom_imports'):
        import_modules_from_strings(**cfg.custom_imports)
    checkpoint = train(copy.deepcopy(cfg), folder, job['teacher'], job['teacher_key'])
    how = Evaluation(**job['evaluation'])
    results = evaluate(how, cfg, checkpoint, folder, get_device())
    seconds = json.loads((folder / CLOCK).read_text())
    row = dict(
        **job['row'],
        seconds=round(sum(seconds), 1),
        **{name: round(value, 3) for name, value in results.items()},
        checkpoint=f'{folder.name}/{checkpoint.name}',
        machine=machine(),
    )
    write_json(folder / ROW, row)


def main(argv: Sequence[str] | None = None) -> None:
    """Run ``python -m mmattmask.comparison.worker FOLDER``."""
    (folder,) = argv if argv is not None else sys.argv[1:]
    if not torch.cuda.is_available():
        torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
    with locked(Path(folder)):
        run(Path(folder))


if __name__ == '__main__':
    main()
