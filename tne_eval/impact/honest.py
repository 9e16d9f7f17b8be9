"""Honest difference-in-differences: confidence sets that hold when trends are not quite parallel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import ndtri

from tne_eval.errors import DesignError
from tne_eval.impact.honest_flci import flci_intervals
from tne_eval.impact.honest_sets import rm_halfwidth, sd_center_halfwidth
from tne_eval.impact.honest_tests import clf_intervals
from tne_eval.results import frame_html

_INTERVALS = {"relative_magnitude": clf_intervals, "smoothness": flci_intervals}
# Eigenvalues of a correlation matrix below this are 0, and asymmetry below this share is rounding.
_ROUNDING = 1e-10
_DOUBLINGS, _SECTIONS = 60, 16


@dataclass(frozen=True, slots=True, eq=False)
class HonestDid:
    """Confidence sets of an effect under a restriction on how far trends may differ.

    restriction : "relative_magnitude" (bounds are M̄, without unit) or "smoothness" (bounds are M, in the unit of the
    estimates, per period squared).
    bound, low, high : (B,) in the order given; each set lies in [low, high].
    original : (low, high), the usual normal interval, which takes trends for parallel.
    n_pre, n_post : numbers of coefficients before and after; weights : (n_post,) that define the effect.
    level : 1 − alpha.
    """

    restriction: str
    bound: np.ndarray
    low: np.ndarray
    high: np.ndarray
    original: tuple[float, float]
    n_pre: int
    n_post: int
    weights: np.ndarray
    level: float

    def to_frame(self) -> pd.DataFrame:
        """One row a bound: bound, low, high."""
        return pd.DataFrame({"bound": self.bound, "low": self.low, "high": self.high})

    def _repr_html_(self) -> str:
        return frame_html(self)


def honest_did(
    estimates: Sequence[float],
    covariance: np.ndarray,
    n_pre: int,
    restriction: str = "relative_magnitude",
    *,
    bound: float | Sequence[float],
    weights: Sequence[float] | None = None,
    alpha: float = 0.05,
) -> HonestDid:
    """Confidence sets of a weighted sum of effects, for trends that differ by no more than each bound.

    Under "relative_magnitude", Δ^RM(M̄), the difference of trends moves from one period to the next, after, by at most
    M̄ times its greatest move before. The set inverts the hybrid of the conditional and the least-favourable tests
    (C-LF), first stage of size alpha/10, for each move before and sign, and is the union of what they accept. It holds
    the identified set at the estimates. With one period after, R HonestDiD adds the moments of the periods before to
    the test; here, as with several, the moments are those of the periods after.

    Under "smoothness", Δ^SD(M), the slope of the difference of trends changes by at most M from one period to the next,
    before and after. The set is the shortest fixed-length interval.

    Parameters
    ----------
    estimates : (n_pre + n_post,) event-study coefficients in the order of time, equally spaced, without the reference
        period, which stands after the first n_pre and is the last before treatment.
    covariance : (n, n), symmetric and positive definite.
    n_pre : coefficients before the reference period, at least 1.
    restriction : "relative_magnitude" or "smoothness".
    bound : M̄ or M, one or several, not negative. At M̄ = 0 the set is the usual interval; at M = 0 trends may differ by
        a straight line.
    weights : (n_post,) weights of the effects; the first period after where None.
    alpha : 1 − level, in (0, 0.5).

    Raises DesignError where an argument does not fit.

    Source: Rambachan and Roth (2023), §2.4, §3 and §4; Andrews, Roth and Pakes (2023).
    """
    estimates, covariance, weights = _checked(estimates, covariance, n_pre, restriction, weights, alpha)
    bounds = _bounds(bound)
    ends = _INTERVALS[restriction](estimates, covariance, n_pre, bounds, weights, alpha)
    center = float(weights @ estimates[n_pre:])
    reach = -ndtri(alpha / 2) * math.sqrt(weights @ covariance[n_pre:, n_pre:] @ weights)
    return HonestDid(
        restriction,
        bounds,
        ends[:, 0],
        ends[:, 1],
        (float(center - reach), float(center + reach)),
        int(n_pre),
        len(weights),
        weights,
        1 - alpha,
    )


def breakdown_bound(
    estimates: Sequence[float],
    covariance: np.ndarray,
    n_pre: int,
    restriction: str = "relative_magnitude",
    *,
    weights: Sequence[float] | None = None,
    alpha: float = 0.05,
) -> float | None:
    """Bound up to which the confidence set leaves 0 out (Rambachan and Roth 2023).

    Arguments as in `honest_did`. Returns None where the set holds 0 at the bound 0 already, and infinity where none of
    60 doublings brings 0 in. Between bounds on a grid of 16, the end that crosses 0 is followed to 1e-10, relative.
    """
    estimates, covariance, weights = _checked(estimates, covariance, n_pre, restriction, weights, alpha)

    def distance(bound: float) -> float:
        """From 0 to the set, negative where 0 is inside."""
        ends = _INTERVALS[restriction](estimates, covariance, n_pre, np.array([bound]), weights, alpha)[0]
        return float(max(ends[0], -ends[1]))

    if distance(0.0) <= 0:
        return None
    error = math.sqrt(weights @ covariance[n_pre:, n_pre:] @ weights)
    top = 1.0 if restriction == "relative_magnitude" else error
    for _ in range(_DOUBLINGS):
        if distance(top) <= 0:
            break
        top *= 2
    else:
        return math.inf
    grid = np.linspace(0, top, _SECTIONS + 1)
    first = next(place for place in range(1, _SECTIONS + 1) if distance(grid[place]) <= 0)
    return float(brentq(distance, grid[first - 1], grid[first], xtol=1e-10 * grid[first], rtol=1e-10))


def identified_set(
    estimates: Sequence[float],
    n_pre: int,
    restriction: str = "relative_magnitude",
    *,
    bound: float | Sequence[float],
    weights: Sequence[float] | None = None,
) -> pd.DataFrame:
    """Effects compatible with the restriction if the estimates were the true coefficients: no sampling error.

    Arguments as in `honest_did`. Returns one row a bound: bound, low, high.

    Raises DesignError where an argument does not fit, or where the coefficients before bend more than M allows: the set
    is then empty.
    """
    estimates, weights = _series(estimates, n_pre, restriction, weights)
    bounds = _bounds(bound)
    center = float(weights @ estimates[n_pre:])
    if restriction == "relative_magnitude":
        half = rm_halfwidth(estimates[:n_pre], bounds, weights)
    else:
        shift, half, least = sd_center_halfwidth(estimates[:n_pre], bounds, weights)
        center += shift
        if (bounds < least * (1 - _ROUNDING)).any():
            raise DesignError(
                "the identified set is empty",
                where=f"bound {', '.join(f'{one:g}' for one in bounds[bounds < least * (1 - _ROUNDING)])}",
                why=f"the slope of the coefficients before changes by {least:.6g} between two periods",
                remedy=f"take bounds of {least:.6g} or more, or the confidence set of honest_did",
            )
    return pd.DataFrame({"bound": bounds, "low": center - half, "high": center + half})


def _numbers(name: str, value: object) -> np.ndarray:
    """A copy of `value` as floats, all finite."""
    try:
        array = np.array(value, dtype=float)
        places = np.argwhere(~np.isfinite(array)).tolist()
        why = f"at {', '.join(str(place[0] if len(place) == 1 else place) for place in places[:20])}"
        why = why if array.ndim else f"it is {value!r}"[:200]
    except (TypeError, ValueError) as error:
        places, why = True, str(error)[:200]
    if places:
        raise DesignError(
            f"`{name}` holds something that is not a finite number",
            where=name,
            why=why,
            remedy="give finite numbers; leave out periods that have none",
        )
    return array


def _bounds(bound: float | Sequence[float]) -> np.ndarray:
    bounds = np.atleast_1d(_numbers("bound", bound))
    if bounds.ndim != 1 or not bounds.size or (bounds < 0).any():
        raise DesignError(
            "`bound` must be one or several numbers, none of them negative",
            where="bound",
            why=f"it is {bound!r}"[:200],
            remedy="give M̄ (relative_magnitude) or M (smoothness) of 0 or more",
        )
    return bounds


def _series(
    estimates: Sequence[float], n_pre: int, restriction: str, weights: Sequence[float] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Estimates and weights, checked."""
    if not isinstance(restriction, str) or restriction not in _INTERVALS:
        raise DesignError(
            f"unknown restriction {str(restriction)[:80]!r}",
            where="restriction",
            remedy=f"choose among {', '.join(_INTERVALS)}",
        )
    estimates = _numbers("estimates", estimates)
    whole = isinstance(n_pre, int | np.integer) and not isinstance(n_pre, bool)
    if estimates.ndim != 1 or not whole or not 1 <= n_pre < estimates.size:
        raise DesignError(
            "the event study must have at least one coefficient before and one after the reference period",
            where="estimates, n_pre",
            why=f"estimates have shape {estimates.shape}, n_pre is {n_pre!r}",
            remedy="give the coefficients in the order of time without the reference period, and how many come before",
        )
    n_post = estimates.size - n_pre
    weights = np.eye(n_post)[0] if weights is None else _numbers("weights", weights)
    if weights.shape != (n_post,) or not weights.any():
        raise DesignError(
            "the weights do not define an effect of the periods after",
            where="weights",
            why=f"they have shape {weights.shape} for {n_post} periods after" if weights.any() else "they are all 0",
            remedy=f"give {n_post} numbers, one at least not 0",
        )
    return estimates, weights


def _checked(
    estimates: Sequence[float],
    covariance: np.ndarray,
    n_pre: int,
    restriction: str,
    weights: Sequence[float] | None,
    alpha: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, covariance and weights, checked."""
    estimates, weights = _series(estimates, n_pre, restriction, weights)
    if not isinstance(alpha, int | float | np.number) or not 0 < alpha < 0.5:
        raise DesignError(
            "`alpha` must lie between 0 and 0.5", where="alpha", why=f"it is {alpha!r}"[:200], remedy="0.05 is usual"
        )
    covariance = _numbers("covariance", covariance)
    n = estimates.size
    if covariance.shape != (n, n):
        why = f"its shape is {covariance.shape}, for {n} coefficients"
    elif (covariance.diagonal() <= 0).any():
        places = np.flatnonzero(covariance.diagonal() <= 0)
        why = f"its diagonal is not positive at {', '.join(map(str, places))} (the reference period must be left out)"
    else:
        scale = np.sqrt(covariance.diagonal())
        correlation = covariance / np.outer(scale, scale)
        if np.abs(correlation - correlation.T).max() > _ROUNDING:
            why = "it is not symmetric"
        elif np.linalg.eigvalsh(correlation)[0] < _ROUNDING:
            why = "it is singular or has a negative eigenvalue: fewer clusters than coefficients, or not a covariance"
        else:
            return estimates, (covariance + covariance.T) / 2, weights
    raise DesignError(
        "`covariance` is not a covariance matrix of the estimates",
        where="covariance",
        why=why,
        remedy="give the symmetric, positive definite matrix of the coefficients, in their order",
    )
