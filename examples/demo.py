"""Watch AMT pre-train on photographs, a few minutes on one core.

    make demo                # photographs that ship inside scikit-image
    make demo DATA=FOLDER    # your images; subfolders are searched

Stopped, and run again, it goes on from the last epoch; finished, it writes the report
again. It shows pictures, times and that a run can be taken up again, no more: in
so short a run attention is mostly a pattern of places, and whether guidance helps is a
question of many runs (docs/study.md).
"""

import os

# Before torch: threads that spin while they wait make a busy machine collapse.
os.environ['OMP_NUM_THREADS'] = '1'
os.environ['OMP_WAIT_POLICY'] = 'PASSIVE'

import argparse
import json
import math
import shutil
import sys
import time
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from mmengine.runner import Runner
from PIL import Image

from mmattmask.comparison.files import go_on, last_checkpoint, write_json
from mmattmask.comparison.stretch import stretch
from mmattmask.datasets.photographs import find_photographs
from mmattmask.reporting import Page, machine, save_figure

CONFIG = Path(__file__).parents[1] / 'configs/demo/amt_vit-tiny_photographs.py'
SIDE, TILE, STRIDE = 384, 64, 32  # px: shorter side of a photograph, tile, step
IMAGES = 2048  # an epoch has about so many, more are left out, fewer repeated
SETTINGS = 'demo.json'
NAMES = ('random 75 %', 'AMT')
TEXT = (
    'Masks are random until epoch {begin}; then the attention maps of all images are '
    'made once and AMT follows them: it masks {mask_ratio:.0%} of the patches and '
    'throws {throw_ratio:.0%} away, attended ones first. The loss before and after it '
    'is of different tasks and cannot be compared. Nothing here says that guided masks '
    'are better than random ones: in so short a run attention is mostly a pattern of '
    'places.'
)


def cut_tiles(folder: Path) -> None:
    """Cut scikit-image's photographs into tiles, complete or not at all."""
    if folder.exists():
        return
    temporary = folder.with_name('images.tmp')
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    for path in find_photographs():
        image = Image.open(path).convert('RGB')
        image.info.clear()  # a broken colour profile would travel into every tile
        scale = SIDE / min(image.size)
        image = image.resize([round(side * scale) for side in image.size])
        for top in range(0, image.height - TILE + 1, STRIDE):
            for left in range(0, image.width - TILE + 1, STRIDE):
                tile = image.crop((left, top, left + TILE, top + TILE))
                tile.save(temporary / f'{path.stem}_{top:04d}_{left:04d}.png')
    temporary.rename(folder)


def read_config(images: Path, epochs: int | None) -> Config:
    """Return the run's config, for as many images as there are."""
    cfg = Config.fromfile(CONFIG)
    stretch(cfg, epochs or cfg.train_cfg.max_epochs)
    dataset = cfg.train_dataloader.dataset
    dataset.data_root = str(images.resolve())
    init_default_scope('mmpretrain')
    try:
        count = len(DATASETS.build({**dataset, 'pipeline': []}))
    except RuntimeError as error:
        raise FileNotFoundError(f'there is no image in {images}: {error}') from error
    if count > IMAGES:
        dataset.indices = [place * count // IMAGES for place in range(IMAGES)]
    elif 2 * count <= IMAGES:
        times = math.ceil(IMAGES / count)
        repeated = dict(type='RepeatDataset', times=times, dataset=dataset)
        cfg.train_dataloader.dataset = repeated
    return cfg


def train(cfg: Config, work_dir: Path) -> None:
    """Train, from the last epoch on if there is one."""
    go_on(cfg, work_dir)
    start = time.monotonic()
    Runner.from_cfg(cfg).train()
    print(f'trained for {(time.monotonic() - start) / 60:.1f} minutes')


def logged_loss(work_dir: Path) -> pd.Series:
    """Return the mean loss of every epoch, of all starts."""
    rows = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        rows += [json.loads(line) for line in path.read_text().splitlines() if line]
    frame = pd.DataFrame(rows).dropna(subset=['loss'])
    frame = frame.drop_duplicates('step', keep='last')  # steps done again after a stop
    return frame.groupby('epoch').loss.mean()


def write_report(cfg: Config, work_dir: Path) -> Path:
    """Put pictures, loss and step times on one page."""
    loss = logged_loss(work_dir)
    seconds = json.loads((work_dir / 'clock.json').read_text())
    begin = cfg.custom_hooks[0].begin
    policy = cfg.model.mask_generator
    page = Page('Demo: masks that follow attention', f'{len(loss)} epochs; {machine()}')
    page.text(TEXT.format(begin=begin, **policy))
    page.section('Masks over time')
    page.figure(
        work_dir / 'mask_strips.png',
        'The same images after some epochs: attention, who is visible, masked and '
        'thrown, and what the decoder makes of the masked patches.',
    )
    page.section('Time')
    times = [pd.Series(part).median() for part in (seconds[:begin], seconds[begin:])]
    rows = [
        (name, f'{value:.2f}', f'{value / times[0]:.2f}')
        for name, value in zip(NAMES, times, strict=True)
    ]
    page.table(
        pd.DataFrame(rows, columns=['masks', 'seconds per epoch', 'relative']),
        'Median of the epochs; without a GPU, CPU time of the training process. '
        'benchmarks/step_time.py measures steps in turns.',
    )
    page.section('Loss')
    parts = (loss.loc[:begin], loss.loc[begin + 1 :])
    figure = Figure(figsize=(7, 4), layout='constrained')
    axes = figure.add_subplot(xlabel='epoch', ylabel='loss of masked patches')
    for name, part in zip(NAMES, parts, strict=True):
        axes.plot(part.index, part, 'o-', label=name)
    axes.legend(frameon=False)
    svg = save_figure(figure, work_dir / 'loss')
    page.figure(svg, 'Mean of each epoch. Two tasks, not one that got harder.')
    page.section('Config')
    page.details(CONFIG.name, CONFIG.read_text())
    return page.write(work_dir / 'report.html')


def main() -> None:
    """Run ``python examples/demo.py``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--data', type=Path, help='a folder of images')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/demo')
    parser.add_argument('--epochs', type=int, help='of the run, at least 3')
    args = parser.parse_args()
    name = f'demo_{args.data.resolve().name}' if args.data else 'demo'
    work_dir = args.work_dir or Path('work_dirs') / name
    if args.epochs is not None and args.epochs < 3:
        raise ValueError(f'--epochs must be at least 3, got {args.epochs}')
    if args.data is None:
        cut_tiles(work_dir / 'images')
    elif not args.data.is_dir():
        raise FileNotFoundError(f'there is no folder {args.data}')
    cfg = read_config(args.data or work_dir / 'images', args.epochs)
    settings = dict(data=str(args.data), epochs=cfg.train_cfg.max_epochs)
    file = work_dir / SETTINGS
    if file.exists() and json.loads(file.read_text()) != settings:
        raise ValueError(f'{work_dir} holds a run of {file.read_text()}: delete it')
    write_json(file, settings)
    last = f'epoch_{cfg.train_cfg.max_epochs}.pth'
    done = last_checkpoint(work_dir)
    if done is None or done.name != last:
        train(cfg, work_dir)
    else:
        print(f'{done} is there: nothing to train; delete {work_dir} to begin anew')
    print(f'pictures: {work_dir / "mask_strips.png"}')
    print(f'report:   {write_report(cfg, work_dir)}')
    print('Random masks first, then AMT. That guidance helps is not shown by one run.')


if __name__ == '__main__':
    try:
        main()
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'demo: {error}')
