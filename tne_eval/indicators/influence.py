"""Influence functions: how much each unit moves a statistic, hence its error by clusters, and regressions on it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.clusters import cluster_error
from tne_eval.indicators.inequality import (
    atkinson_terms,
    concentration_scale,
    entropy_terms,
    gradient,
    positive_mean,
)
from tne_eval.indicators.quantiles import (
    check_ranks,
    cut_totals,
    polarization_terms,
    ratio_quantiles,
    share_totals,
    sorted_quantile,
)
from tne_eval.indicators.statistic import as_statistic


def influence(statistic: object, value: ArrayLike, weight: ArrayLike | None = None) -> np.ndarray:
    """(n,) linearised variable z: derivative of the statistic with respect to the weight of each unit.

    Parameters
    ----------
    statistic : anything that `as_statistic` takes; value : (n,); weight : (n,) or None.

    In units of the statistic per unit of weight. Σ weight × z = 0, and to first order the sampling variance of the
    statistic is that of the total Σ weight × z (Deville 1999). A row of zero weight is no part of the distribution and
    gets 0, as does every row where the values are all the same.

    Quantiles, their ratio and polarization need a density: a Gaussian kernel, as in Osier (2009), with Silverman's
    bandwidth (1986, eq. 3.31), 0.9 min(s.d., interquartile range / 1.34) m^(−1/5), m = (Σw)² / Σw² (Kish). It does not
    depend on the scale of the weights; Deville's, with m = Σw, does.

    Raises DesignError as the statistic itself does.
    Sources: Gini, Langel and Tillé (2013); share ratio, Langel and Tillé (2011); the others are differentiated from
    their definitions (Deville 1999; Cowell and Flachaire 2007).
    """
    statistic = as_statistic(statistic)
    checked, used = weighted_arrays(weight, value=value)
    total = used.sum()
    with np.errstate(all="ignore"):
        z = _INFLUENCE[statistic.name](checked, used / total, *statistic.parameters) / total
    if not np.isfinite(z).all():
        raise DesignError(f"no influence function of {statistic} here", why="values or weights are too far apart")
    return _with_zeros(z, weight)


def influence_concentration(
    value: ArrayLike,
    rank_by: ArrayLike,
    weight: ArrayLike | None = None,
    correction: str | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> np.ndarray:
    """(n,) linearised variable of `concentration_index`, whose parameters and errors these are; see `influence`."""
    checked, rank_by, used = weighted_arrays(weight, value=value, rank_by=rank_by)
    total = used.sum()
    share = used / total
    scale, slope = concentration_scale(checked, share, correction, bounds)
    mean = checked @ share
    below, below_value = _mid_totals(rank_by, share, share * checked)
    index = 2 * (share * checked) @ (below - 0.5)
    # Twice the covariance of value and rank, seen by the unit itself and through the ranks of all others.
    moved = 2 * (checked * below + mean - below_value) - checked - mean - 2 * index
    return _with_zeros((scale * moved + slope * index * (checked - mean)) / total, weight)


def influence_gradient(value: ArrayLike, position: ArrayLike, weight: ArrayLike | None = None) -> np.ndarray:
    """(n,) linearised variable of the slope of `gradient`; rows of zero weight get 0.

    Raises DesignError as `gradient` does. Source: Binder (1983), for weighted least squares.
    """
    slope = gradient(value, position, weight).slope
    value, position = np.asarray(value, dtype=float), np.asarray(position, dtype=float)
    weight = np.ones(len(value)) if weight is None else np.asarray(weight, dtype=float)
    centred = position - np.average(position, weights=weight)
    residual = value - np.average(value, weights=weight) - slope * centred
    return np.where(weight > 0, centred * residual / (weight @ centred**2), 0.0)


def recentered_influence(value: ArrayLike, statistic: object, weight: ArrayLike | None = None) -> np.ndarray:
    """(n,) recentred influence function: statistic + (Σ weight) × z, whose weighted mean is the statistic.

    Parameters
    ----------
    value : (n,); statistic : as in `influence`; weight : (n,) or None.

    Its regression on characteristics gives the effect on the statistic of a small change in how these are distributed.
    A row of zero weight gets the statistic. Raises DesignError as `influence` does.
    Source: Firpo, Fortin and Lemieux (2009, 2018).
    """
    statistic = as_statistic(statistic)
    z = influence(statistic, value, weight)
    total = len(z) if weight is None else np.sum(np.asarray(weight, dtype=float))
    return total * z + statistic(value, weight)


def linearized_error(
    statistic: object,
    value: ArrayLike,
    weight: ArrayLike | None = None,
    cluster: ArrayLike | None = None,
    strata: ArrayLike | None = None,
) -> float:
    """Standard error of a statistic by its influence function, in units of the statistic.

    Parameters
    ----------
    statistic : as in `influence`; value : (n,); weight : (n,) or None.
    cluster : (n,) labels of the units drawn (schools, households), which may be numbered anew in each stratum; None
        makes each row one. strata : (n,) labels, or None.

    See `cluster_error`. Raises DesignError as it and `influence` do.
    """
    return cluster_error(influence(statistic, value, weight), weight, cluster, strata)


def _with_zeros(z: np.ndarray, weight: ArrayLike | None) -> np.ndarray:
    """Rows of zero weight put back."""
    if weight is None or len(z) == np.size(weight):
        return z
    full = np.zeros(np.size(weight))
    full[np.asarray(weight, dtype=float) > 0] = z
    return full


# Influence functions of a law: checked values and weights that sum to 1 in, functions of weighted mean 0 out.


def _mean(value: np.ndarray, share: np.ndarray) -> np.ndarray:
    return value - value @ share


def _variance(value: np.ndarray, share: np.ndarray) -> np.ndarray:
    square = (value - value @ share) ** 2
    return square - square @ share


def _gini(value: np.ndarray, share: np.ndarray) -> np.ndarray:
    mean = positive_mean(value, share, "the Gini coefficient")
    distance = _mean_distance(value, share, mean)
    half = distance @ share / 2
    return (distance - 2 * half - half / mean * (value - mean)) / mean


def _mean_distance(value: np.ndarray, share: np.ndarray, mean: float) -> np.ndarray:
    """Mean distance of each value to all of them."""
    order = np.argsort(value)
    centred, mass = value[order] - mean, share[order]
    held = mass * centred
    # Tied values are at no distance, so that they need no common rank.
    distance = np.empty_like(centred)
    distance[order] = centred * (2 * np.cumsum(mass) - mass - 1) - (2 * np.cumsum(held) - held)
    return distance


def _generalized_entropy(value: np.ndarray, share: np.ndarray, alpha: float) -> np.ndarray:
    ratio, index, terms = entropy_terms(value, share, alpha)
    if alpha < 0.5:
        level = (alpha - 1) * index
        return (terms - level - (1 + alpha * level) * (ratio - 1)) / (alpha - 1)
    level = alpha * index
    return (terms - level) / alpha - (1 / alpha + level) * (ratio - 1)


def _atkinson(value: np.ndarray, share: np.ndarray, epsilon: float) -> np.ndarray:
    ratio, terms, index = atkinson_terms(value, share, epsilon)
    level = terms @ share
    return (1 - index) * (ratio - 1 - (terms - level) / (1 + (1 - epsilon) * level))


def _quantile(value: np.ndarray, share: np.ndarray, position: float) -> np.ndarray:
    if not 0 < position < 1:
        raise DesignError(f"share is {position!r}", why="the influence of a quantile needs 0 < share < 1")
    order = np.argsort(value)
    cut = sorted_quantile(value[order], np.cumsum(share[order]), position)
    return _at_cut(value, share, cut, _bandwidth(value, share, order))


def _quantile_ratio(value: np.ndarray, share: np.ndarray, upper: float, lower: float) -> np.ndarray:
    high, low = ratio_quantiles(value, share, upper, lower)
    width = _bandwidth(value, share, np.argsort(value))
    return (_at_cut(value, share, high, width) - high / low * _at_cut(value, share, low, width)) / low


def _share_ratio(value: np.ndarray, share: np.ndarray, upper: float, lower: float) -> np.ndarray:
    high, low, top, bottom = share_totals(value, share, upper, lower)
    above = value - value @ share - _held_below(value, share, high)
    return (above - top / bottom * _held_below(value, share, low)) / bottom


def _quantile_share(value: np.ndarray, share: np.ndarray, lower: float, upper: float) -> np.ndarray:
    check_ranks(lower, upper)
    mean = positive_mean(value, share, "a share of the total")
    cuts, (low, high) = cut_totals(value, share, (lower, upper))
    below, above = (_held_below(value, share, cut) for cut in cuts)
    return (above - below - (high - low) / mean * (value - mean)) / mean


def _polarization(value: np.ndarray, share: np.ndarray) -> np.ndarray:
    mean, median, half = polarization_terms(value, share)
    distance = _mean_distance(value, share, mean)
    spread = distance @ share
    middle = _at_cut(value, share, median, _bandwidth(value, share, np.argsort(value)))
    moved = value - mean - 2 * _held_below(value, share, median) - (distance - spread)
    return 2 * (moved - (mean - 2 * half - spread / 2) / median * middle) / median


def _held_below(value: np.ndarray, share: np.ndarray, cut: float) -> np.ndarray:
    """Influence of the total up to the rank of a quantile that lies at `cut`."""
    lack = np.minimum(value - cut, 0)
    return lack - lack @ share


def _at_cut(value: np.ndarray, share: np.ndarray, cut: float, width: float) -> np.ndarray:
    """Influence of a quantile that lies at `cut`."""
    if width == 0:
        return np.zeros_like(value)
    below = (value <= cut).astype(float)
    density = np.exp(-0.5 * ((value - cut) / width) ** 2) @ share / (width * np.sqrt(2 * np.pi))
    return (below @ share - below) / density


def _bandwidth(value: np.ndarray, share: np.ndarray, order: np.ndarray) -> float:
    """Silverman's rule; 0 where the values are all the same."""
    ordered, cumulated = value[order], np.cumsum(share[order])
    quartiles = [sorted_quantile(ordered, cumulated, part) for part in (0.25, 0.75)]
    spread = np.sqrt((value - value @ share) ** 2 @ share) if ordered[0] < ordered[-1] else 0.0
    middle = (quartiles[1] - quartiles[0]) / 1.34
    return float(0.9 * (min(spread, middle) if middle > 0 else spread) * (share @ share) ** 0.2)


def _mid_totals(rank_by: np.ndarray, *shares: np.ndarray) -> list[np.ndarray]:
    """For each column of shares, its total over lower ranks and half of the same rank."""
    _, place = np.unique(rank_by, return_inverse=True)
    held = (np.bincount(place, weights=share) for share in shares)
    return [(np.cumsum(part) - part / 2)[place] for part in held]


_INFLUENCE: dict[str, Callable[..., np.ndarray]] = {
    "mean": _mean,
    "variance": _variance,
    "gini": _gini,
    "generalized_entropy": _generalized_entropy,
    "atkinson": _atkinson,
    "quantile": _quantile,
    "quantile_ratio": _quantile_ratio,
    "share_ratio": _share_ratio,
    "quantile_share": _quantile_share,
    "polarization": _polarization,
}
