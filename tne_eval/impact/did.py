"""Difference-in-differences on a balanced département × period table, and what puts its assumptions to the test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError


def change_between(outcome: pd.DataFrame, pre: Sequence[int], post: Sequence[int]) -> pd.Series:
    """Mean over `post` less mean over `pre`, by unit; every cell is needed."""
    if not pre or not post:
        raise DesignError("a difference needs at least one period before and one after")
    periods = [*pre, *post]
    place = outcome.columns.get_indexer(periods)
    if (place < 0).any():
        absent = [period for period, found in zip(periods, place, strict=True) if found < 0]
        raise DesignError(f"the outcome has no period {absent}", remedy="choose periods that the data hold")
    cells = outcome.to_numpy(dtype=float)[:, place]
    if np.isnan(cells).any():
        units = list(outcome.index[np.isnan(cells).any(axis=1)])
        raise DesignError(f"the outcome is missing for {units}", remedy="leave these units out of the pool")
    before, after = cells[:, : len(pre)], cells[:, len(pre) :]
    return pd.Series(after.mean(axis=1) - before.mean(axis=1), index=outcome.index)


def gaps(outcome: pd.DataFrame, contrast: np.ndarray) -> pd.Series:
    """Treated less controls in each period: the contrast of an assignment applied to levels."""
    return pd.Series(contrast @ outcome.to_numpy(), index=outcome.columns)


def event_study(outcome: pd.DataFrame, contrasts: np.ndarray, base: int, level: float = 0.95) -> pd.DataFrame:
    """Leads and lags: change of the gap since period `base`, with the central `level` band of the re-assignments.

    Returns a frame `period, gap, estimate, band_low, band_high`; the band is pointwise and says what the same
    statistic does when the treated départements are drawn by lot. Two assignments give no band worth the name: it is
    left empty under 20.
    """
    table = contrasts @ outcome.to_numpy()
    moved = table - table[:, [outcome.columns.get_loc(base)]]
    tail = (1 - level) / 2
    band = (
        np.quantile(moved, [tail, 1 - tail], axis=0) if len(contrasts) >= 20 else np.full((2, moved.shape[1]), np.nan)
    )
    return pd.DataFrame(
        {
            "period": outcome.columns,
            "gap": table[0],
            "estimate": moved[0],
            "band_low": band[0],
            "band_high": band[1],
        }
    )


def trend_carried(gap: pd.Series, pre: Sequence[int], post: Sequence[int]) -> tuple[float, float]:
    """(slope, carried): least-squares slope of the gap over `pre`, by year, and the change it would make by itself
    between the mean pre and the mean post date."""
    dates = np.asarray(pre, dtype=float)
    slope = float(np.polyfit(dates - dates.mean(), gap.loc[list(pre)].to_numpy(), 1)[0])
    return slope, slope * (float(np.mean(list(post))) - float(dates.mean()))


def cluster_share(outcome: pd.DataFrame, clusters: pd.Series) -> float:
    """Share of residual variance that is common to the units of a cluster in a period (0-1).

    Residuals of unit and period effects on the balanced table; one-way variance components of cluster × period by the
    analysis of variance (Searle, Casella and McCulloch 1992, §3.6), so that singletons do not inflate it.
    """
    table = outcome.to_numpy()
    residual = table - table.mean(axis=1, keepdims=True) - table.mean(axis=0) + table.mean()
    labels = clusters.loc[outcome.index].to_numpy()
    names, place = np.unique(labels, return_inverse=True)
    size = np.bincount(place).astype(float)
    n, groups, periods = len(labels), len(names), table.shape[1]
    means = np.vstack([np.bincount(place, weights=residual[:, column]) for column in range(periods)]).T / size[:, None]
    within = ((residual - means[place]) ** 2).sum() / (periods * (n - groups))
    between = (size[:, None] * means**2).sum() / (periods * (groups - 1))
    typical = (n - (size**2).sum() / n) / (groups - 1)
    common = max(0.0, (between - within) / typical)
    return float(common / (common + within))
