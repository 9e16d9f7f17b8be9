"""Statistics that cut a distribution at its quantiles; a weight of k is the same as k copies."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.arrays import weighted_arrays
from tne_eval.indicators.inequality import finite_number, gini, positive_mean


def quantile(value: ArrayLike, share: float, weight: ArrayLike | None = None) -> float:
    """The smallest value at which the cumulated weight reaches `share` of the total: always a value observed.

    Parameters
    ----------
    value : (n,); share : 0 (the minimum) to 1 (the maximum); weight : (n,) or None.

    This is the inverse of the weighted distribution function, without interpolation (Hyndman and Fan 1996, type 1).
    """
    if not 0 <= finite_number("share", share) <= 1:
        raise DesignError(f"share is {share!r}", why="it lies between 0 and 1")
    value, weight = weighted_arrays(weight, value=value)
    return sorted_quantile(*_sorted(value, weight), share)


def quantile_ratio(value: ArrayLike, upper: float = 0.9, lower: float = 0.1, weight: ArrayLike | None = None) -> float:
    """Ratio of two quantiles, D9/D1 unless told: 1 at equality, above it otherwise.

    Parameters
    ----------
    value : (n,) values of zero or more; upper, lower : shares, 0 < lower < upper < 1; weight : (n,) or None.

    Quantiles as in `quantile`. Raises DesignError on negative values, and where the lower quantile is zero.
    """
    value, weight = weighted_arrays(weight, value=value)
    high, low = ratio_quantiles(value, weight, upper, lower)
    return high / low


def share_ratio(value: ArrayLike, upper: float = 0.2, lower: float = 0.2, weight: ArrayLike | None = None) -> float:
    """Total of the `upper` share of the units at the top over that of the `lower` share at the bottom.

    Parameters
    ----------
    value : (n,) values of zero or more; weight : (n,) or None.
    upper, lower : shares above 0 that sum to 1 at most. S80/S20 unless told; Palma's ratio is 0.1 over 0.4.

    Whole units, as Eurostat has it: those above the quantile 1 − upper, over those at the quantile `lower` or below.
    Raises DesignError on negative values, where no unit lies above the upper quantile (few distinct values), and where
    the bottom holds nothing.
    Source: Eurostat's S80/S20, as the R package laeken computes it; Palma (2011).
    """
    value, weight = weighted_arrays(weight, value=value)
    _, _, top, bottom = share_totals(value, weight, upper, lower)
    return top / bottom


def quantile_share(value: ArrayLike, lower: float, upper: float, weight: ArrayLike | None = None) -> float:
    """Share (0-1) of the total held by the units ranked between `lower` and `upper`; (0.9, 1): by the top tenth.

    Parameters
    ----------
    value : (n,) values of zero or more, with a positive mean; weight : (n,) or None.
    lower, upper : ranks, 0 ≤ lower < upper ≤ 1. A unit across a border counts for the part of its weight inside.

    A difference of ordinates of the Lorenz curve. Raises DesignError on negative values and other ranks.
    """
    value, weight = weighted_arrays(weight, value=value)
    mean = positive_mean(value, weight, "a share of the total")
    check_ranks(lower, upper)
    _, (low, high) = cut_totals(value, weight / weight.sum(), (lower, upper))
    return (high - low) / mean


def polarization(value: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Wolfson's index: how far the distribution moves away from its middle; 0 at equality, 1 for two equal halves of
    which one has nothing.

    2 (2 T − Gini) mean / median, with T the distance of the Lorenz curve from the diagonal at one half. The median is
    the middle of the two central values where one half is reached exactly, which makes the second limit hold.

    Parameters
    ----------
    value : (n,) values of zero or more, with a positive median; weight : (n,) or None. Raises DesignError otherwise.

    Source: Wolfson (1994); Foster and Wolfson (2010).
    """
    value, weight = weighted_arrays(weight, value=value)
    mean, median, half = polarization_terms(value, weight / weight.sum())
    return 2 * (mean - 2 * half - mean * gini(value, weight)) / median


def sorted_quantile(ordered: np.ndarray, cumulated: np.ndarray, share: float) -> float:
    """Quantile of values in ascending order, from their cumulated weights."""
    # A share that falls on a step up to rounding takes that step.
    place = np.searchsorted(cumulated, share * cumulated[-1] * (1 - 1e-12), side="left")
    return float(ordered[min(place, len(ordered) - 1)])


def ratio_quantiles(value: np.ndarray, weight: np.ndarray, upper: float, lower: float) -> tuple[float, float]:
    """The two quantiles of checked arrays whose ratio is wanted."""
    upper, lower = finite_number("upper", upper), finite_number("lower", lower)
    if not 0 < lower < upper < 1:
        raise DesignError(
            f"upper is {upper!r} and lower {lower!r}", why="0 < lower < upper < 1 is needed, as in 0.9 and 0.1"
        )
    positive_mean(value, weight, "a ratio of quantiles")
    ordered = _sorted(value, weight)
    high, low = (sorted_quantile(*ordered, share) for share in (upper, lower))
    if low == 0:
        raise DesignError(f"the quantile {lower:g} is zero", why="it divides", remedy="take a higher one, or a share")
    return high, low


def check_ranks(lower: float, upper: float) -> None:
    """DesignError unless 0 ≤ lower < upper ≤ 1."""
    if not 0 <= finite_number("lower", lower) < finite_number("upper", upper) <= 1:
        raise DesignError(f"lower is {lower!r} and upper {upper!r}", why="0 ≤ lower < upper ≤ 1 is needed")


def cut_totals(value: np.ndarray, share: np.ndarray, ranks: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Quantiles at `ranks`, and the totals of the values up to each rank; the shares of the units sum to 1."""
    ordered, cumulated = _sorted(value, share)
    cuts = [sorted_quantile(ordered, cumulated, rank) for rank in ranks]
    return cuts, [float(np.minimum(value - cut, 0) @ share + rank * cut) for cut, rank in zip(cuts, ranks, strict=True)]


def polarization_terms(value: np.ndarray, share: np.ndarray) -> tuple[float, float, float]:
    """Mean, median and total of the lower half; the shares of the units sum to 1."""
    mean = positive_mean(value, share, "the polarization index")
    (low,), (half,) = cut_totals(value, share, (0.5,))
    (high,), _ = cut_totals(-value, share, (0.5,))
    median = (low - high) / 2
    if not median > 0:
        raise DesignError(
            "the polarization index needs a positive median", why="more than half of the units are at zero"
        )
    return mean, median, half


def share_totals(
    value: np.ndarray, weight: np.ndarray, upper: float, lower: float
) -> tuple[float, float, float, float]:
    """Cuts and totals of checked arrays: (upper cut, lower cut, total above, total at the lower cut or below)."""
    upper, lower = finite_number("upper", upper), finite_number("lower", lower)
    if not (upper > 0 and lower > 0 and upper + lower <= 1):
        raise DesignError(f"upper is {upper!r} and lower {lower!r}", why="both are above 0 and their sum is 1 at most")
    positive_mean(value, weight, "a ratio of shares")
    ordered, cumulated = _sorted(value, weight)
    high, low = (sorted_quantile(ordered, cumulated, share) for share in (1 - upper, lower))
    above, below = value > high, value <= low
    if not above.any():
        raise DesignError(
            f"no unit lies above the quantile {1 - upper:g}", why="it is the largest value: too few distinct values"
        )
    top, bottom = (float(value[part] @ weight[part]) for part in (above, below))
    if bottom == 0:
        raise DesignError(f"the bottom {lower:g} holds nothing", why="its total divides", remedy="take a larger share")
    return high, low, top, bottom


def _sorted(value: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(value)
    return value[order], np.cumsum(weight[order])
