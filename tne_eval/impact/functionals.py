"""Inequality as an outcome: functionals of the schools of each cluster and period, and recentred outcomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError
from tne_eval.indicators import as_statistic, concentration_index, gradient, recentered_influence

# Weight, in shares of the mean one, of rows that a distribution must not count.
_NOTHING = 1e-12
# Statistics of a result along a social position, beside those of one variable that `as_statistic` knows.
_ALONG = {
    "gradient": lambda value, position, weight: gradient(value, position, weight).slope,
    "concentration_index": concentration_index,
}


def functional_table(
    frame: pd.DataFrame,
    statistic: str,
    value: str,
    cluster: str,
    time: str,
    weight: str | None = None,
    position: str | None = None,
) -> pd.DataFrame:
    """A statistic of the schools of each cluster and period: clusters in rows, periods in columns.

    The table is an outcome like any other for `synthetic_control`, `synthetic_did`, `permutation_test` and the
    differences of a design: it estimates the effect on inequality, not the inequality of effects.

    Parameters
    ----------
    frame : one row per school and period; the others are names of its columns, none missing.
    statistic : one that `as_statistic` takes ("gini", "quantile_ratio(0.9, 0.1)", "mean"…), or "gradient" or
        "concentration_index" along `position`, or "gap": mean of the half of highest position less that of the lowest.

    Raises DesignError on unknown columns, missing cells, a position that is needed or not used, and statistics that a
    cluster's schools leave undefined, all of them at once.
    """
    columns = [name for name in (value, cluster, time, weight, position) if name]
    if absent := [name for name in columns if name not in frame]:
        raise DesignError(f"no column {', '.join(map(repr, absent))}", remedy="name columns of the frame")
    if missing := [name for name in columns if frame[name].isna().any()]:
        raise DesignError(f"{', '.join(missing)} holds missing cells", remedy="leave these rows out")
    along = statistic in (*_ALONG, "gap")
    if along != (position is not None):
        raise DesignError(
            f"{statistic!r} {'needs' if along else 'does not use'} a position",
            remedy="name it" if along else "leave it out, or take gradient, concentration_index or gap",
        )
    compute = _along(statistic) if along else _of_one(statistic)
    found, undefined = {}, []
    for key, rows in frame.groupby([cluster, time]):
        own = None if weight is None else rows[weight].to_numpy(dtype=float)
        arrays = [rows[name].to_numpy(dtype=float) for name in ([value, position] if along else [value])]
        try:
            found[key] = compute(*arrays, own)
        except DesignError as error:
            undefined.append(f"{key[0]}, {key[1]}: {error.what}")
    if undefined:
        shown = "; ".join(undefined[:5])
        raise DesignError(
            f"{statistic} is undefined in {len(undefined)} cell(s)",
            where=shown,
            remedy="leave these clusters out, or take another statistic",
        )
    return pd.Series(found).unstack().sort_index(axis=1)


def recentred_outcome(
    frame: pd.DataFrame,
    statistic: str,
    value: str,
    time: str,
    before: Sequence[int],
    weight: str | None = None,
) -> pd.Series:
    """Recentred influence of each row on a statistic of the distribution before the programme.

    Used as the outcome of `difference_in_differences`, it gives the effect on that statistic to first order: RIF-DiD
    (Firpo, Fortin and Lemieux 2009, eq. 3; Havnes and Mogstad 2015). The influence is that of the distribution over
    the periods `before`, the same for all rows, so that the outcome of a row does not depend on how others are treated.

    Parameters: as in `functional_table`; `statistic` is one whose influence `recentered_influence` knows. For quantiles
    the density is that of the rows before. Returns a Series on the index of `frame`.

    Raises DesignError on no row before, unknown columns, missing cells.
    """
    if absent := [name for name in (value, time, weight) if name and name not in frame]:
        raise DesignError(f"no column {', '.join(map(repr, absent))}", remedy="name columns of the frame")
    old = frame[time].isin(list(before)).to_numpy()
    if not old.any():
        raise DesignError(f"no row in the periods {list(before)}", remedy="choose periods that the frame holds")
    values = frame[value].to_numpy(dtype=float)
    if not np.isfinite(values).all():
        raise DesignError(f"{value} holds missing or infinite cells", remedy="leave these rows out")
    own = np.ones(len(values)) if weight is None else frame[weight].to_numpy(dtype=float)
    # The influence of a value depends on the distribution alone: rows after take part in it with a weight of nothing.
    own = np.where(old, own, _NOTHING * own[old].mean())
    return pd.Series(recentered_influence(values, statistic, own), index=frame.index)


def _of_one(statistic: str) -> Callable[[np.ndarray, np.ndarray | None], float]:
    known = as_statistic(statistic)
    return lambda value, weight: float(known(value, np.ones(len(value)) if weight is None else weight))


def _along(statistic: str) -> Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]:
    if statistic == "gap":
        return _gap
    return lambda value, position, weight: float(_ALONG[statistic](value, position, weight))


def _gap(value: np.ndarray, position: np.ndarray, weight: np.ndarray | None) -> float:
    """Mean of the half of the weight of highest position, less that of the other; a row on the edge counts in part."""
    weight = np.ones(len(value)) if weight is None else weight
    if np.ptp(position) == 0:
        raise DesignError("the positions are all the same")
    order = np.argsort(position, kind="stable")
    value, weight = value[order], weight[order]
    reached = np.cumsum(weight)
    below = np.clip(reached[-1] / 2 - (reached - weight), 0, weight)
    above = weight - below
    return float(above @ value / above.sum() - below @ value / below.sum())
