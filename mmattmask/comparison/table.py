"""Rows of runs become tables: means, costs, and differences from the control."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from mmattmask.comparison.analysis import BELOW, LOOKS, fit, judge
from mmattmask.evaluation.score_content import MIN_AUC_GAIN

Row = dict[str, Any]
# What a policy is worth, in the order of the table; the first that is there is judged.
MEASURES = dict(
    primary='primary',
    knn_mean='k-NN, mean',
    ridge='ridge',
    knn_cls='k-NN, CLS',
    linear_cls='linear, CLS',
    linear_mean='linear, mean',
    finetune='fine-tuned',
)
PRIMARY = ('knn_mean', 'ridge')  # their mean
COSTS = ('budget', 'seed', 'epochs', 'tokens_per_image', 'seconds')
TEXTS = ('run', 'policy', 'host', 'settings', 'checkpoint', 'machine')
# Where it is below MIN_AUC_GAIN, a score follows places, not content.
CONTENT = 'auc_minus_shuffled'
BIASED = 'position-biased'


def as_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows, with the primary measure if they allow it."""
    frame = pd.DataFrame(rows)
    if set(PRIMARY) <= set(frame):
        frame['primary'] = frame[list(PRIMARY)].mean(axis=1, skipna=False)
    return frame


def measures_of(frame: pd.DataFrame) -> list[str]:
    """Return the measures that some row has."""
    return [name for name in MEASURES if name in frame and frame[name].notna().any()]


def diagnostics_of(frame: pd.DataFrame) -> list[str]:
    """Return the names of further numbers that rows carry."""
    known = {*MEASURES, *COSTS, *TEXTS}
    numbers = frame.select_dtypes('number').columns
    return [name for name in numbers if name not in known]


def titles_of(frame: pd.DataFrame) -> dict[str, str]:
    """Return how each run is called; a score without content is told in the name."""
    titles = {}
    for run, own in frame.groupby('run', sort=False):
        content = own[CONTENT].mean() if CONTENT in own else np.nan
        mark = f' ({BIASED})' if content < MIN_AUC_GAIN else ''
        titles[run] = own.policy.iloc[0] + mark
    return titles


def by_seed(frame: pd.DataFrame, measure: str) -> pd.DataFrame:
    """Return a measure at one budget: runs by seeds, in the order of the rows."""
    table = frame.pivot(index='run', columns='seed', values=measure)
    return table.loc[frame.run.unique(), frame.seed.unique()]


def means(frame: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return the means at one budget, as text; costs are relative to a baseline.

    Time is the median over seeds of the ratio, so that seeds may be of other machines.
    """
    runs = frame.groupby('run', sort=False)
    first = runs.first()
    tokens = first.epochs * first.tokens_per_image.astype(float)
    seconds = by_seed(frame, 'seconds')
    time = (seconds / seconds.reindex([baseline]).iloc[0]).median(axis=1)
    table = pd.DataFrame(
        dict(
            policy=titles_of(frame),
            host=first.host,
            seeds=runs.size(),
            epochs=first.epochs,
            tokens=tokens / tokens.get(baseline, np.nan),
            time=time,
        ),
        index=first.index,
    )
    digits = dict(tokens=2, time=2)
    for name in diagnostics_of(frame):
        title = name.replace('_', ' ')
        table[title], digits[title] = runs[name].mean(), 2
    for name in measures_of(frame):
        table[MEASURES[name]], digits[MEASURES[name]] = runs[name].mean(), 1
    for title, number in digits.items():
        table[title] = [
            '-' if np.isnan(value) else f'{value:.{number}f}' for value in table[title]
        ]
    return table.reset_index(drop=True)


def judged(frame: pd.DataFrame, control: str) -> dict[str, pd.DataFrame]:
    """Return by measure what ``judge`` finds in the rows of one budget."""
    found = {}
    for name in measures_of(frame):
        table = by_seed(frame, name)
        table = table[table.notna().any(axis=1)]
        if control in table.index and len(table) > 1:
            found[name] = judge(table, control)
    return found


def differences(
    frame: pd.DataFrame, control: str, found: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """Return the table of differences at one budget, as text; see :func:`judged`."""
    titles = titles_of(frame)
    first = next(iter(found.values()))
    table = pd.DataFrame(index=[run for run in titles if run != control])
    table['policy'] = [titles[run] for run in table.index]
    table['verdict'] = first.verdict.reindex(table.index).fillna('-')
    table['look'] = [f'{n:.0f}' for n in first.look.reindex(table.index).fillna(0)]
    for name, one in found.items():
        one = one.reindex(table.index)
        table[MEASURES[name]] = [
            signed(value, high - value)
            for value, high in zip(one.difference, one.high, strict=True)
        ]
    return table.reset_index(drop=True)


def signed(value: float, half: float) -> str:
    """Return a difference in points as text, with half of its interval if known."""
    if np.isnan(value):
        return '-'
    # no -0.0, and ties whose last bits are the processor's end alike
    text = f'{round(round(value, 6), 1) + 0.0:+.1f}'
    return text if np.isnan(half) else f'{text} ± {half:.1f}'


def _p_value(p: float) -> str:
    return '< 0.001' if p < 0.001 else f'= {p:.3f}'


def explanation(
    frame: pd.DataFrame, control: str, found: dict[str, pd.DataFrame]
) -> str:
    """Return what stands above a table of differences, its numbers included."""
    title = titles_of(frame)[control]
    if frame.seed.nunique() < 2:
        return f'Points above {title}. One seed: there is no interval, and no verdict.'
    measure = next(iter(found))
    table = by_seed(frame, measure)
    seen = table.loc[:, table.loc[control].notna()]
    model = fit(seen.iloc[:, : int(found[measure].look.max()) or None])
    below = f'{100 * (1 - BELOW):.0f} %'
    spread = f'{model.variance**0.5:.2f}'
    looks = ', '.join(f'{n} seeds ({alpha:g})' for n, alpha in LOOKS.items())
    return (
        f'Points above {title} ± half of the interval that holds for all policies at '
        'once (Dunnett; policy + seed, pooled residual). The verdict is on '
        f'"{MEASURES[measure]}", at looks of {looks} with these error rates: better or '
        'worse where the interval leaves zero out, equivalent where the 90 % interval '
        f'is inside of ±0.5. Before the first look intervals are of {below} and judge '
        f'nothing. {MEASURES[measure]}: residual sd {spread} with {model.freedom} '
        f'degrees of freedom, F({model.policy_freedom}, {model.freedom}) = '
        f'{model.f:.2f} over policies, p {_p_value(model.p)}.'
    )
