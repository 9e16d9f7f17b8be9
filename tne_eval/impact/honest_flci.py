"""Fixed-length confidence intervals under bounded changes of slope, Δ^SD, and the lasso path that they rest on.

The effect is θ = l'(β_post − δ_post), with β the event-study coefficients and δ what trends that are not parallel put
in them. The reference period, worth 0, stands between the n_pre coefficients before and the n_post after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from tne_eval.errors import DesignError

_SAME = 1e-9
# A path of m coordinates seldom has more than 2 m knots.
_STEPS = 100


def _folded_excess(mean: float, alpha: float) -> float:
    """1 − α quantile of |N(mean, 1)|, less the mean (mean ≥ 0)."""
    low, high = -ndtri(alpha) - _SAME, -ndtri(alpha / 2) + _SAME
    return brentq(lambda excess: ndtr(-excess) + ndtr(-excess - 2 * mean) - alpha, low, high, xtol=1e-14)


def lasso_path(gram: np.ndarray, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Minimisers of ½ q'Gq + g'q + λ‖q‖₁ for every λ: knots (K,), increasing from 0, and solutions (K, m) at them.

    Between knots the solution is linear in λ (Osborne, Presnell and Turlach 2000; Efron et al. 2004). G is positive
    definite.
    """
    m = len(slope)
    penalty = float(np.abs(slope).max(initial=0))
    knots, solutions, sign = [penalty], [np.zeros(m)], np.zeros(m)
    if penalty > 0:
        sign[np.abs(slope).argmax()] = -np.sign(slope[np.abs(slope).argmax()])
    for _ in range(_STEPS * (m + 1)):
        if penalty == 0:
            return np.array(knots[::-1]), np.array(solutions[::-1])
        active = np.flatnonzero(sign)
        # On the active set q = base − λ rate; the gradient of the smooth part is at_zero − λ per_unit everywhere.
        solved = np.linalg.solve(gram[np.ix_(active, active)], np.column_stack([-slope[active], sign[active]]))
        base, rate = np.zeros(m), np.zeros(m)
        base[active], rate[active] = solved.T
        at_zero, per_unit = slope + gram @ base, gram @ rate
        # As λ falls, a gradient may reach λ or −λ, and a coordinate 0: penalties of these events, where they come near.
        near = np.stack([(sign == 0) & (per_unit > -1), (sign == 0) & (per_unit < 1), sign * rate < 0])
        with np.errstate(divide="ignore", invalid="ignore"):
            events = np.where(near, [at_zero / (per_unit + 1), at_zero / (per_unit - 1), base / rate], 0)
        events[~((events > 0) & (events <= penalty * (1 + _SAME)))] = 0
        kind, place = np.unravel_index(events.argmax(), events.shape)
        penalty = min(float(events[kind, place]), penalty)
        solution = base - penalty * rate
        sign[place] = (-1, 1, 0)[kind]
        solution[sign == 0] = 0
        knots.append(penalty)
        solutions.append(solution)
    raise DesignError(
        "no shortest interval found",
        where="covariance",
        why="the estimators that trade error against bias do not end: coefficients before are nearly dependent",
        remedy="merge or drop periods before",
    )


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """Affine estimators of θ that trade standard error against worst bias, from the least of one to that of the other.

    The estimator a'β_pre + l'β_post has a finite bias under Δ^SD(M) only if a undoes a linear trend. Its worst bias is
    then M (‖q‖₁ + after), where q weighs the second differences before and `after` comes from those after. To minimise
    the variance for each bias is a lasso, whatever M.

    fixed : (n,) weights (a, l) at q = 0; free : (n, n_pre − 1), what q adds to them; after : float.
    covariance : (n, n); knots : (K,) penalties; solutions : (K, n_pre − 1) values of q at the knots.
    """

    fixed: np.ndarray
    free: np.ndarray
    after: float
    covariance: np.ndarray
    knots: np.ndarray
    solutions: np.ndarray


def frontier(covariance: np.ndarray, n_pre: int, weights: np.ndarray) -> Frontier:
    """Frontier of Δ^SD. covariance : (n, n); weights : (n_post,)."""
    n_post = len(weights)
    ahead = np.arange(1, n_post + 1)
    trend = float(ahead @ weights)
    after = float(np.abs(np.maximum(ahead - np.arange(n_post)[:, None], 0) @ weights).sum())
    # a = loads @ (q, trend): the inverse of the sums that give second differences from a path worth 0 at the reference.
    loads = np.eye(n_pre) - 2 * np.eye(n_pre, k=-1) + np.eye(n_pre, k=-2)
    fixed = np.concatenate([loads[:, -1] * trend, weights])
    free = np.vstack([loads[:, :-1], np.zeros((n_post, n_pre - 1))])
    knots, solutions = lasso_path(free.T @ covariance @ free, free.T @ covariance @ fixed)
    return Frontier(fixed, free, after, covariance, knots, solutions)


def _point(frontier: Frontier, penalty: float) -> tuple[np.ndarray, float, float]:
    """Weights (n,) of the estimator at a penalty, its standard error, and its worst bias for M = 1."""
    loading = np.array([np.interp(penalty, frontier.knots, column) for column in frontier.solutions.T])
    vector = frontier.fixed + frontier.free @ loading
    return vector, float(np.sqrt(vector @ frontier.covariance @ vector)), float(np.abs(loading).sum() + frontier.after)


def _derivative(penalty: float, frontier: Frontier, bound: float, alpha: float) -> float:
    """Up to a positive factor, the derivative of the half-length along the frontier."""
    _, error, bias = _point(frontier, penalty)
    ratio = bound * bias / error
    excess = _folded_excess(ratio, alpha)
    # The quantile of |N(bias, error²)| has for derivatives ratios of the densities at either end.
    upper, lower = np.exp(-(excess**2) / 2), np.exp(-((excess + 2 * ratio) ** 2) / 2)
    return penalty * (excess * upper + (excess + 2 * ratio) * lower) - bound * error * (upper - lower)


def flci_intervals(
    estimates: np.ndarray,
    covariance: np.ndarray,
    n_pre: int,
    bounds: np.ndarray,
    weights: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """(B, 2) ends of the shortest fixed-length interval under Δ^SD(M), for each bound M.

    The half-length is the 1 − α quantile of |N(bias, error²)|; it is convex along the frontier, so least where its
    derivative is 0. Rambachan and Roth (2023, §4); Armstrong and Kolesár (2018, 2020).
    """
    path = frontier(covariance, n_pre, weights)
    most = path.knots[-1]
    ends = []
    for bound in bounds:
        penalty = 0.0 if bound == 0 else most
        if bound > 0 and most > 0 and _derivative(most, path, bound, alpha) > 0:
            penalty = brentq(_derivative, 0, most, args=(path, bound, alpha), xtol=1e-14 * most)
        vector, error, bias = _point(path, penalty)
        half = bound * bias + error * _folded_excess(bound * bias / error, alpha)
        ends.append((vector @ estimates - half, vector @ estimates + half))
    return np.array(ends)
