"""One run of a comparison in a process of its own: train, evaluate, write a row."""

import copy
import json
import logging
import os
import sys
from pathlib import Path

import torch
from filelock import FileLock
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmattmask.comparison.evaluate import Evaluation, evaluate
from mmattmask.comparison.files import (
    CONFIG,
    JOB,
    LOCK,
    ROW,
    give_teacher,
    go_on,
    last_checkpoint,
    write_json,
)
from mmattmask.engine.clock_hook import FILE as CLOCK
from mmattmask.launching import drop_amp_without_accelerator, set_loader_defaults
from mmattmask.reporting import machine


def train(cfg: Config, folder: Path, teacher: str | None) -> Path:
    """Train to the end, from the last checkpoint on if there is one."""
    go_on(cfg, folder)
    give_teacher(cfg, teacher)
    hooks = list(cfg.get('custom_hooks') or [])
    cfg.custom_hooks = [*hooks, dict(type='mmattmask.ClockHook')]
    set_loader_defaults(cfg, ('train_dataloader',), {})
    drop_amp_without_accelerator(cfg)
    if not torch.cuda.is_available() and cfg.train_dataloader.get('num_workers'):
        print_log(
            'the CPU time of loader processes is not counted: num_workers=0 counts all',
            logger='current',
            level=logging.WARNING,
        )
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
    checkpoint = train(copy.deepcopy(cfg), folder, job['teacher'])
    evaluation = Evaluation(**job['evaluation'])
    results = evaluate(evaluation, cfg, checkpoint, folder, get_device())
    seconds = json.loads((folder / CLOCK).read_text())
    row = dict(
        **job['row'],
        seconds=round(sum(seconds), 1),
        **{name: round(value, 3) for name, value in results.items()},
        checkpoint=f'{folder.name}/{checkpoint.name}',
        machine=machine(),
    )
    write_json(folder / ROW, row)


if __name__ == '__main__':
    if not torch.cuda.is_available():
        torch.set_num_threads(int(os.environ.get('OMP_NUM_THREADS', '1')))
    place = Path(sys.argv[1])
    with FileLock(place / LOCK):  # one that was orphaned ends first
        run(place)
