"""Differences between territories and changes over years, tested: the same schools seen twice are not independent."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from tne_eval.errors import DesignError
from tne_eval.indicators.clusters import Totals, cluster_totals
from tne_eval.indicators.influence import influence
from tne_eval.indicators.precision import check_precision
from tne_eval.indicators.statistic import as_statistic
from tne_eval.results import frame_html


class Sample(NamedTuple):
    """One side of a comparison: (n,) values, weights and clusters; without clusters each row is one."""

    value: ArrayLike
    weight: ArrayLike | None = None
    cluster: ArrayLike | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """Second less first, and its test.

    Attributes
    ----------
    first, second : the statistic on each side; estimate : second − first; error : standard error; t = estimate / error.
    df : degrees of freedom; p_value : two-sided, 0-1; low, high : bounds at `level`.
    correlation : between the two estimates, −1 to 1; 0 for independent samples.
    n_clusters : clusters of the side that holds fewer.
    coverage : measured coverage at 95 %, as in `Interval`; None at another level or where it was never measured.
    """

    statistic: str
    first: float
    second: float
    estimate: float
    error: float
    t: float
    df: float
    p_value: float
    low: float
    high: float
    level: float
    correlation: float
    n_clusters: int
    coverage: float | None


@dataclass(frozen=True, slots=True, eq=False)
class PeriodCovariance:
    """A statistic in each period with the covariance of its estimates.

    `period` (p,) sorted; `estimate` (p,); `covariance` (p, p), positive semi-definite; `n_clusters` (p,) clusters seen.
    """

    statistic: str
    period: np.ndarray
    estimate: np.ndarray
    covariance: np.ndarray = field(repr=False)
    n_clusters: np.ndarray

    @property
    def error(self) -> np.ndarray:
        """(p,) standard errors."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def correlation(self) -> np.ndarray:
        """(p, p) correlations; 0 with a period whose error is 0, 1 on the diagonal."""
        scale = np.outer(self.error, self.error)
        correlation = np.divide(self.covariance, scale, out=np.zeros_like(scale), where=scale > 0)
        np.fill_diagonal(correlation, 1.0)
        return correlation

    def to_frame(self) -> pd.DataFrame:
        """One row per period: estimate, error, clusters."""
        return pd.DataFrame(
            {"period": self.period, "estimate": self.estimate, "error": self.error, "n_clusters": self.n_clusters}
        )

    def _repr_html_(self) -> str:
        return frame_html(self)


def difference_between(
    statistic: object, first: tuple, second: tuple, *, level: float = 0.95, below: str = "refuse"
) -> Difference:
    """Second territory less the first, seen through different schools.

    Parameters
    ----------
    statistic : anything that `as_statistic` takes.
    first, second : `Sample`s, or tuples (value, weight, cluster) of which only the value is needed.
    level : nominal coverage, 0-1; below : as in `confidence_interval`.

    Variances add; degrees of freedom of Welch (1947) from the numbers of clusters. For a mean without weights and
    clusters this is Welch's t test. Raises DesignError on fewer than two clusters, two sides without any variation,
    too few clusters, a cluster on both sides, and what the statistic refuses.
    """
    statistic = as_statistic(statistic)
    sides = [Sample(*first), Sample(*second)]
    totals = [
        cluster_totals(influence(statistic, side.value, side.weight), side.weight, side.cluster) for side in sides
    ]
    if all(side.cluster is not None for side in sides) and np.isin(totals[0].label, totals[1].label).any():
        raise DesignError(
            "the same clusters stand on both sides",
            why="their estimates are not independent",
            remedy="use change_over_time for the same schools in two years",
        )
    variances = np.array([_scaled(part) @ _scaled(part) for part in totals])
    counts = np.array([len(part.total) for part in totals])
    estimates = [statistic(side.value, side.weight) for side in sides]
    shares = (variances**2 / (counts - 1)).sum()
    df = variances.sum() ** 2 / shares if shares > 0 else np.nan
    return _tested("difference", statistic, estimates, variances.sum(), df, 0.0, int(counts.min()), level, below)


def change_over_time(
    statistic: object,
    value: ArrayLike,
    period: ArrayLike,
    cluster: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    level: float = 0.95,
    below: str = "refuse",
) -> Difference:
    """Last period less the first, where (some of) the same schools are seen in both.

    Parameters
    ----------
    statistic : anything that `as_statistic` takes.
    value, period, cluster, weight : (n,); `period` holds two different values at least, and those between the first and
        the last are left out; `cluster` names the school.
    level : nominal coverage, 0-1; below : as in `confidence_interval`.

    Each school's linearised contributions to both years are set against each other, so that what a school keeps from
    one year to the next drops out (Berger and Priam 2016 for the principle). Degrees of freedom: clusters of the year
    that holds fewer, less one. For a mean of the same schools, one row each, this is the paired t test.

    Raises DesignError on fewer than two periods or clusters, missing labels, too few clusters, no variation.
    """
    columns = _aligned(value, period=period, cluster=cluster, weight=weight)
    held = _periods(columns["period"])
    if len(held) < 2:
        raise DesignError("a change needs two periods", why=f"{len(held)} is seen")
    ends = np.isin(columns["period"], held[[0, -1]])
    kept = {name: None if column is None else column[ends] for name, column in columns.items()}
    known = covariance_over_periods(statistic, **kept)
    contrast = np.array([-1.0, 1.0])
    fewest = int(known.n_clusters.min())
    return _tested(
        "change",
        as_statistic(statistic),
        known.estimate.tolist(),
        contrast @ known.covariance @ contrast,
        fewest - 1,
        float(known.correlation[0, 1]),
        fewest,
        level,
        below,
    )


def covariance_over_periods(
    statistic: object, value: ArrayLike, period: ArrayLike, cluster: ArrayLike, weight: ArrayLike | None = None
) -> PeriodCovariance:
    """A statistic in every period and the covariance matrix of its estimates, by clusters followed over the periods.

    Parameters: (n,) arrays, as in `change_over_time`. A cluster that a period does not hold adds nothing to it.

    With D the (clusters, periods) totals of the linearised variable, each column scaled by √(n/(n−1)) for its own n
    clusters, the matrix is D'D: its diagonal is the squared linearised error of each period.
    """
    statistic = as_statistic(statistic)
    value, period, cluster, weight = _aligned(value, period=period, cluster=cluster, weight=weight).values()
    periods = _periods(period)
    code, found = pd.factorize(cluster)
    scaled, estimates, counts = np.zeros((len(found), len(periods))), [], []
    for place, held in enumerate(periods):
        rows = period == held
        part = (value[rows], None if weight is None else weight[rows])
        estimates.append(statistic(*part))
        totals = cluster_totals(influence(statistic, *part), part[1], code[rows])
        scaled[totals.label, place] = _scaled(totals)
        counts.append(len(totals.label))
    return PeriodCovariance(str(statistic), periods, np.array(estimates), scaled.T @ scaled, np.array(counts))


def _scaled(totals: Totals) -> np.ndarray:
    """Centred totals × √(n/(n−1)): their squares sum to the variance."""
    count = len(totals.total)
    if count < 2:
        raise DesignError("an error needs two clusters or more", why=f"{count} is seen")
    return np.sqrt(count / (count - 1)) * (totals.total - totals.total.mean())


def _aligned(value: ArrayLike, **columns: ArrayLike | None) -> dict[str, np.ndarray | None]:
    """The columns as arrays of one length without missing labels; None stays None."""
    arrays = {"value": np.asarray(value)} | {
        name: None if column is None else np.asarray(column) for name, column in columns.items()
    }
    length = arrays["value"].size
    for name, array in arrays.items():
        if array is not None and array.shape != (length,):
            raise DesignError(f"{name} has shape {array.shape}", why=f"one dimension of {length} values is needed")
        if array is not None and pd.isna(array).any():
            raise DesignError(f"{name} holds missing values", remedy="drop these rows")
    return arrays


def _periods(period: np.ndarray) -> np.ndarray:
    try:
        return np.unique(period)
    except TypeError as error:
        raise DesignError("the periods cannot be sorted", why=str(error)) from None


def _tested(
    quantity: str,
    statistic,
    estimates: list[float],
    variance: float,
    df: float,
    correlation: float,
    n_clusters: int,
    level: float,
    below: str,
) -> Difference:
    if not 0 < level < 1:
        raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")
    coverage = check_precision(quantity, str(statistic), "linearized", n_clusters, below)
    first, second = estimates
    error = float(np.sqrt(variance))
    if error <= 1e-14 * max(abs(first), abs(second)):
        raise DesignError(
            "the difference has no sampling variation",
            why="every cluster contributes the same on both sides, so that no test exists",
        )
    t = (second - first) / error
    half = special.stdtrit(df, (1 + level) / 2) * error
    return Difference(
        str(statistic),
        first,
        second,
        second - first,
        error,
        float(t),
        float(df),
        float(2 * special.stdtr(df, -abs(t))),
        float(second - first - half),
        float(second - first + half),
        level,
        correlation,
        n_clusters,
        coverage if level == 0.95 else None,
    )
