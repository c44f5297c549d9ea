"""What a demo run came to, in a few lines of text."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from mmattmask.demo.step_time import StepTimes

LOSS_STEPS = 10  # steps that first and last loss are averaged over


def report(
    runner: Any, seconds: float, step_times: StepTimes | None, page: Path
) -> str:
    """Sum up a finished run.

    Args:
        runner: The runner, after training.
        seconds: How long it took.
        step_times: What was measured, if anything.
        page: Where the whole report is.
    """
    work_dir = Path(runner.work_dir)
    sheet = work_dir / 'mask_strips.png'
    strips = Path(runner.log_dir) / 'vis_data' / 'vis_image'
    lines = [
        f'Trained {runner.epoch} epochs in {seconds / 60:.1f} minutes.',
        f'Pictures over time: {sheet}',
        f'All strips:         {strips}/mask_strip_<image>_<epoch>.png',
        'Loss:               ' + _losses(runner),
        'k-NN accuracy:      ' + _accuracy(runner),
    ]
    if step_times is not None:
        lines.append(f'Step time, AMT : random masking = {step_times}')
    lines.append(f'Report:             {page}')
    return '\n'.join(lines)


def loss_history(runner: Any) -> np.ndarray:
    """Return the loss of every step so far, (N,), those before a resume included."""
    return np.asarray(runner.message_hub.get_scalar('train/loss').data[0])


def knn_rows(runner: Any) -> list[dict[str, str]] | None:
    """Return the rows of the run's ``knn.csv``; None if the images have no labels."""
    if not any(type(hook).__name__ == 'KNNHook' for hook in runner.hooks):
        return None
    with (Path(runner.work_dir) / 'knn.csv').open(newline='') as file:
        return list(csv.DictReader(file))


def _losses(runner: Any) -> str:
    values = loss_history(runner)
    number = min(LOSS_STEPS, max(1, len(values) // 2))
    first, last = values[:number].mean(), values[-number:].mean()
    return f'{first:.3f} at first, {last:.3f} at last (means of {number} steps)'


def _accuracy(runner: Any) -> str:
    rows = knn_rows(runner)
    if rows is None:
        return 'none, the images have no labels'
    parts = []
    for name, text in (('mean', 'mean of the patches'), ('cls', 'CLS token')):
        column = f'{name}_top1_k10'
        before, after = float(rows[0][column]), float(rows[-1][column])
        parts.append(f'{text} {before:.1f} % before, {after:.1f} % after')
    return '; '.join(parts) + f' (k = 10; {Path(runner.work_dir) / "knn.csv"})'
