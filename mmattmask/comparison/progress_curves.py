"""What finished runs logged on the way, as tables of epochs by seeds."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

# Values of one run by epoch.
Reader = Callable[[Path], dict[float, float]]


def accuracy_by_epoch(folder: Path) -> dict[float, float]:
    """Read a run's k-NN accuracy on mean-pooled features, in percent, of KNNHook.

    By epochs done; of several k the largest. Empty without the hook's file.
    """
    path = folder / 'knn.csv'
    if not path.exists() or not path.stat().st_size:
        return {}
    frame = pd.read_csv(path)
    names = [name for name in frame if name.startswith('mean_top1_k')]
    if not names or 'epoch' not in frame:
        return {}
    name = max(names, key=lambda text: int(text.rsplit('k', 1)[1]))
    return dict(zip(frame.epoch.astype(float), frame[name].astype(float), strict=True))


def scalar_by_epoch(folder: Path, name: str) -> dict[float, float]:
    """Read the last value of every epoch, from 1, of a scalar that a run logged.

    Of a resumed run what was logged last; empty if it never was.
    """
    found = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # the last line of a killed session
                continue
            if name in row and 'epoch' in row:
                found[float(row['epoch'])] = float(row[name])
    return found


def progress_of(
    frame: pd.DataFrame, runs: Path, read: Reader
) -> dict[str, pd.DataFrame]:
    """Return what runs at one budget logged, by policy: shares of training by seeds.

    Policies whose runs logged nothing, or at different epochs, are left out.
    """
    found = {}
    for policy, own in frame.groupby('policy', sort=False):
        series = {
            row.seed: pd.Series(read(runs / Path(row.checkpoint).parent), dtype=float)
            for row in own.itertuples()
        }
        table = pd.DataFrame(series)
        if len(table) and table.notna().to_numpy().all():
            table.index = table.index / own.epochs.iloc[0]
            found[policy] = table
    return found
