"""Bring finished comparisons into docs/study.md: rows, charts and tables.

python docs/make_study.py WORK_DIR            copy rows, renew the page
python docs/make_study.py WORK_DIR objects    rows of the control, cifar10, …
python docs/make_study.py                     renew it from the rows that are there
"""

import json
import re
import sys
from pathlib import Path

import pandas as pd

from mmattmask.comparison.analysis import LOOKS
from mmattmask.comparison.report import as_markdown, draw, table_text, tables
from mmattmask.comparison.table import as_frame, by_seed, judged, titles_of

DOCS = Path(__file__).resolve().parent
PAGES = (DOCS / 'study.md', DOCS / 'recipe.md')
FOLDER = DOCS / 'study'
BASELINE = 'random'
# The rows of each comparison, and what its policies are judged against.
CONTROLS = {
    'runs': 'random',
    'objects': 'random_throw',
    'cifar10': 'random',
    'recipe': 'random_throw',
    'ibot': 'random',
    'long': 'random',
}
# What only matters while runs go on, or names the machine's folders.
DROPPED = ('settings', 'checkpoint')


def collect(work_dir: Path, name: str = 'runs') -> None:
    """Add what a comparison wrote to the rows that are there; new ones win."""
    path = FOLDER / f'{name}.json'
    known = json.loads(path.read_text()) if path.exists() else []
    new = json.loads((work_dir / 'runs.json').read_text())
    by_run = {(r['run'], r['budget'], r['seed']): r for r in [*known, *new]}
    rows = [
        {k: v for k, v in row.items() if k not in DROPPED} for row in by_run.values()
    ]
    path.write_text(json.dumps(rows, indent=1) + '\n')
    pd.DataFrame(rows).to_csv(FOLDER / f'{name}.csv', index=False)


def committed(name: str = 'runs') -> pd.DataFrame:
    """Return the committed rows of a comparison."""
    return as_frame(json.loads((FOLDER / f'{name}.json').read_text()))


def charts(folder: Path) -> list[Path]:
    """Draw the differences of the committed rows; return the SVGs."""
    drawn = []
    for name, control in CONTROLS.items():
        inside = folder if name == 'runs' else folder / name
        drawn += draw(committed(name), control, inside).values()
    for path in drawn:
        path.with_suffix('.png').unlink()
    return drawn


def gate_zero() -> str:
    """Return what the positive control says, by the rule that was written before it.

    Throwing the least attended patches of a true map is at least 3 points above random
    throwing, with a simultaneous interval above 0, and a reversed map is not above it.
    """
    frame = committed('objects')
    found = judged(frame, CONTROLS['objects'])['knn_mean']
    true, anti = found.loc['true'], found.loc['anti']
    if not true.look:
        seeds = frame.groupby('run').seed.nunique()['true']
        return f'Gate 0 is open: {seeds} of {min(LOOKS)} seeds.'
    passed = true.difference >= 3 and true.low > 0 and not anti.low > 0
    outcome = 'passed' if passed else '**not** passed'
    return (
        f'Gate 0 is {outcome} at {true.look:.0f} seeds: the true map is '
        f'{true.difference:+.1f} (interval {true.low:+.1f} to {true.high:+.1f}) '
        'from random throwing, the reversed one '
        f'{anti.difference:+.1f} ({anti.low:+.1f} to {anti.high:+.1f}).'
    )


def gate_ibot() -> str:
    """Return whether iBOT learns enough for its masks to be compared.

    One of the settings must be 5 points of primary above the untrained weights.
    """
    frame = committed('ibot')
    primary = by_seed(frame, 'primary').mean(axis=1)
    gains = (primary - primary[BASELINE]).drop(BASELINE)
    outcome = 'passed' if gains.max() >= 5 else '**not** passed'
    title = titles_of(frame)[gains.idxmax()]
    return (
        f'The gate is {outcome}: the best setting ({title}) is {gains.max():+.1f} '
        'points from the untrained weights.'
    )


def beside_recipe() -> str:
    """Return how every policy stands beside the recipe, on the seeds that judge it."""
    return '\n'.join(
        f'### {heading}\n\n{note}\n\n{table_text(table)}\n'
        for heading, note, table in tables(committed('cifar10'), BASELINE, 'recipe')
        if 'verdict' in table
    )


def beside_shuffled() -> str:
    """Return what attention's masks gain over the same masks by another image's map."""
    frame, rows = committed('cifar10').query('budget == "tokens"'), []
    for run in ('am', 'amt'):
        *_, (_, _, table) = tables(frame, BASELINE, f'{run}_shuffled')
        rows.append(table[table.policy == titles_of(frame)[run]])
    return f'{table_text(pd.concat(rows))}\n'


def renewed(page: str) -> str:
    """Return a page with new tables between its marks."""
    texts = {n: as_markdown(committed(n), BASELINE, c) for n, c in CONTROLS.items()}
    texts['objects'] = f'{gate_zero()}\n\n{texts["objects"]}'
    texts['ibot'] = f'{gate_ibot()}\n\n{texts["ibot"]}'
    texts['beside recipe'] = beside_recipe()
    texts['beside shuffled'] = beside_shuffled()
    for name, text in texts.items():
        begin, end = f'<!-- {name} -->', f'<!-- end of {name} -->'
        new = f'{begin}\n\n{text}\n{end}'
        page = re.sub(f'{begin}.*{end}', lambda _, new=new: new, page, flags=re.DOTALL)
    return page


def main(arguments: list[str]) -> None:
    """Run ``python docs/make_study.py``."""
    if arguments:
        collect(Path(arguments[0]), *arguments[1:])
    charts(FOLDER)
    for page in PAGES:
        page.write_text(renewed(page.read_text()))


if __name__ == '__main__':
    main(sys.argv[1:])
