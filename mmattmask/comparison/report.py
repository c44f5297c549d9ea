"""What a comparison came to: CSV, JSON, Markdown, charts and one HTML page."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from mmattmask.comparison.analysis import MARGIN
from mmattmask.comparison.files import CONFIG, write_json
from mmattmask.comparison.study import Study
from mmattmask.comparison.table import (
    MEASURES,
    as_frame,
    differences,
    explanation,
    judged,
    means,
    titles_of,
)
from mmattmask.files import write_text
from mmattmask.reporting import Page, intervals, save_figure
from mmattmask.resuming import changed_settings

HELD_EQUAL = dict(
    images='images seen',
    tokens='encoder tokens trained on',
    time='training time, refreshes included',
)
NOTE = (
    'Top-1 accuracy in % on the test images, mean over seeds. Primary is the mean of '
    'k-NN on mean-pooled features and ridge regression on CLS and mean. Tokens and '
    "time are those of whole runs, relative to the baseline's; without a GPU, time is "
    'CPU time. The pre-training of a frozen teacher is not counted.'
)
STRIPS = 'mask_strips.png'


def tables(
    frame: pd.DataFrame, baseline: str, control: str
) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield heading, note and content of every table."""
    for budget, own in frame.groupby('budget', sort=False):
        heading = f'At equal {HELD_EQUAL[budget]}'
        yield heading, NOTE, means(own, baseline)
        found = judged(own, control)
        if found:
            note = explanation(own, control, found)
            yield f'{heading}: differences', note, differences(own, control, found)


def as_markdown(frame: pd.DataFrame, baseline: str, control: str) -> str:
    """Return all tables as Markdown."""
    return '\n'.join(
        f'### {heading}\n\n{note}\n\n{table_text(table)}\n'
        for heading, note, table in tables(frame, baseline, control)
    )


def table_text(table: pd.DataFrame) -> str:
    """Return one of the tables as Markdown."""
    texts = ('policy', 'host', 'verdict')
    sides = ['left' if name in texts else 'right' for name in table]
    return table.to_markdown(index=False, colalign=sides, disable_numparse=True)


def draw(frame: pd.DataFrame, control: str, folder: Path) -> dict[str, Path]:
    """Draw judged differences; return SVGs by caption."""
    drawn = {}
    titles = titles_of(frame)
    for budget, own in frame.groupby('budget', sort=False):
        held = f'at equal {HELD_EQUAL[budget]}'
        found = judged(own, control)
        if found and own.seed.nunique() > 1:
            name, table = next(iter(found.items()))
            label = f'{MEASURES[name]}: points above {titles[control]}'
            figure = intervals(table.rename(titles), label, MARGIN)
            caption = (
                f'{label}, {held}. Bars are Dunnett intervals; shaded: no difference.'
            )
            drawn[caption] = save_figure(figure, folder / f'differences_{budget}')
    return drawn


def write_results(study: Study, failures: Mapping[str, str]) -> str:
    """Write everything that the finished runs allow; return the Markdown table.

    That is ``runs.csv``, ``runs.json``, ``table.md``, the charts as PNG and SVG, and
    ``report.html``, which holds all of it, and the reasons of failures by run.
    """
    rows, folder, comparison = study.rows(), study.work_dir, study.comparison
    unfinished = len(study.to_do())
    state = f'{len(rows)} runs, {unfinished} more to do' if unfinished else ''
    if not rows:
        return f'no run has finished yet: {state}'
    frame = as_frame(rows)
    write_json(folder / 'runs.json', rows)
    write_text(folder / 'runs.csv', frame.to_csv(index=False))
    text = as_markdown(frame, comparison.baseline, comparison.control)
    write_text(folder / 'table.md', text)
    page = Page(
        f'Comparison {comparison.name}',
        f'Policies: {frame.run.nunique()}, seeds: {frame.seed.nunique()}; the control '
        f'is {comparison.entries[comparison.control].title}, the baseline '
        f'{comparison.entries[comparison.baseline].title}, {comparison.epochs} epochs.',
    )
    if state:
        page.text(f'Unfinished: {state}.')
    if failures:
        page.section('Failed runs')
        page.table(pd.DataFrame(failures.items(), columns=['run', 'reason']))
    charts = draw(frame, comparison.control, folder)
    if charts:
        page.section('Charts')
    for caption, svg in charts.items():
        page.figure(svg, caption)
    for heading, note, table in tables(frame, comparison.baseline, comparison.control):
        page.section(heading)
        page.table(table, note)
    _add_strips(page, study, frame)
    page.section('What was run')
    page.table(frame)
    first = None
    for run, checkpoint in frame.groupby('run', sort=False).checkpoint.first().items():
        config = (folder / 'runs' / Path(checkpoint).parent / CONFIG).read_text()
        others = ', '.join(changed_settings(first, config))
        page.details(f'Config of {run}{others and f": other {others}"}', config)
        first = first or config
    page.write(folder / 'report.html')
    return f'{text}\n{state}\nwritten to {folder}, see {folder / "report.html"}\n'


def _add_strips(page: Page, study: Study, frame: pd.DataFrame) -> None:
    """Show what each policy did to the same images, once per policy."""
    shown: dict[str, Path] = {}
    for row in frame.itertuples():
        sheet = study.work_dir / 'runs' / Path(row.checkpoint).parent / STRIPS
        if sheet.exists():
            shown.setdefault(row.policy, sheet)
    if shown:
        page.section('Masks')
    for policy, sheet in shown.items():
        page.figure(sheet, f'{policy}: the same images over the training.')
