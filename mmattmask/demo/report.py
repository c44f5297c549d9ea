"""What a demo run came to, in a few lines of text."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from mmattmask.demo.step_time import StepTimes

LOSS_STEPS = 10  # steps that first and last loss are averaged over


def report(runner: Any, seconds: float, step_times: StepTimes | None) -> str:
    """Sum up a finished run.

    Args:
        runner: The runner, after training.
        seconds: How long it took.
        step_times: What was measured, if anything.
    """
    work_dir = Path(runner.work_dir)
    sheet = work_dir / 'mask_strips.png'
    strips = Path(runner.log_dir) / 'vis_data' / 'vis_image'
    lines = [
        f'Trained {runner.epoch} epochs in {seconds / 60:.1f} minutes.',
        f'Pictures over time: {sheet}',
        f'All strips:         {strips}/mask_strip_<image>_<epoch>.png',
        'Loss:               ' + _losses(runner),
        'k-NN accuracy:      ' + _accuracy(work_dir / 'knn.csv', runner),
    ]
    if step_times is not None:
        lines.append(f'Step time, AMT : random masking = {step_times}')
    return '\n'.join(lines)


def _losses(runner: Any) -> str:
    values = np.asarray(runner.message_hub.get_scalar('train/loss').data[0])
    number = min(LOSS_STEPS, max(1, len(values) // 2))
    first, last = values[:number].mean(), values[-number:].mean()
    return f'{first:.3f} at first, {last:.3f} at last (means of {number} steps)'


def _accuracy(path: Path, runner: Any) -> str:
    if not any(type(hook).__name__ == 'KNNHook' for hook in runner.hooks):
        return 'none, the images have no labels'
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    parts = []
    for name, text in (('mean', 'mean of the patches'), ('cls', 'CLS token')):
        column = f'{name}_top1_k10'
        before, after = float(rows[0][column]), float(rows[-1][column])
        parts.append(f'{text} {before:.1f} % before, {after:.1f} % after')
    return '; '.join(parts) + f' (k = 10; {path})'
