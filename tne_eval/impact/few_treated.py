"""Statistics for few treated clusters, studentised and rescaled by size: their placebos and the intervals they give."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tne_eval.impact.inference import TIE, accepted_ends

# Points of the effect axis at which the rescaled test is tried, and of each bracket that narrows an end.
_GRID, _NARROW, _ROUNDS = 401, 41, 5
# Steps of Fisher scoring for the exponent of the variance.
_SCORING = 25
# Rounds of weighted least squares for the variance; an odd number may stop on the wrong side of an oscillation, where a
# large effect is taken for variance.
_REWEIGHTINGS = 6
# Cells of the largest table of placebos that is held at a time.
_CELLS = 4_000_000
# Roots that are tried together for the end of a studentised interval.
_BLOCK = 32


# ---- studentised


def studentized_variances(contrasts: np.ndarray, change: np.ndarray, groups: list[np.ndarray]) -> np.ndarray:
    """(S,) or (S, G) squared standard error of the contrast of each assignment, variances of the two sides unequal.

    s²_T / k + s²_C Σ_g (k_g / k)² / m_g, where s²_T is the variance of the effects of the k treated clusters, each its
    change less the mean of the m_g controls of its stratum, and s²_C that of the controls about the means of their
    strata. With one stratum it is the squared standard error of Welch (1947).

    contrasts : (S, n); change : (n,), or (n, G) for G columns of changes; groups : the rows of each stratum.
    """
    k = int((contrasts[0] > 0).sum())
    largest, squares, total, within, spread, freedom = 0.0, 0.0, 0.0, 0.0, 0.0, 0
    for group in groups:
        value = change[group] - change[group].mean(axis=0)
        chosen = (contrasts[:, group] > 0).astype(float)
        largest = np.maximum(largest, np.square(value).max(axis=0))
        k_g = int(chosen[0].sum())
        m_g = len(group) - k_g
        treated_sum, treated_square = chosen @ value, chosen @ value**2
        control = (value.sum(axis=0) - treated_sum) / m_g
        within = within + (value**2).sum(axis=0) - treated_square - m_g * control**2
        squares = squares + treated_square - 2 * control * treated_sum + k_g * control**2
        total = total + treated_sum - k_g * control
        spread += (k_g / k) ** 2 / m_g
        freedom += m_g - 1
    variance = (squares - total**2 / k) / (k - 1) / k + within / freedom * spread
    # Rounding leaves a zero variance at some 1e-16 of the squares that it is made from.
    return np.where(variance > 1e-13 * largest, variance, 0.0)


def ratio(difference: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Difference over its error; infinite where the error is zero and the difference is not."""
    scale = np.abs(difference).max()
    known = np.where(np.abs(difference) > TIE * scale, difference, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(known == 0, 0.0, known / np.sqrt(variance))


def studentized_p(difference: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """Two-sided p from (S,) or (S, G) differences and squared errors, the observed ones first.

    Ratios are compared by their cross products, which are defined where an error is zero.
    """
    size, error = np.abs(difference), np.sqrt(variance)
    return np.mean(size * error[0] >= size[0] * error * (1 - TIE), axis=0)


def invert_studentized(
    contrasts: np.ndarray, change: np.ndarray, indicator: np.ndarray, groups: list[np.ndarray], alpha: float
) -> tuple[float, float]:
    """Ends of the effects that the studentised test accepts.

    With the effect at estimate + x, assignment s is at least as extreme as the observed one where
    (c − x b)² v_0 ≥ x² v_s(x), a quartic in x, as v_s is quadratic and v_0 constant. The number of assignments that
    accept changes at real roots only: each end is the farthest root where more than `alpha` of them do.
    """
    scale = float(np.std(change))
    value = change / scale
    estimate = float(contrasts[0] @ value)
    value = value - estimate * indicator
    alone, both, square = (studentized_variances(contrasts, u, groups) for u in (value, value + indicator, indicator))
    c, b, cross = contrasts @ value, contrasts @ indicator, (both - alone - square) / 2
    root = _quartic_roots(c, b, alone, cross, square)

    def accepting(x: np.ndarray) -> np.ndarray:
        own = np.abs(c - x[:, None] * b) * np.sqrt(alone[0])
        variance = np.maximum(alone + x[:, None] * (square * x[:, None] - 2 * cross), 0)
        return np.sum(own >= np.abs(x)[:, None] * np.sqrt(variance) * (1 - TIE), axis=1)

    needed = math.floor(alpha * len(c) + TIE) + 1
    always = square <= TIE
    if always.sum() >= needed:
        return -math.inf, math.inf
    far = (np.where(always, side * math.inf, reach(root, axis=1)) for side, reach in ((-1, np.min), (1, np.max)))
    low, high = accepted_ends(*far, alpha)
    low, high = (_farthest(root, bound, accepting, needed) for bound in (low, high))
    return float(scale * (estimate + low)), float(scale * (estimate + high))


def _quartic_roots(
    c: np.ndarray, b: np.ndarray, alone: np.ndarray, cross: np.ndarray, square: np.ndarray
) -> np.ndarray:
    """(S, 4) real roots of (c − x b)² v_0 = x² (alone − 2 cross x + square x²), by the eigenvalues of companions.

    A complex root is given as 0, where every assignment accepts; so are those of the assignments that accept at every
    x, the observed one and its complement, whose `square` is zero.
    """
    roots, bounded, v0 = np.zeros((len(c), 4)), square > TIE, alone[0]
    c, b, alone, cross, square = (part[bounded] for part in (c, b, alone, cross, square))
    companion = np.zeros((len(c), 4, 4))
    companion[:, [1, 2, 3], [0, 1, 2]] = 1
    companion[:, 0] = np.column_stack([2 * cross, b**2 * v0 - alone, -2 * c * b * v0, c**2 * v0]) / square[:, None]
    found = np.linalg.eigvals(companion)
    # Two roots that nearly meet may come out with a small imaginary part.
    roots[bounded] = np.where(np.abs(found.imag) <= 1e-6 * (1e-6 + np.abs(found)), found.real, 0.0)
    return roots


def _farthest(root: np.ndarray, bound: float, accepting: Callable[[np.ndarray], np.ndarray], needed: int) -> float:
    """The root that is farthest from 0 on the side of `bound`, and not beyond it, where `needed` assignments accept."""
    side = 1 if bound >= 0 else -1
    distance = np.unique(side * root[(side * root >= 0) & (side * root <= side * bound)])[::-1]
    for start in range(0, len(distance), _BLOCK):
        part = side * distance[start : start + _BLOCK]
        kept = np.flatnonzero(accepting(part) >= needed)
        if len(kept):
            return float(part[kept[0]])
    return 0.0


# ---- rescaled by size


def fit_variance(residual: np.ndarray, leverage: np.ndarray, size: np.ndarray) -> np.ndarray:
    """(n, G) relative variance a + b / size, a and b at least 0, of each column of residuals.

    residual : (n, G); leverage : (n,) in 0-1; size : (n,) positive. Weighted least squares of the squared residuals
    over 1 − leverage, weights 1 / variance² from the previous of six rounds, the first with equal ones.
    """
    square = residual**2 / (1 - leverage)[:, None]
    inverse = (size.min() / size)[:, None]
    overall = square.mean(axis=0)
    if np.ptp(inverse) <= TIE:
        return np.ones_like(square)
    square = square / np.where(overall > 0, overall, 1)
    weight = np.ones_like(square)
    for _ in range(_REWEIGHTINGS):
        s0, s1, s2 = weight.sum(0), (weight * inverse).sum(0), (weight * inverse**2).sum(0)
        r0, r1 = (weight * square).sum(0), (weight * square * inverse).sum(0)
        determinant = s0 * s2 - s1**2
        a, b = (r0 * s2 - r1 * s1) / determinant, (r1 * s0 - r0 * s1) / determinant
        a, b = (
            np.where(a < 0, 0, np.where(b < 0, r0 / s0, a)),
            np.where(b < 0, 0, np.where(a < 0, r1 / s2, b)),
        )
        variance = np.where(overall > 0, a + b * inverse, 1.0)
        weight = (variance.mean(axis=0) / variance) ** 2
    return variance


def variance_exponent(
    change: np.ndarray, treated: np.ndarray, size: np.ndarray, groups: list[np.ndarray]
) -> np.ndarray:
    """(G,) γ of a variance proportional to size^−γ, in each column of changes (n, G), whatever the effect.

    Gamma quasi-likelihood with a logarithmic link of the squared residuals, each over 1 − leverage, about the means of
    the treated and of the controls of each stratum; a group of one cluster is left out. Zero where all are, or where
    sizes are equal; NaN where residuals are zero.
    """
    parts = [part for group in groups for side in (True, False) if len(part := group[treated[group] == side]) > 1]
    if not parts:
        return np.zeros(change.shape[1])
    used = np.concatenate(parts)
    square = np.concatenate([(change[p] - change[p].mean(axis=0)) ** 2 / (1 - 1 / len(p)) for p in parts])
    distance = np.log(size[used]) - np.log(size[used]).mean()
    spread = distance @ distance
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = square / square.mean(axis=0)
    slope, level = np.zeros(square.shape[1]), np.zeros(square.shape[1])
    for _ in range(_SCORING if spread > TIE else 0):
        error = relative / np.exp(level + np.outer(distance, slope)) - 1
        # A step of scoring that goes far is cut: the first ones may overshoot.
        level, slope = level + np.clip(error.mean(axis=0), -1, 1), slope + np.clip(distance @ error / spread, -1, 1)
    return -slope


def rescaled_placebos(
    contrasts: np.ndarray, change: np.ndarray, row: np.ndarray, size: np.ndarray, groups: list[np.ndarray]
) -> np.ndarray:
    """(S, G) size-rescaled statistic of each assignment, for G columns of changes; see `permutation_test`.

    contrasts : (S, n); change : (n, G) changes less the effect that is tested; row : (G,) the assignment that is the
    observed one of each column, whose statistic is its plain difference.
    """
    residual, leverage = change.astype(float), np.empty(len(change))
    for group in groups:
        residual[group] -= residual[group].mean(axis=0)
        leverage[group] = 1 / len(group)
    variance = fit_variance(residual, leverage, size)
    standard = residual / np.sqrt(variance)
    observed = contrasts[row].T
    treated, control = np.maximum(observed, 0), np.minimum(observed, 0)
    treated_scale, control_scale = (
        np.sqrt((part**2 * variance).sum(axis=0) / (part**2).sum(axis=0)) for part in (treated, control)
    )
    placebo = np.maximum(contrasts, 0) @ standard * (treated_scale - control_scale)
    placebo += contrasts @ standard * control_scale
    placebo[row, np.arange(len(row))] = (observed * change).sum(axis=0)
    return placebo


def rescaled_p(
    contrasts: np.ndarray, change: np.ndarray, row: np.ndarray, size: np.ndarray, groups: list[np.ndarray]
) -> np.ndarray:
    """(G,) two-sided p of each column of changes; arguments as in `rescaled_placebos`."""
    step = max(1, _CELLS // len(contrasts))
    shares = []
    for part in (slice(start, start + step) for start in range(0, len(row), step)):
        placebo = np.abs(rescaled_placebos(contrasts, change[:, part], row[part], size, groups))
        own = placebo[row[part], np.arange(placebo.shape[1])]
        shares.append(np.mean(placebo >= own * (1 - TIE), axis=0))
    return np.concatenate(shares)


def invert_rescaled(
    contrasts: np.ndarray,
    change: np.ndarray,
    indicator: np.ndarray,
    size: np.ndarray,
    groups: list[np.ndarray],
    alpha: float,
) -> tuple[float, float]:
    """Ends of the effects that the size-rescaled test accepts.

    The whole line is searched, as estimate + s.d. × tan θ on an even grid of θ whose two last points are the limits at
    infinity; the farthest accepted point of each side is narrowed to its rejected neighbour, which is returned.
    """
    estimate, scale = float(contrasts[0] @ change), float(np.std(change))

    def accepted(theta: np.ndarray) -> np.ndarray:
        # cos θ times the change less the effect: the test does not depend on the scale, and θ = ±π/2 is its limit.
        columns = np.outer(change - estimate * indicator, np.cos(theta)) - np.outer(indicator, scale * np.sin(theta))
        return rescaled_p(contrasts, columns, np.zeros(len(theta), int), size, groups) > alpha + TIE

    grid = np.linspace(-np.pi / 2, np.pi / 2, _GRID)
    inside = np.flatnonzero(accepted(grid))
    ends = []
    for side, place in ((-1, inside.min()), (1, inside.max())):
        if place in (0, _GRID - 1):
            ends.append(side * math.inf)
            continue
        inner, outer = grid[place], grid[place + side]
        for _ in range(_ROUNDS):
            points = np.linspace(inner, outer, _NARROW)
            # The two ends of the bracket are known: accepted, rejected.
            last = int(np.flatnonzero(accepted(points[1:-1])).max(initial=-1)) + 1
            inner, outer = points[last], points[last + 1]
        ends.append(estimate + scale * math.tan(outer))
    return ends[0], ends[1]
