"""Rows of runs become one table: means, intervals, differences from the baseline."""

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmattmask.reporting import mean_and_interval

Row = dict[str, Any]
# What a policy is worth, in the order of the table.
MEASURES = ('knn_cls', 'knn_mean', 'linear_cls', 'linear_mean', 'finetune')
TITLES = dict(
    knn_cls='k-NN, CLS',
    knn_mean='k-NN, mean',
    linear_cls='linear, CLS',
    linear_mean='linear, mean',
    finetune='fine-tuned',
)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: In percent, or percentage points.
        half: Half the width of its 95 % interval (Student's); NaN with one seed.
        seeds: How many.
    """

    mean: float
    half: float
    seeds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> 'Estimate':
        """Estimate from one value per seed."""
        mean, half = mean_and_interval(np.asarray(values, dtype=float))
        return cls(float(mean), float(half), len(values))

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves zero out."""
        return not math.isnan(self.half) and abs(self.mean) > self.half

    def __str__(self) -> str:
        return f'{self.mean:.1f}{self.spread}'

    @property
    def signed(self) -> str:
        """The estimate with its sign, as of a difference."""
        return f'{round(self.mean, 1) + 0.0:+.1f}{self.spread}'  # no -0.0

    @property
    def spread(self) -> str:
        """The interval's half, as it follows a mean."""
        return '' if math.isnan(self.half) else f' ± {self.half:.1f}'


@dataclasses.dataclass(frozen=True)
class Summary:
    """All seeds of one entry at one budget.

    Attributes:
        rows: One per seed.
        baseline: The baseline's, at the same budget; seeds are paired.
    """

    rows: list[Row]
    baseline: list[Row]

    @property
    def first(self) -> Row:
        """One of the rows, for what they have in common."""
        return self.rows[0]

    @property
    def is_baseline(self) -> bool:
        """Whether this is the baseline."""
        return self.first['run'] == self.baseline[0]['run'] if self.baseline else False

    def estimate(self, measure: str) -> Estimate | None:
        """Return the mean of a measure, or None if a row lacks it."""
        if any(measure not in row for row in self.rows):
            return None
        return Estimate.of([row[measure] for row in self.rows])

    def difference(self, measure: str) -> Estimate | None:
        """Return the mean difference from the baseline's run of the same seed.

        Equal seeds mean the same order of images and, unless a frozen teacher is built
        first and draws its own, the same first weights.
        """
        base = {row['seed']: row.get(measure) for row in self.baseline}
        pairs = [
            row[measure] - base[row['seed']]
            for row in self.rows
            if measure in row and base.get(row['seed']) is not None
        ]
        return Estimate.of(pairs) if pairs else None

    @property
    def relative_seconds(self) -> float:
        """Training time of a run relative to the baseline's: a ratio of medians."""
        own, base = (
            float(np.median([row['seconds'] for row in rows]))
            for rows in (self.rows, self.baseline)
        )
        return own / base

    @property
    def relative_tokens(self) -> float | None:
        """Trained encoder tokens of a run relative to the baseline's, if counted."""
        rows = (self.first, self.baseline[0])
        if any(row['tokens_per_image'] is None for row in rows):
            return None
        own, base = (row['epochs'] * row['tokens_per_image'] for row in rows)
        return own / base


def summaries(rows: Sequence[Row], baseline: str) -> dict[str, list[Summary]]:
    """Group rows: summaries by budget, in the order of the rows."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row['budget'], row['run']), []).append(row)
    found: dict[str, list[Summary]] = {}
    for (budget, _), own in groups.items():
        base = groups.get((budget, baseline), [])
        if base:
            found.setdefault(budget, []).append(Summary(own, base))
    return found


def measures_of(rows: Sequence[Row]) -> list[str]:
    """Return the measures that some row has."""
    return [name for name in MEASURES if any(name in row for row in rows)]


def columns(measures: Sequence[str]) -> list[str]:
    """Return the headings of :func:`cells`."""
    heads = ['policy', 'host', 'seeds', 'epochs', 'tokens', 'time']
    return [*heads, *(TITLES[name] for name in measures)]


def cells(summary: Summary, measures: Sequence[str], differences: bool) -> list[str]:
    """Return one row of the table.

    Args:
        summary: Of one entry at one budget.
        measures: Names of the last columns.
        differences: Show differences from the baseline, clear ones with a star.
    """
    first, tokens = summary.first, summary.relative_tokens
    row = [
        first['policy'],
        first['host'],
        str(len(summary.rows)),
        str(first['epochs']),
        '-' if tokens is None else f'{tokens:.2f}',
        f'{summary.relative_seconds:.2f}',
    ]
    for name in measures:
        if differences and not summary.is_baseline:
            found = summary.difference(name)
            star = ' *' if found and found.is_clear else ''
            row.append(f'{found.signed}{star}' if found else '-')
        else:
            found = summary.estimate(name)
            row.append(str(found) if found else '-')
    return row


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; the first two columns are text, others numbers."""
    rule = ['---', '---', *['---:'] * (len(head) - 2)]
    return ''.join(f'| {" | ".join(line)} |\n' for line in (head, rule, *rows))


def as_csv(rows: Sequence[Row]) -> str:
    """Return all rows as CSV, one line per run."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
