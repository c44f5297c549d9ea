"""What a table of runs can say: policies against one control, from the rows alone.

Every measure is modelled as policy + seed with one pooled residual. Intervals of the
differences are Dunnett's, simultaneous over all policies. A verdict is passed at a few
looks only, fixed before the runs; their error rates add up to 5 %.
"""

import dataclasses
from functools import cache

import numpy as np
import pandas as pd
from scipy import optimize, stats

LOOKS = {6: 0.005, 12: 0.015, 20: 0.03}  # seeds: error rate spent there
BELOW = 0.05  # error rate of the intervals before the first look, which judge nothing
MARGIN = 0.5  # points; a difference inside is none


@dataclasses.dataclass(frozen=True)
class Fit:
    """Least squares of policy + seed for P policies; cells may be missing.

    Attributes:
        effects: (P,) in the unit of the table, up to a common constant.
        covariance: (P, P) of the effects, in units of ``variance``.
        estimable: (P, P) whether a difference of two can be told from seeds.
        variance: Of the residual; NaN without degrees of freedom.
        freedom: Degrees of freedom of the residual.
        f: Ratio of the variance between policies to the residual's.
        p: Of ``f`` where policies do not differ.
        policy_freedom: Degrees of freedom between policies.
    """

    effects: np.ndarray
    covariance: np.ndarray
    estimable: np.ndarray
    variance: float
    freedom: int
    f: float
    p: float
    policy_freedom: int


def fit(table: pd.DataFrame) -> Fit:
    """Fit a table of policies by seeds; NaN where there is no run."""
    rows, columns = np.nonzero(table.notna().to_numpy())
    y = table.to_numpy(dtype=float)[rows, columns]
    seeds = np.eye(table.shape[1])[columns]
    design = np.hstack([np.eye(len(table))[rows], seeds])
    inverse = np.linalg.pinv(design.T @ design)
    effects = inverse @ design.T @ y
    rank = int(np.linalg.matrix_rank(design))
    freedom, policy_freedom = len(y) - rank, rank - int(np.linalg.matrix_rank(seeds))
    residual = float(((y - design @ effects) ** 2).sum())
    without = float(((y - seeds @ np.linalg.lstsq(seeds, y)[0]) ** 2).sum())
    variance = residual / freedom if freedom else np.nan
    f = p = np.nan
    if freedom and policy_freedom and variance > 0:
        f = (without - residual) / policy_freedom / variance
        p = float(stats.f.sf(f, policy_freedom, freedom))
    count = len(table)
    projection = inverse @ design.T @ design
    pairs = np.eye(count)[:, None] - np.eye(count)[None]
    pairs = np.pad(pairs, ((0, 0), (0, 0), (0, table.shape[1])))
    return Fit(
        effects=effects[:count],
        covariance=inverse[:count, :count],
        estimable=np.asarray(np.isclose(pairs @ projection, pairs).all(axis=-1)),
        variance=variance,
        freedom=freedom,
        f=f,
        p=p,
        policy_freedom=policy_freedom,
    )


def dunnett_quantile(correlation: np.ndarray, freedom: int, alpha: float) -> float:
    """Return what the largest of correlated (K, K) |t| exceeds with probability alpha.

    Source: Dunnett, A multiple comparison procedure for comparing several treatments
    with a control, 1955.
    """
    rows = tuple(map(tuple, np.round(correlation, 9).tolist()))
    return _quantile(rows, freedom, alpha)


@cache  # measures of the same runs share it, and it takes a second
def _quantile(correlation: tuple, freedom: int, alpha: float) -> float:
    count = len(correlation)
    single = float(stats.t.isf(alpha / 2, freedom))
    if count == 1:
        return single
    bonferroni = float(stats.t.isf(alpha / 2 / count, freedom))

    def excess(value: float) -> float:
        upper = np.full(count, value)
        inside = stats.multivariate_t.cdf(
            upper,
            shape=np.asarray(correlation),
            df=freedom,
            lower_limit=-upper,
            allow_singular=True,
            random_state=0,
            maxpts=5000 * count,
        )
        return float(inside) - 1 + alpha

    return float(optimize.brentq(excess, 0.98 * single, 1.02 * bonferroni, xtol=1e-3))


def differences(table: pd.DataFrame, control: str, alpha: float) -> pd.DataFrame:
    """Return every policy's difference from a control.

    By policy that is ``difference`` and ends of its interval ``low`` and ``high``,
    simultaneous at an error rate of alpha, and of its own 90 % interval ``low90`` and
    ``high90``. Ends are NaN without degrees of freedom; all are NaN where no seeds
    connect the two.
    """
    model = fit(table)
    place = table.index.get_loc(control)
    others = np.flatnonzero(model.estimable[:, place])
    others = others[others != place]
    found = pd.DataFrame(
        np.nan,
        index=table.index.drop(control),
        columns=['difference', 'low', 'high', 'low90', 'high90'],
    )
    if not len(others):
        return found
    names = table.index[others]
    contrasts = np.eye(len(table))[others]
    contrasts[:, place] = -1
    means = contrasts @ model.effects
    found.loc[names, 'difference'] = means
    if model.freedom:
        covariance = contrasts @ model.covariance @ contrasts.T
        scale = np.sqrt(np.diag(covariance))
        correlation = covariance / np.outer(scale, scale)
        errors = scale * np.sqrt(model.variance)
        wide = dunnett_quantile(correlation, model.freedom, alpha)
        own = float(stats.t.ppf(0.95, model.freedom))
        for low, high, factor in (('low', 'high', wide), ('low90', 'high90', own)):
            found.loc[names, low] = means - factor * errors
            found.loc[names, high] = means + factor * errors
    return found


def verdict(low: float, high: float, low90: float, high90: float) -> str:
    """Return what intervals of a difference, in points, say in one word.

    That is ``'better'`` or ``'worse'`` if the simultaneous interval leaves zero out,
    ``'equivalent'`` if the 90 % interval is inside of ±0.5 (two one-sided tests).
    """
    if low > 0:
        return 'better'
    if high < 0:
        return 'worse'
    if low90 > -MARGIN and high90 < MARGIN:
        return 'equivalent'
    return 'undecided'


def judge(table: pd.DataFrame, control: str) -> pd.DataFrame:
    """Judge every policy of a table, by seeds in their order, at its last whole look.

    A look at n seeds sees the first n columns. Between looks nothing new is judged, and
    a policy that lacks a seed of a look waits. To what :func:`differences` returns this
    adds ``look``, the seeds judged (0 before the first look, with 95 % intervals of all
    seeds), and ``verdict``.
    """
    table = table.loc[:, table.loc[control].notna()]
    whole = table.notna().cumprod(axis=1).sum(axis=1)  # seeds without a gap
    looks = {
        name: max([n for n in LOOKS if n <= whole[name]], default=0)
        for name in table.index
        if name != control
    }
    parts = []
    for look in sorted(set(looks.values())):
        own = [name for name in looks if looks[name] == look]
        seen = table.iloc[:, :look] if look else table
        found = differences(
            seen[seen.notna().any(axis=1)], control, LOOKS.get(look, BELOW)
        )
        found = found.reindex(own).assign(look=look)
        ends = found[['low', 'high', 'low90', 'high90']].itertuples(index=False)
        found['verdict'] = [verdict(*row) if look else 'undecided' for row in ends]
        parts.append(found)
    return pd.concat(parts).loc[list(looks)]
