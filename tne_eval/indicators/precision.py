"""How sure a statistic is: errors by clusters, finite populations, and intervals whose coverage was measured.

The interval is estimate ± t × error on the scale of the logarithm for statistics that are positive by nature
(inequality indices, ratios), on their own scale for the others (mean, quantile). The degrees of freedom are those of
the variance estimate itself: few when a handful of schools makes most of the variance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from tne_eval.catalog import precision_rule
from tne_eval.errors import DesignError
from tne_eval.indicators.clusters import Totals, centred_totals, cluster_totals
from tne_eval.indicators.influence import influence
from tne_eval.indicators.resample import bootstrap
from tne_eval.indicators.statistic import as_statistic

METHODS = ("linearized", "bootstrap")
# What an interval is about, in words. French readers find the sentence under the key `interval.<meaning>`.
MEANINGS = {
    "superpopulation": "The schools seen are taken as one draw of what could have been: the interval bounds the "
    "statistic of the process that made them. If all schools are seen, their own value has no sampling error.",
    "sample": "The schools seen are a sample of a known number of schools: the interval bounds the statistic of all of "
    "them, and narrows to nothing as the sample becomes a census.",
    "none": "Every school of the population is seen: the statistic is its value, without sampling error, and an "
    "interval has no meaning. Errors of measurement are another matter.",
}
_OWN_SCALE = ("mean", "quantile", "concentration_index", "gradient")
_AT_MOST_ONE = ("gini", "atkinson")


@dataclass(frozen=True, slots=True)
class Interval:
    """A statistic between its bounds.

    Attributes
    ----------
    statistic : its text form; estimate, low, high : in its unit; error : standard error of the estimate.
    df : degrees of freedom of the t quantile; level : nominal coverage, 0-1; method : linearized or bootstrap.
    n_clusters : clusters (schools) seen.
    meaning : `superpopulation`, `sample` or `none` (a census: error 0, low = high = estimate); see `MEANINGS`.
    coverage : share of nominal 95 % intervals that held the true value in the simulations of
        `tests/reference/coverage_indicators.csv`, lowest over its generators, at the largest number of clusters tried
        that is not above `n_clusters`. None for a census, another level, or a case never tried.
    """

    statistic: str
    estimate: float
    error: float
    low: float
    high: float
    df: float
    level: float
    method: str
    n_clusters: int
    meaning: str
    coverage: float | None

    @property
    def sentence(self) -> str:
        """What the interval is about, in English."""
        return MEANINGS[self.meaning]


class Bounds(NamedTuple):
    """Error, bounds and degrees of freedom of an interval."""

    error: float
    low: float
    high: float
    df: float


def measured_coverage(quantity: str, statistic: str, method: str, n_clusters: int) -> tuple[float | None, int | None]:
    """(coverage measured at this number of clusters, smallest number from which 93-97 % holds); None where unknown.

    `quantity` is `level`, `change` or `difference`; `statistic` the text of one, `concentration_index` or `gradient`.
    """
    entry = precision_rule().get(quantity, {}).get(method, {}).get(statistic)
    if entry is None:
        return None, None
    tried = [number for number in entry["clusters"] if number <= n_clusters]
    return (entry["coverage"][len(tried) - 1] if tried else None), entry.get("holds_from")


def check_precision(quantity: str, statistic: str, method: str, n_clusters: int, below: str) -> float | None:
    """Measured coverage of the interval about to be given.

    Raises DesignError where `below` is `refuse` and fewer clusters are seen than 93-97 % asks for.
    """
    if below not in ("refuse", "show"):
        raise DesignError(f"below is {below!r}", remedy="refuse, or show with the measured coverage")
    coverage, needed = measured_coverage(quantity, statistic, method, n_clusters)
    if below == "show" or (needed is not None and n_clusters >= needed):
        return coverage
    known = "was never measured" if coverage is None else f"was measured at {100 * coverage:.1f} %"
    held = "at no number of clusters tried" if needed is None else f"from {needed} clusters"
    raise DesignError(
        f"no 95 % interval for {statistic} from {n_clusters} clusters",
        why=f"its coverage ({method}, {quantity}) {known} here; 93-97 % holds {held}",
        remedy='take a larger territory, or pass below="show" and print the coverage beside the interval',
    )


def confidence_interval(
    statistic: object,
    value: ArrayLike,
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    *,
    method: str = "linearized",
    level: float = 0.95,
    population: int | Mapping[object, int] | None = None,
    below: str = "refuse",
    replicates: int = 999,
    seed: int = 0,
) -> Interval:
    """Confidence interval of a statistic, by clusters.

    Parameters
    ----------
    statistic : anything that `influence` takes.
    value, weight, cluster, strata : (n,); without `cluster` each row is one; clusters are nested in strata.
    method : `linearized` (influence function; Deville 1999), or `bootstrap` (clusters redrawn; the centre is corrected
        for the bias that the replicates show; no strata).
    level, population, below : as in `interval_around`.
    replicates, seed : of the bootstrap.

    Raises DesignError as `interval_around` does, and where the statistic or the bootstrap refuses the data.
    """
    if method not in METHODS:
        raise DesignError(f"unknown method {method!r}", remedy=f"choose among {', '.join(METHODS)}")
    if method == "bootstrap" and strata is not None:
        raise DesignError("the bootstrap takes no strata", remedy='use method="linearized"')
    statistic = as_statistic(statistic)
    estimate = statistic(value, weight)
    totals = cluster_totals(influence(statistic, value, weight), weight, cluster, strata)

    def draw() -> np.ndarray:
        return bootstrap(statistic, value, weight, cluster, replicates=replicates, seed=seed).draws[:, 0]

    return interval_around(
        str(statistic),
        estimate,
        totals,
        draw=draw if method == "bootstrap" else None,
        level=level,
        population=population,
        below=below,
    )


def interval_around(
    statistic: str,
    estimate: float,
    totals: Totals,
    *,
    draw: Callable[[], np.ndarray] | None = None,
    level: float = 0.95,
    population: int | Mapping[object, int] | None = None,
    below: str = "refuse",
) -> Interval:
    """Confidence interval around any estimate whose influence function is known, from its cluster totals.

    Parameters
    ----------
    statistic : its name in the rule: the text of a statistic, `concentration_index` or `gradient`.
    estimate : in its unit; totals : of `cluster_totals`.
    draw : gives (replicates,) the statistic on redrawn clusters; None for the linearised interval.
    level : nominal coverage, strictly between 0 and 1.
    population : clusters that exist, in all or by label of stratum. None: no end to them (superpopulation). As many as
        are seen: a census, without sampling error. More: a sample, whose variance is multiplied by 1 − sampling
        fraction (Cochran 1977, theorem 2.4).
    below : with fewer clusters than the measured coverage asks for, `refuse`, or `show` with that coverage.

    The t quantile has V² / Σ_h (V_h² / df_h) degrees of freedom, at most clusters − strata (Satterthwaite 1946), with
    df_h = 2 n / (k − (n − 3) / (n − 1)) for n clusters whose totals have kurtosis k (variance of a variance, O'Neill
    2014). Values that are all the same give an error of 0.

    Raises DesignError: a stratum with fewer than two clusters, fewer clusters in the population than are seen, too few
    clusters for the rule.
    """
    if not 0 < level < 1:
        raise DesignError(f"level is {level!r}", why="it is a share strictly between 0 and 1")
    n_clusters, method = len(totals.total), "linearized" if draw is None else "bootstrap"
    fraction = _sampling_fraction(population, totals)
    meaning, coverage = "superpopulation" if population is None else "sample", None
    if (fraction == 1).all():
        meaning, bounds = "none", Bounds(0.0, estimate, estimate, float(n_clusters))
    else:
        measured = check_precision("level", statistic, method, n_clusters, below)
        coverage = measured if level == 0.95 else None
        drawn = None if draw is None else draw()
        bounds = bound(statistic, estimate, totals, drawn=drawn, level=level, fraction=fraction)
    return Interval(statistic, estimate, *bounds, level, method, n_clusters, meaning, coverage)


def bound(
    statistic: str,
    estimate: float,
    totals: Totals,
    *,
    drawn: np.ndarray | None = None,
    level: float = 0.95,
    fraction: ArrayLike = 0.0,
) -> Bounds:
    """Error, bounds and degrees of freedom: the step of `interval_around` whose coverage is measured.

    Parameters
    ----------
    drawn : (replicates,) the statistic on redrawn clusters; None for the linearised interval.
    fraction : share of the existing clusters that is seen, in all or (strata,); the others as in `interval_around`.
    """
    parts, own_df = _stratum_variances(totals)
    parts = parts * (1 - np.asarray(fraction))
    count = len(totals.total)
    df = _satterthwaite(parts, own_df, count - len(parts))
    quantile = special.stdtrit(df, (1 + level) / 2)
    name = statistic.partition("(")[0]
    on_log = name not in _OWN_SCALE and estimate > 0
    if drawn is None:
        error = np.sqrt(parts.sum())
        centre, spread = estimate, quantile * (error / estimate if on_log else error)
    else:
        # Redrawing n of n clusters loses a degree of freedom: n/(n−1) gives the scale of the linearised variance.
        factor = np.sqrt(count / (count - 1) * (1 - np.max(fraction)))
        error = factor * drawn.std(ddof=1)
        if on_log and (drawn <= 0).any():
            raise DesignError(
                "a replicate of the bootstrap is zero",
                why="the clusters that it drew hold one value only, which has no logarithm",
                remedy='use method="linearized", or more clusters',
            )
        scale = np.log(drawn) if on_log else drawn
        spread = quantile * factor * scale.std(ddof=1)
        centre = estimate**2 / np.exp(scale.mean()) if on_log else 2 * estimate - scale.mean()
    with np.errstate(over="ignore"):
        low, high = (
            (centre * np.exp(-spread), centre * np.exp(spread)) if on_log else (centre - spread, centre + spread)
        )
    if name in _AT_MOST_ONE:
        high = min(high, 1.0)
    return Bounds(float(error), float(low), float(high), df)


def _sampling_fraction(population: object, totals: Totals) -> np.ndarray:
    """Share of the clusters of each stratum that is seen; 0 where the population has no end."""
    seen = np.bincount(totals.stratum)
    if population is None:
        return np.zeros(len(seen))
    if isinstance(population, Mapping):
        if set(population) != set(totals.strata.tolist()):
            names = ", ".join(map(str, totals.strata[:10]))
            raise DesignError("population and strata name different strata", why=f"the data hold {names}")
        size = np.array([population[label] for label in totals.strata.tolist()], dtype=float)
    elif len(seen) > 1:
        raise DesignError("one population for several strata", remedy="give the clusters that exist by stratum")
    else:
        size = np.array([population], dtype=float)
    if not (size >= seen).all():
        raise DesignError("fewer clusters exist than are seen", why=f"{size.tolist()} exist, {seen.tolist()} are seen")
    return seen / size


def _stratum_variances(totals: Totals) -> tuple[np.ndarray, np.ndarray]:
    """Variance n/(n−1) Σ (d − mean)² of each stratum, and its degrees of freedom from the kurtosis of its totals."""
    count, centred = centred_totals(totals)
    square = np.bincount(totals.stratum, weights=centred**2)
    fourth = np.bincount(totals.stratum, weights=centred**4)
    kurtosis = np.divide(count * fourth, square**2, out=np.full(len(count), 3.0), where=square > 0)
    df = 2 * count / (kurtosis - (count - 3) / (count - 1))
    return count / (count - 1) * square, np.minimum(df, count - 1)


def _satterthwaite(parts: np.ndarray, df: np.ndarray, most: int) -> float:
    total = parts.sum()
    return float(most if total <= 0 else min(most, total**2 / (parts**2 / df).sum()))
