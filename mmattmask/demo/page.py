"""The report of a demo run: one HTML page with curves, pictures and what was run."""

import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from mmengine.hub import get_config

from mmattmask.demo.report import knn_rows, loss_history
from mmattmask.demo.step_time import StepTimes
from mmattmask.reporting import Curve, Page, config_differences, curves, machine
from mmattmask.reporting.differences import base_of
from mmattmask.version import __version__

FILE = 'report.html'
FEATURES = {'mean': 'mean of the patches', 'cls': 'CLS token'}
STRIPS = 6  # of the last drawing
PACKAGES = (
    ('torch', ('torch',)),
    ('mmengine', ('onedl-mmengine', 'mmengine')),
    ('mmpretrain', ('onedl-mmpretrain', 'mmpretrain')),
)


def write_page(
    runner: Any, description: str, seconds: float, step_times: StepTimes | None
) -> Path:
    """Write the report of a finished run into its work dir.

    Args:
        runner: The runner, after training.
        description: What the images are.
        seconds: How long training took, with refreshes and k-NN.
        step_times: What was measured, if anything.

    Returns:
        The path of the page.
    """
    page = Page(
        'Demo: attention-guided masking with AMT',
        f'A tiny ViT, pre-trained for {runner.epoch} epochs in '
        f'{seconds / 60:.1f} minutes.',
    )
    _add_training(page, runner)
    _add_pictures(page, runner)
    if step_times is not None:
        _add_step_times(page, step_times)
    _add_config(page, runner)
    _add_conditions(page, runner, description, seconds)
    return page.write(Path(runner.work_dir) / FILE)


def _add_training(page: Page, runner: Any) -> None:
    page.section('Training')
    page.figure(
        loss_figure(loss_history(runner), len(runner.train_dataloader)),
        'Loss on masked patches, mean of each epoch. It changes its meaning when '
        'guided masking begins: the patches are other ones.',
        'Curve of the loss over epochs',
    )
    rows = knn_rows(runner)
    if rows is None:
        page.text('The images have no labels, so there is no k-NN accuracy.')
        return
    page.figure(
        knn_figure(rows),
        'Accuracy of a k-NN classifier (k = 10) on frozen features. Epoch 0 is the '
        'network before training.',
        'Curves of k-NN accuracy over epochs',
    )
    page.table(
        ['epoch', *(f'{text}, %' for text in FEATURES.values())],
        [
            [row['epoch'], *(float(row[f'{name}_top1_k10']) for name in FEATURES)]
            for row in rows
        ],
        'k-NN accuracy, top 1, k = 10',
        best={f'{text}, %': 'max' for text in FEATURES.values()},
        digits=1,
    )


def loss_figure(values: np.ndarray, steps_per_epoch: int) -> Figure:
    """Draw the mean loss of each epoch.

    Args:
        values: (N,) losses of all steps.
        steps_per_epoch: How many of them are an epoch.
    """
    epochs = max(1, len(values) // steps_per_epoch)
    means = [part.mean() for part in np.array_split(values, epochs)]
    curve = Curve('loss', list(range(1, epochs + 1)), means)
    return curves([curve], 'epoch', 'loss')


def knn_figure(rows: Sequence[Mapping[str, str]]) -> Figure:
    """Draw k-NN accuracy over epochs, from the rows of ``knn.csv``."""
    epochs = [int(row['epoch']) for row in rows]
    return curves(
        [
            Curve(text, epochs, [float(row[f'{name}_top1_k10']) for row in rows])
            for name, text in FEATURES.items()
        ],
        'epoch',
        'k-NN accuracy, %',
    )


def _add_pictures(page: Page, runner: Any) -> None:
    work_dir = Path(runner.work_dir)
    page.section('Masks over time')
    page.figure(
        work_dir / 'mask_strips.png',
        'The same images after some epochs: attention, who is visible, masked and '
        'thrown, and what the decoder makes of the masked patches.',
        'Table of images, attention maps, partitions and reconstructions',
    )
    folder = Path(runner.log_dir) / 'vis_data' / 'vis_image'
    strips = sorted(folder.glob(f'mask_strip_*_{runner.epoch}.png'))[:STRIPS]
    if strips:
        page.strip(
            [(f'image {number}', path) for number, path in enumerate(strips, 1)],
            f'More images after {runner.epoch} epochs.',
            width=520,
        )


def _add_step_times(page: Page, times: StepTimes) -> None:
    page.section('Step time')
    rows = []
    for name, seconds in (('AMT', times.guided), ('random', times.random)):
        steps = [1000 * second for second in seconds]
        middle = median(steps)
        speed = 1000 * times.batch_size / middle
        relative = middle / (1000 * median(times.random))
        rows.append(
            [name, f'{middle:.1f}', f'{min(steps):.1f}', f'{max(steps):.1f}']
            + [f'{speed:.0f}', f'{relative:.2f}']
        )
    page.table(
        ['masking', 'median, ms', 'least, ms', 'most, ms', 'images/s', 'relative'],
        rows,
        f'{len(times.guided)} whole training steps of each kind, in turns, batch '
        f'{times.batch_size}; {machine()}',
    )


def _add_config(page: Page, runner: Any) -> None:
    page.section('Config')
    path = Path(runner.cfg.filename)
    base = stock_base(path)
    stock = get_config(base)
    page.text(
        f'The run is described by its difference from the stock config {base}. The '
        'whole config is in the work dir.'
    )
    lines = config_differences({'model': stock.model}, {'model': runner.cfg.model})
    page.details(
        'What the model has that the stock one has not', '\n'.join(lines), True
    )
    lines = config_differences(stock, runner.cfg)
    page.details('All differences from the stock config', '\n'.join(lines))
    page.details(path.name, path.read_text(encoding='utf-8'))


def stock_base(path: Path) -> str:
    """Follow a config's bases to that of another package, ``'mmpretrain::...'``."""
    base = base_of(path)
    while '::' not in base:
        path = path.parent / base
        base = base_of(path)
    return base


def _add_conditions(page: Page, runner: Any, description: str, seconds: float) -> None:
    page.section('What was run')
    images = len(runner.train_dataloader.dataset)
    rows = [
        ['images', description],
        ['training', f'{runner.epoch} epochs of {images} images, {runner.iter} steps'],
        ['duration', f'{seconds:.0f} s, refreshes and k-NN included'],
        ['machine', machine()],
        ['Python', f'{platform.python_version()} on {platform.system()}'],
        ['mmattmask', __version__],
        *([name, _version(names)] for name, names in PACKAGES),
        ['random seed', str(runner.seed)],
    ]
    page.table(['what', 'which'], rows)


def _version(names: Sequence[str]) -> str:
    """Return the version of the distribution that is installed, and its name."""
    for name in names:
        try:
            return f'{metadata.version(name)} ({name})'
        except metadata.PackageNotFoundError:
            continue
    return 'not known'
