"""Inequality statistics on arrays, weighted; a weight of k is the same as k copies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError


class Gradient(NamedTuple):
    """Weighted least-squares slope of a result on a social position, and its strength r² (0-1)."""

    slope: float
    r2: float


def _arrays(weight: ArrayLike | None, **columns: ArrayLike) -> tuple[np.ndarray, ...]:
    """The columns and the weight as checked float arrays of one length, rows of zero weight left out."""
    values = {name: np.asarray(column, dtype=float) for name, column in columns.items()}
    length = len(next(iter(values.values())))
    values["weight"] = np.ones(length) if weight is None else np.asarray(weight, dtype=float)
    for name, array in values.items():
        if array.ndim != 1 or len(array) != length:
            raise DesignError(f"{name} has shape {array.shape}", why=f"one dimension of {length} values is needed")
        if not np.isfinite(array).all():
            raise DesignError(f"{name} holds missing or infinite values", remedy="drop or impute them first")
    if (values["weight"] < 0).any() or values["weight"].sum() <= 0:
        raise DesignError("weights must be zero or more, and not all zero")
    keep = values["weight"] > 0
    return tuple(array[keep] for array in values.values())


def _mid_rank(rank_by: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted fractional rank in (0, 1); ties share the middle of their range (Lerman and Yitzhaki 1989)."""
    _, place = np.unique(rank_by, return_inverse=True)
    mass = np.bincount(place, weights=weight)
    middle = np.cumsum(mass) - mass / 2
    return middle[place] / weight.sum()


def gini(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Gini coefficient, 0 (equality) to 1, by mid-rank: 2 cov(value, rank) / mean.

    Parameters
    ----------
    value : (n,) values of zero or more, with a positive mean.
    weight : (n,) weights of zero or more; None gives each 1.

    Raises DesignError on negative values, a zero mean, missing or infinite values, bad weights.
    Source: Lerman and Yitzhaki (1989), covariance form with weighted mid-ranks; no small-sample correction.
    """
    value, weight = _arrays(weight, value=value)
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
    value, rank_by, weight = _arrays(weight, value=value, rank_by=rank_by)
    mean = np.average(value, weights=weight)
    if mean <= 0:
        raise DesignError("the concentration index needs a positive mean", why=f"the mean is {mean:g}")
    rank = _mid_rank(rank_by, weight)
    return float(2 * np.average(value * (rank - 0.5), weights=weight) / mean)


def gradient(value: ArrayLike, position: ArrayLike, weight: ArrayLike | None = None) -> Gradient:
    """Slope of `value` on `position` by weighted least squares, in units of value per unit of position, and r².

    Raises DesignError where `position` does not vary.
    """
    value, position, weight = _arrays(weight, value=value, position=position)
    centred = position - np.average(position, weights=weight)
    spread = np.average(centred**2, weights=weight)
    if spread <= 1e-12 * max(1.0, np.average(position, weights=weight) ** 2):
        raise DesignError("a gradient needs positions that vary")
    deviation = value - np.average(value, weights=weight)
    covariance = np.average(centred * deviation, weights=weight)
    variance = np.average(deviation**2, weights=weight)
    return Gradient(float(covariance / spread), float(covariance**2 / (spread * variance)) if variance > 0 else 0.0)
