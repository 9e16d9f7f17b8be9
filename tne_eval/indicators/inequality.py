"""Inequality of a value, alone or along a social position; a weight of k is the same as k copies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import boxcox

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import mid_rank, weighted_arrays


class Gradient(NamedTuple):
    """Weighted least-squares slope of a result on a social position, and its strength r² (0-1)."""

    slope: float
    r2: float


class Curve(NamedTuple):
    """Cumulated shares (0-1) of the units and of their value, from (0, 0) to (1, 1), one point per distinct rank."""

    population: np.ndarray
    value: np.ndarray


def gini(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Gini coefficient, 0 (equality) to 1, by mid-rank: 2 cov(value, rank) / mean.

    Parameters
    ----------
    value : (n,) values of zero or more, with a positive mean.
    weight : (n,) weights of zero or more; None gives each 1.

    One unit, or values all the same: 0. Raises DesignError on negative values, a zero mean, missing or infinite values,
    bad weights.
    Source: Lerman and Yitzhaki (1989), covariance form with weighted mid-ranks; no small-sample correction.
    """
    value, weight = weighted_arrays(weight, value=value)
    mean = positive_mean(value, weight, "the Gini coefficient")
    # Tied values need no common rank: inside a tie, ranks weighted by w have the same sum in any order.
    order = np.argsort(value)
    weight = weight[order]
    total = weight.sum()
    rank = (np.cumsum(weight) - weight / 2) / total - 0.5
    return float(2 * (weight * (value[order] - mean)) @ rank / (total * mean))


def generalized_entropy(value: ArrayLike, alpha: float, weight: ArrayLike | None = None) -> float:
    """Generalised entropy GE(α) = (mean of (value/mean)^α − 1) / (α (α − 1)), zero or more, 0 at equality.

    Parameters
    ----------
    value : (n,) values with a positive mean: zero or more for α > 0 (0 ln 0 is 0), above zero for α ≤ 0.
    alpha : any finite number. 1 is Theil's T, 0 his L (mean log deviation), 2 half the squared coefficient of
        variation. The lower, the more the bottom counts. Exact near 0 and 1 too.
    weight : (n,) or None.

    Raises DesignError on values outside this domain, and where a power overflows.
    Source: Shorrocks (1980).
    """
    value, weight = weighted_arrays(weight, value=value)
    return entropy_terms(value, weight, alpha)[1]


def atkinson(value: ArrayLike, epsilon: float, weight: ArrayLike | None = None) -> float:
    """Atkinson index, 0 (equality) to 1: the share of the total that equality could do without at equal welfare.

    1 − (mean of (value/mean)^(1−ε))^(1/(1−ε)); for ε = 1, 1 − geometric mean / mean.

    Parameters
    ----------
    value : (n,) values with a positive mean: zero or more for ε < 1, above zero for ε ≥ 1. A single zero would bring
        the index to its limit of 1, whatever the others: it is refused.
    epsilon : aversion to inequality, above zero; weight : (n,) or None.

    Raises DesignError on values outside this domain, and where a power overflows. Source: Atkinson (1970).
    """
    value, weight = weighted_arrays(weight, value=value)
    return atkinson_terms(value, weight, epsilon)[2]


def lorenz_curve(value: ArrayLike, weight: ArrayLike | None = None) -> Curve:
    """Share of the total held by the poorest p of the units, at each distinct value; straight in between.

    `value` (n,) zero or more with a positive mean. Twice the area between the diagonal and the curve is the Gini.
    """
    checked, used = weighted_arrays(weight, value=value)
    positive_mean(checked, used, "the Lorenz curve")
    return concentration_curve(checked, checked, used)


def concentration_curve(value: ArrayLike, rank_by: ArrayLike, weight: ArrayLike | None = None) -> Curve:
    """Share of the total value held by the p of the units that rank lowest in `rank_by`; straight inside ties.

    `value` (n,) with a positive mean; `rank_by` (n,). 1 less twice the area below it is the concentration index.
    Source: Wagstaff, Paci and van Doorslaer (1991).
    """
    value, rank_by, weight = weighted_arrays(weight, value=value, rank_by=rank_by)
    mean_above_zero(value, weight, "a concentration curve")
    _, place = np.unique(rank_by, return_inverse=True)
    shares = (np.bincount(place, weights=part) for part in (weight, weight * value))
    return Curve(*(np.append(0.0, np.cumsum(share) / share.sum()) for share in shares))


def concentration_index(
    value: ArrayLike,
    rank_by: ArrayLike,
    weight: ArrayLike | None = None,
    correction: str | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
) -> float:
    """Concentration index C of `value` over units ranked by `rank_by`, −1 to 1 for values of zero or more.

    Positive: the value is concentrated among units of high rank. C = 2 cov(value, rank) / mean.

    Parameters
    ----------
    value : (n,) values, with a positive mean where there is no correction; rank_by : (n,) what orders the units;
        ties share a mid-rank; weight : (n,) or None.
    correction : for values between bounds, whose C depends on whether success or failure is counted.
        "wagstaff": C × (b − a) mean / ((b − mean) (mean − a)); "erreygers": 4 C × mean / (b − a). Both change sign and
        nothing else when a + b − value is taken.
    bounds : (a, b) of the value, used with a correction only: (0, 100) for percents.

    One unit, or all of one rank: 0. Raises DesignError on a mean of zero or less, values out of bounds, or values all
    at one bound (wagstaff).
    Source: Wagstaff, Paci and van Doorslaer (1991), eq. 7, with weighted mid-ranks; Wagstaff (2005); Erreygers (2009);
    both corrections for any bounds as in Erreygers and Van Ourti (2011).
    """
    value, rank_by, weight = weighted_arrays(weight, value=value, rank_by=rank_by)
    scale, _ = concentration_scale(value, weight, correction, bounds)
    rank = mid_rank(rank_by, weight)
    return float(scale * 2 * np.average(value * (rank - 0.5), weights=weight))


def slope_index_of_inequality(value: ArrayLike, rank_by: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Slope of `value` on the mid-rank (0-1) of `rank_by`: the gap from bottom to top, in units of value.

    Weighted least squares; (n,) arrays. Raises DesignError where `rank_by` does not vary.
    Source: Mackenbach and Kunst (1997).
    """
    value, rank_by, weight = weighted_arrays(weight, value=value, rank_by=rank_by)
    return gradient(value, mid_rank(rank_by, weight), weight).slope


def relative_index_of_inequality(value: ArrayLike, rank_by: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Slope index of inequality over the mean of `value`: the gap from bottom to top as a share of the mean.

    Raises DesignError where `rank_by` does not vary or the mean is zero or less.
    Source: Pamuk (1985), the first of the forms in Mackenbach and Kunst (1997); their other one is the ratio of the
    two fitted ends.
    """
    value, rank_by, weight = weighted_arrays(weight, value=value, rank_by=rank_by)
    mean = mean_above_zero(value, weight, "the relative index of inequality")
    return slope_index_of_inequality(value, rank_by, weight) / mean


def gradient(value: ArrayLike, position: ArrayLike, weight: ArrayLike | None = None) -> Gradient:
    """Slope of `value` on `position` by weighted least squares, in units of value per unit of position, and r².

    Raises DesignError where `position` does not vary.
    """
    value, position, weight = weighted_arrays(weight, value=value, position=position)
    centred = position - np.average(position, weights=weight)
    spread = np.average(centred**2, weights=weight)
    if spread <= 1e-12 * max(1.0, np.average(position, weights=weight) ** 2):
        raise DesignError("a gradient needs positions that vary")
    deviation = value - np.average(value, weights=weight)
    covariance = np.average(centred * deviation, weights=weight)
    variance = np.average(deviation**2, weights=weight)
    return Gradient(float(covariance / spread), float(covariance**2 / (spread * variance)) if variance > 0 else 0.0)


def finite_number(name: str, parameter: object) -> float:
    """A parameter as a float; DesignError where it is no finite number."""
    try:
        number = float(parameter)
    except (TypeError, ValueError):
        number = np.nan
    if not np.isfinite(number):
        raise DesignError(f"{name} is {parameter!r}", why="a finite number is needed")
    return number


def mean_above_zero(value: np.ndarray, weight: np.ndarray, what: str) -> float:
    """Weighted mean; DesignError where it is zero or less."""
    mean = float(value @ weight / weight.sum())
    if not (mean > 0 and np.isfinite(mean)):
        raise DesignError(f"{what} needs a positive mean, and a finite one", why=f"the mean is {mean:g}")
    return mean


def positive_mean(value: np.ndarray, weight: np.ndarray, what: str, above_zero: bool = False) -> float:
    """Weighted mean of values of zero or more (or above zero), refused where one is below or all are zero."""
    check_signs(value, what, above_zero)
    return mean_above_zero(value, weight, what)


def check_signs(value: np.ndarray, what: str, above_zero: bool = False) -> None:
    """DesignError where a value is below zero, or at zero where `above_zero`."""
    least = value.min()
    if least < 0 or (above_zero and least == 0):
        raise DesignError(
            f"{what} needs values {'above zero' if above_zero else 'of zero or more'}",
            why=f"the smallest is {least:g}",
            remedy="leave these units out and say so, or take a statistic that allows them",
        )


def entropy_terms(value: np.ndarray, weight: np.ndarray, alpha: float) -> tuple[np.ndarray, float, np.ndarray]:
    """(value / mean, GE(α), terms t whose mean gives it): checked arrays in, for the index and its influence function.

    The mean of t is (α − 1) GE below α = 1/2 and α GE from there on. Both are powers of Box and Cox, which hold their
    limits: no sum of terms near 1 is lost in rounding when α is near 0 or 1.
    """
    alpha = finite_number("alpha", alpha)
    mean = positive_mean(value, weight, f"the generalised entropy of order {alpha:g}", above_zero=alpha <= 0)
    ratio = value / mean
    with np.errstate(all="ignore"):
        terms, divisor = entropy_powers(ratio, alpha)
        index = float(terms @ weight / weight.sum() / divisor)
    return ratio, finite_index(index, "alpha", alpha), terms


def entropy_powers(ratio: np.ndarray, alpha: float) -> tuple[np.ndarray, float]:
    """Terms of values over their mean, and what their mean is divided by to give GE(α); see `entropy_terms`."""
    if alpha < 0.5:
        return boxcox(ratio, alpha), alpha - 1
    terms = ratio * boxcox(ratio, alpha - 1)
    terms[ratio == 0] = 0.0
    return terms, alpha


def atkinson_terms(value: np.ndarray, weight: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray, float]:
    """(value / mean, their powers of Box and Cox of order 1 − ε, index): checked arrays in."""
    epsilon = finite_number("epsilon", epsilon)
    if epsilon <= 0:
        raise DesignError(f"epsilon is {epsilon!r}", why="aversion to inequality is above zero")
    mean = positive_mean(value, weight, f"the Atkinson index of {epsilon:g}", above_zero=epsilon >= 1)
    ratio, order = value / mean, 1 - epsilon
    with np.errstate(all="ignore"):
        terms = boxcox(ratio, order)
        level = finite_index(float(terms @ weight / weight.sum()), "epsilon", epsilon)
        index = float(-np.expm1(np.log1p(order * level) / order if order else level))
    return ratio, terms, index


def concentration_scale(
    value: np.ndarray, weight: np.ndarray, correction: str | None, bounds: tuple[float, float]
) -> tuple[float, float]:
    """What 2 cov(value, rank) is multiplied by, as a function of the mean, and the derivative of that function."""
    mean = float(value @ weight / weight.sum())
    if correction is None:
        mean_above_zero(value, weight, "the concentration index")
        return 1 / mean, -1 / mean**2
    low, high = correction_bounds(value, correction, bounds)
    if correction == "erreygers":
        return 4 / (high - low), 0.0
    if value.max() == low or value.min() == high:
        raise DesignError("all values lie at one bound", why="Wagstaff's correction divides by the distance to it")
    span = (high - mean) * (mean - low)
    return (high - low) / span, -(high - low) * (high + low - 2 * mean) / span**2


def correction_bounds(value: np.ndarray, correction: str, bounds: tuple[float, float]) -> tuple[float, float]:
    """The bounds of a correction; DesignError on an unknown one, wrong bounds, or values outside them."""
    if correction not in ("wagstaff", "erreygers"):
        raise DesignError(f"unknown correction {correction!r}", remedy="choose wagstaff, erreygers or None")
    low, high = (finite_number("a bound", bound) for bound in bounds) if np.shape(bounds) == (2,) else (0.0, 0.0)
    if low >= high:
        raise DesignError(f"bounds are {bounds!r}", why="two finite numbers are needed, the lower one first")
    if value.min() < low or value.max() > high:
        raise DesignError(
            f"values lie outside the bounds {low:g} and {high:g}",
            why=f"they go from {value.min():g} to {value.max():g}",
            remedy="give the bounds of the value, (0, 100) for percents",
        )
    return low, high


def finite_index(index, name: str, parameter: float):
    """An index, or an array of them; DesignError where one is not finite."""
    if not np.isfinite(index).all():
        raise DesignError(f"{name} = {parameter:g} is too far from zero for these values", why="a power overflows")
    return index
