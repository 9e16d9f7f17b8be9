"""The same difference-in-differences under other controls, other dates and another composition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError
from tne_eval.impact.did import change_between
from tne_eval.impact.inference import permutation_p

# Degrees of freedom that controls must leave: a slope drawn through a handful of them is noise.
_LEAST_FREEDOM = 10


def leave_one_out(change: pd.Series, treated: Sequence[str], strata: Sequence[str]) -> pd.DataFrame:
    """Estimate when each control in turn is left out: `left_out, estimate`, sorted by estimate.

    Parameters
    ----------
    change : (n,) by unit; treated : units of it; strata : (n,) label of each unit.

    The estimate is the mean over treated units of their change less the mean change of the controls of their stratum.
    A control that is alone in its stratum cannot be left out. Raises DesignError where no control can be.
    """
    labels = np.asarray(strata)
    is_treated = change.index.isin(treated)
    value = change.to_numpy(dtype=float)
    used = np.isin(labels, labels[is_treated]) & ~is_treated
    share = {label: np.mean(labels[is_treated] == label) for label in np.unique(labels[is_treated])}
    mean = {label: value[used & (labels == label)].mean() for label in share}
    size = {label: int((used & (labels == label)).sum()) for label in share}
    whole = value[is_treated].mean() - sum(share[label] * mean[label] for label in share)
    rows = []
    for place in np.flatnonzero(used):
        label = labels[place]
        if size[label] > 1:
            without = (size[label] * mean[label] - value[place]) / (size[label] - 1)
            rows.append({"left_out": change.index[place], "estimate": whole + share[label] * (mean[label] - without)})
    if not rows:
        raise DesignError("no control can be left out", why="each is alone in its stratum")
    return pd.DataFrame(rows).sort_values("estimate", ignore_index=True)


def placebo_dates(outcome: pd.DataFrame, contrasts: np.ndarray, pre: Sequence[int]) -> pd.DataFrame:
    """Effect that would be found had the programme begun before it did: `first, estimate, p_value`.

    outcome : (units, periods); contrasts : (S, units), the observed assignment first; pre : periods before exposure.
    One row for each period of `pre` that leaves one or more before it. Raises DesignError under two periods.
    """
    pre = sorted(pre)
    if len(pre) < 2:
        raise DesignError("a placebo date needs two periods before the exposure", why=f"{len(pre)} is there")
    rows = []
    for place in range(1, len(pre)):
        statistics = contrasts @ change_between(outcome, pre[:place], pre[place:]).to_numpy()
        rows.append({"first": pre[place], "estimate": float(statistics[0]), "p_value": permutation_p(statistics)})
    return pd.DataFrame(rows)


def adjust_change(
    change: pd.Series, covariates: pd.DataFrame, treated: Sequence[str], strata: Sequence[str]
) -> pd.Series:
    """Change less what changes of the covariates predict, by the slopes among the controls, within strata.

    change : (n,) by unit; covariates : (n, k) changes of the same units; strata : (n,). The treated take no part in the
    slopes, so that an effect cannot hide in them (regression adjustment: Heckman, Ichimura and Todd 1997, eq. 10).
    Raises DesignError on units without covariates and where the controls are too few for k slopes.
    """
    if not change.index.equals(covariates.index):
        absent = sorted(set(change.index) - set(covariates.index))
        raise DesignError(f"no covariate for {', '.join(absent) or 'some units'}", remedy="give both the same units")
    if covariates.isna().any(axis=None):
        missing = covariates.index[covariates.isna().any(axis=1)]
        raise DesignError(f"covariates are missing for {', '.join(map(str, missing))}")
    control = ~change.index.isin(treated)
    labels = pd.Series(np.asarray(strata), index=change.index)[control]
    own, other = change[control], covariates[control]
    within = other - other.groupby(labels).transform("mean")
    moved = own - own.groupby(labels).transform("mean")
    freedom = len(own) - labels.nunique() - other.shape[1]
    slopes, _, rank, _ = np.linalg.lstsq(within.to_numpy(dtype=float), moved.to_numpy(dtype=float), rcond=None)
    if freedom < _LEAST_FREEDOM or rank < other.shape[1]:
        raise DesignError(
            f"{len(own)} controls are too few for {other.shape[1]} slope(s)",
            why=f"fewer than {_LEAST_FREEDOM} degrees of freedom are left, or a covariate does not vary within strata",
            remedy="take fewer covariates or a wider pool",
        )
    return change - covariates.to_numpy(dtype=float) @ slopes
