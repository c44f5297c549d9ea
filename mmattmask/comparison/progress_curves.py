"""What finished runs logged on the way, as curves with intervals."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from mmattmask.comparison.table import Row
from mmattmask.reporting import Curve

# Values of one run by epoch.
Series = dict[float, float]
Reader = Callable[[Path], Series]


def accuracy_by_epoch(folder: Path, kind: str = 'mean') -> Series:
    """Read a run's k-NN accuracy while training, in percent, from KNNHook's file.

    Args:
        folder: Of the run.
        kind: ``'cls'`` or ``'mean'``.

    Returns:
        By epochs done; of several k the largest. Empty without the file.
    """
    path = folder / 'knn.csv'
    if not path.exists():
        return {}
    with path.open(newline='') as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return {}
    names = [name for name in rows[0] if name.startswith(f'{kind}_top1_k')]
    if not names or 'epoch' not in rows[0]:
        return {}
    name = max(names, key=lambda text: int(text.rsplit('k', 1)[1]))
    return {float(row['epoch']): float(row[name]) for row in rows}


def scalar_by_epoch(folder: Path, name: str) -> Series:
    """Read a logged scalar, such as ``'guidance/attention_entropy'``.

    Returns:
        The last value of every epoch, by epoch from 1; of a resumed run what was
        logged last. Empty if it was never logged.
    """
    found: Series = {}
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:  # the last line of a killed session
                continue
            if name in row and 'epoch' in row:
                found[float(row['epoch'])] = float(row[name])
    return found


def curves_of(
    rows: Sequence[Row], runs: Path, read: Reader, budget: str
) -> list[Curve]:
    """Return one curve per entry: the mean of its seeds, against epochs as a share.

    Args:
        rows: Of finished runs.
        runs: The folder of all runs.
        read: Reads one run.
        budget: Which of the budgets.

    Returns:
        Entries whose runs logged nothing, or at different epochs, are left out.
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if row['budget'] == budget:
            groups.setdefault(row['policy'], []).append(row)
    found = []
    for policy, own in groups.items():
        series = [read(runs / Path(row['checkpoint']).parent) for row in own]
        places = [tuple(one) for one in series]
        if not places[0] or len(set(places)) > 1:
            continue
        x = [place / own[0]['epochs'] for place in places[0]]
        found.append(Curve.of_runs(policy, x, [list(one.values()) for one in series]))
    return found
