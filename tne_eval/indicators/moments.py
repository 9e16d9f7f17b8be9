"""Mean and variance, and the variance between and within groups; a weight of k is the same as k copies."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.groups import group_codes


class VarianceParts(NamedTuple):
    """Variance between and within groups, in squared units of the value, and the share between (0-1)."""

    between: float
    within: float
    icc: float


def mean(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Weighted mean, in units of the value."""
    value, weight = weighted_arrays(weight, value=value)
    return float(value @ weight / weight.sum())


def variance(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Weighted variance of the units seen (sum of weights as divisor), in squared units of the value; one unit: 0."""
    value, weight = weighted_arrays(weight, value=value)
    centre = value @ weight / weight.sum()
    return float((value - centre) ** 2 @ weight / weight.sum())


def intraclass_correlation(value: ArrayLike, group: ArrayLike, weight: ArrayLike | None = None) -> VarianceParts:
    """Share of the variance that lies between groups (schools): the exact, descriptive decomposition.

    Parameters
    ----------
    value : (n,); group : (n,) labels; weight : (n,) or None.

    variance = between + within, where between is the variance of the group means, each with the weight of its group.
    It describes the units seen. As an estimate for schools of m pupils it is too high by about (1 − icc) / m, because
    the mean of a small school moves by chance: the estimator of a random-effects model takes that off, this does not.

    Raises DesignError on missing labels, fewer than two groups and values that do not vary.
    Source: law of total variance; the ratio η² of Fisher (1925).
    """
    _, code = group_codes(group)
    value, code, weight = weighted_arrays(weight, value=value, group=code)
    _, code = np.unique(code, return_inverse=True)
    mass = np.bincount(code, weights=weight)
    if len(mass) < 2:
        raise DesignError("fewer than two groups", why="one cannot be compared with itself")
    total = weight.sum()
    value = value - value @ weight / total
    centre = np.bincount(code, weights=weight * value) / mass
    between = float(mass @ centre**2 / total)
    within = float(weight @ (value - centre[code]) ** 2 / total)
    if np.ptp(value) == 0:
        raise DesignError("the values do not vary", why="no share of a variance of zero exists")
    return VarianceParts(between, within, between / (between + within))
