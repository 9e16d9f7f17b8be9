"""Inequality statistics on arrays, weighted; a weight of k is the same as k copies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import mid_rank, weighted_arrays


class Gradient(NamedTuple):
    """Weighted least-squares slope of a result on a social position, and its strength r² (0-1)."""

    slope: float
    r2: float


def gini(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Gini coefficient, 0 (equality) to 1, by mid-rank: 2 cov(value, rank) / mean.

    Parameters
    ----------
    value : (n,) values of zero or more, with a positive mean.
    weight : (n,) weights of zero or more; None gives each 1.

    Raises DesignError on negative values, a zero mean, missing or infinite values, bad weights.
    Source: Lerman and Yitzhaki (1989), covariance form with weighted mid-ranks; no small-sample correction.
    """
    value, weight = weighted_arrays(weight, value=value)
    if (value < 0).any():
        raise DesignError("the Gini coefficient needs values of zero or more")
    return concentration_index(value, value, weight)


def concentration_index(value: ArrayLike, rank_by: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Concentration index of `value` over units ranked by `rank_by`, −1 to 1.

    Positive: the value is concentrated among units of high rank. 2 cov(value, rank) / mean.

    Parameters
    ----------
    value : (n,) values with a positive mean; rank_by : (n,) what orders the units; weight : (n,) or None.

    Source: Wagstaff, Paci and van Doorslaer (1991), eq. 7, with weighted mid-ranks.
    """
    value, rank_by, weight = weighted_arrays(weight, value=value, rank_by=rank_by)
    mean = np.average(value, weights=weight)
    if mean <= 0:
        raise DesignError("the concentration index needs a positive mean", why=f"the mean is {mean:g}")
    rank = mid_rank(rank_by, weight)
    return float(2 * np.average(value * (rank - 0.5), weights=weight) / mean)


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
