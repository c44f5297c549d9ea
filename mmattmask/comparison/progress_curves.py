"""The accuracy of finished runs on the way, as tables of epochs by seeds."""

from pathlib import Path

import pandas as pd


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


def progress_of(frame: pd.DataFrame, runs: Path) -> dict[str, pd.DataFrame]:
    """Return accuracies at one budget, by policy: shares of the training by seeds.

    Policies whose runs logged nothing, or at different epochs, are left out.
    """
    found = {}
    for policy, own in frame.groupby('policy', sort=False):
        series = {}
        for row in own.itertuples():
            values = accuracy_by_epoch(runs / Path(row.checkpoint).parent)
            series[row.seed] = pd.Series(values, dtype=float)
        table = pd.DataFrame(series)
        if len(table) and table.notna().to_numpy().all():
            table.index = table.index / own.epochs.iloc[0]
            found[policy] = table
    return found
