"""What a comparison came to: CSV, JSON, Markdown, curves and one HTML page."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mmattmask.comparison.files import CONFIG, write_json
from mmattmask.comparison.plan import Comparison
from mmattmask.comparison.progress_curves import (
    accuracy_by_epoch,
    curves_of,
    scalar_by_epoch,
)
from mmattmask.comparison.study import Study
from mmattmask.comparison.table import (
    Row,
    Summary,
    as_csv,
    cells,
    columns,
    markdown,
    measures_of,
    summaries,
)
from mmattmask.files import write_text
from mmattmask.reporting import Page, curves, save_figure

HELD_EQUAL = dict(
    images='images seen',
    tokens='encoder tokens trained on',
    time='training time, refreshes included',
)
NOTE = (
    'Top-1 accuracy in % on the test images, mean over seeds ± half of the 95 % '
    "interval (Student's), which is of seeds, not of test images. Tokens and time are "
    "those of whole runs, relative to the baseline's; without a GPU, time is CPU time. "
    'The pre-training of a frozen teacher is not counted.'
)
DIFFERENCES = (
    'Differences from the baseline in points, seed by seed; * marks those whose 95 % '
    'interval leaves zero out, one by one, without a correction for how many there are.'
)
# What the curves show: name of the file, what is read, how it is called.
CURVES = (
    ('knn', partial(accuracy_by_epoch, kind='mean'), 'k-NN while training, mean, in %'),
    (
        'attention_entropy',
        partial(scalar_by_epoch, name='guidance/attention_entropy'),
        'entropy of the score (1 = even)',
    ),
    (
        'attention_masked',
        partial(scalar_by_epoch, name='guidance/attention_masked'),
        'share of attention masked',
    ),
)
STRIPS = 'mask_strips.png'


def write_results(study: Study) -> str:
    """Write everything that the finished runs allow.

    Writes ``runs.csv``, ``runs.json``, ``table.md``, the curves as PNG and SVG, and
    ``report.html``, which holds all of it.

    Returns:
        The Markdown table and where the files are.
    """
    rows, folder = study.rows(), study.work_dir
    unfinished = len(study.to_do())
    state = f'{len(rows)} runs, {unfinished} more to do' if unfinished else ''
    if not rows:
        return f'no run has finished yet: {state}'
    write_json(folder / 'runs.json', rows)
    write_text(folder / 'runs.csv', as_csv(rows))
    found = summaries(rows, study.comparison.baseline)
    measures = measures_of(rows)
    text = as_markdown(found, measures)
    write_text(folder / 'table.md', text)
    figures = draw_curves(study, rows)
    page = as_page(study, rows, found, figures, state)
    page.write(folder / 'report.html')
    return f'{text}\n{state}\nwritten to {folder}, see {folder / "report.html"}\n'


def tables(
    found: dict[str, list[Summary]], measures: Sequence[str]
) -> list[tuple[str, str, list[list[str]]]]:
    """Return heading, note and rows of every table."""
    result = []
    for budget, group in found.items():
        held = HELD_EQUAL[budget]
        for differences, note in ((False, NOTE), (True, DIFFERENCES)):
            own = [cells(summary, measures, differences) for summary in group]
            heading = f'At equal {held}'
            heading += ': differences' if differences else ''
            result.append((heading, note, own))
    return result


def as_markdown(found: dict[str, list[Summary]], measures: Sequence[str]) -> str:
    """Return all tables as Markdown."""
    head = columns(measures)
    parts = [
        f'### {heading}\n\n{note}\n\n{markdown(head, rows)}'
        for heading, note, rows in tables(found, measures)
    ]
    return '\n'.join(parts)


def draw_curves(study: Study, rows: Sequence[Row]) -> dict[str, tuple[str, Path]]:
    """Draw what runs logged on the way; return caption and SVG by name."""
    drawn = {}
    for budget in study.comparison.budgets:
        for name, read, title in CURVES:
            series = curves_of(rows, study.work_dir / 'runs', read, budget)
            if not series:
                continue
            figure = curves(series, 'share of the training', title)
            _, svg = save_figure(figure, study.work_dir / f'{name}_{budget}')
            held = HELD_EQUAL[budget]
            caption = f'{title}; at equal {held}; bands are 95 % intervals.'
            drawn[f'{name}_{budget}'] = (caption, svg)
    return drawn


def as_page(
    study: Study,
    rows: Sequence[Row],
    found: dict[str, list[Summary]],
    figures: dict[str, tuple[str, Path]],
    state: str,
) -> Page:
    """Return the report."""
    comparison = study.comparison
    page = Page(f'Comparison {comparison.name}', _summary(comparison, rows))
    if state:
        page.text(f'Unfinished: {state}.')
    measures = measures_of(rows)
    head = columns(measures)
    best = dict.fromkeys(head[-len(measures) :], 'max') if measures else {}
    for heading, note, own in tables(found, measures):
        page.section(heading)
        differences = heading.endswith('differences')
        page.table(head, own, note, {} if differences else best)
    if figures:
        page.section('While training')
        for caption, svg in figures.values():
            page.figure(svg, caption)
    _add_strips(page, study, rows)
    page.section('What was run')
    machines = sorted({row['machine'] for row in rows})
    page.text('Machine: ' + '; '.join(machines))
    names = list(dict.fromkeys(name for row in rows for name in row))
    page.table(names, [[row.get(name) for name in names] for row in rows])
    base = study.work_dir / 'runs' / Path(rows[0]['checkpoint']).parent / CONFIG
    page.details(f'Config of {rows[0]["run"]}', base.read_text())
    return page


def _summary(comparison: Comparison, rows: Sequence[Row]) -> str:
    seeds = len({row['seed'] for row in rows})
    budgets = ' and '.join(HELD_EQUAL[budget] for budget in comparison.budgets)
    policies = len({row['policy'] for row in rows})
    return (
        f'{policies} policies, {seeds} seeds, at equal {budgets}; the baseline is '
        f'{comparison.entries[comparison.baseline].title}, {comparison.epochs} epochs.'
    )


def _add_strips(page: Page, study: Study, rows: Sequence[Row]) -> None:
    """Show what each policy did to the same images, once per policy."""
    shown = {}
    for row in rows:
        sheet = study.work_dir / 'runs' / Path(row['checkpoint']).parent / STRIPS
        if sheet.exists():
            shown.setdefault(row['policy'], sheet)
    if shown:
        page.section('Masks')
    for policy, sheet in shown.items():
        page.figure(sheet, f'{policy}: the same images over the training.')
