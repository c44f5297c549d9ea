"""What finished runs logged on the way, as tables of epochs by seeds."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd

# Values of one run by epoch.
Reader = Callable[[Path], dict[float, float]]


def accuracy_by_epoch(folder: Path, kind: str = 'mean') -> dict[float, float]:
    """Read a run's k-NN accuracy while training, in percent, from KNNHook's file.

    Args:
        folder: Of the run.
        kind: ``'cls'`` or ``'mean'``.

    Returns:
        By epochs done; of several k the largest. Empty without the file.
    """
    path = folder / 'knn.csv'
    if not path.exists() or not path.stat().st_size:
        return {}
    frame = pd.read_csv(path)
    names = [name for name in frame if name.startswith(f'{kind}_top1_k')]
    if not names or 'epoch' not in frame:
        return {}
    name = max(names, key=lambda text: int(text.rsplit('k', 1)[1]))
    return dict(zip(frame.epoch.astype(float), frame[name].astype(float), strict=True))


def scalar_by_epoch(folder: Path, name: str) -> dict[float, float]:
    """Read a logged scalar, such as ``'guidance/attention_entropy'``.

    Returns:
        The last value of every epoch, by epoch from 1; of a resumed run what was
        logged last. Empty if it was never logged.
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
    """Return what runs logged, by policy: shares of the training by seeds.

    Args:
        frame: Rows of finished runs at one budget.
        runs: The folder of all runs.
        read: Reads one run.

    Returns:
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
