"""Confidence sets under bounded relative magnitudes, Δ^RM: the conditional and least-favourable hybrid test (C-LF).

The effect is θ = l'(β_post − δ_post), with β the event-study coefficients and δ what trends that are not parallel put
in them. The reference period, worth 0, stands between the n_pre coefficients before and the n_post after.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize.elementwise import find_root
from scipy.special import log_ndtr, ndtr, ndtri, owens_t

# A bound on u in units of the critical value beyond which no mass is left, instead of an infinite one at M̄ = 0.
_FAR = 1e3
_GRID, _HALVINGS = 201, 40
_SAME = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Cases:
    """The tests whose union is a confidence set of Δ^RM: each bound, each pre-period difference, each sign.

    The set of one case is |δ_t − δ_{t−1}| ≤ M̄ v for every period t after, where v is one signed difference before.
    Its 2 n_post moment inequalities have the effects other than θ for nuisance. The dual of the programme that
    minimises the greatest studentised moment over them (Andrews, Roth and Pakes 2023) has vertices in closed form.
    With c_t = l_t + l_{t+1} + …, they bear weight on the moments of either sign as
    (c⁺, c⁻), (c⁻, c⁺), and (e_t, e_t) for each t, up to scale; so their statistics are linear in l'β_post − θ and v:
    ±(l'β_post − θ) − M̄ ‖c‖₁ v, and −2 M̄ v. Of the last kind, those of greatest and least scale imply the others.

    effect : float, l'β_post; violation : (C,) estimates of v, C = bounds × differences × 2 signs, in this order.
    on_effect, on_violation : (4, C) coefficients of the vertices' statistics.
    moments : (3, C) variance of l'β_post, covariance with v, variance of v.
    """

    effect: float
    violation: np.ndarray
    on_effect: np.ndarray
    on_violation: np.ndarray
    moments: np.ndarray


def rm_cases(
    estimates: np.ndarray, covariance: np.ndarray, n_pre: int, bounds: np.ndarray, weights: np.ndarray
) -> Cases:
    """Cases of Δ^RM(M̄) for each bound. Shapes: (n,), (n, n), (B,), (n_post,)."""
    n = len(estimates)
    # The reference period stands before position n_pre: a difference there is one with 0.
    periods = np.insert(np.eye(n), n_pre, 0, axis=0)
    steps = np.diff(periods, axis=0)
    before, after = steps[:n_pre], steps[n_pre:]
    signed = np.concatenate([before, -before])
    toward = np.cumsum(weights[::-1])[::-1]
    target = np.concatenate([np.zeros(n_pre), weights])

    bound = bounds[:, None, None]
    spread = np.einsum("ti,ij,tj->t", after, covariance, after)[None, None]
    across = (signed @ covariance @ after.T)[None]
    variance = np.einsum("si,ij,sj->s", signed, covariance, signed)[None, :, None]
    upward = np.sqrt(spread - 2 * bound * across + bound**2 * variance)
    downward = np.sqrt(spread + 2 * bound * across + bound**2 * variance)

    rise, fall = np.maximum(toward, 0), np.maximum(-toward, 0)
    plus, minus = upward @ rise + downward @ fall, upward @ fall + downward @ rise
    width = 2 * bound / (upward + downward)
    drift = bounds[:, None] * np.abs(toward).sum()
    zero = np.zeros_like(plus)
    shape = (len(bounds), len(signed))
    second = np.stack(
        [target @ covariance @ target + zero, (signed @ covariance @ target) + zero, variance[..., 0] + zero]
    )
    return Cases(
        float(target @ estimates),
        np.broadcast_to(signed @ estimates, shape).ravel(),
        np.stack([1 / plus, -1 / minus, zero, zero]).reshape(4, -1),
        np.stack([-drift / plus, -drift / minus, -width.max(axis=-1), -width.min(axis=-1)]).reshape(4, -1),
        second.reshape(3, -1),
    )


def _quadrant(first: np.ndarray, line: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """P(u ≤ first, e ≤ line + slope u) of independent standard normals, first > 0 and line ≠ 0 (Owen 1956)."""
    stretch = np.sqrt(1 + slope**2)
    second = line / stretch
    whole = (ndtr(first) + ndtr(second)) / 2 - np.where(second < 0, 0.5, 0)
    return whole - owens_t(first, (line + slope * first) / first) - owens_t(second, stretch * first / second + slope)


def least_favorable(cases: Cases, size: float) -> np.ndarray:
    """(C,) critical values: the greatest statistic, were every moment binding, exceeds them with probability `size`.

    The statistics being linear in two normal variables, the probability is that of a polygon, in closed form by Owen's
    T function; Andrews, Roth and Pakes (2023) and R HonestDiD simulate it.
    """
    variance, covariance, own = cases.moments
    scale = np.sqrt(own)
    slope = covariance / scale
    spread = np.sqrt(variance - slope**2)
    # With v = −scale u and l'β_post = −slope u + spread e, the statistics are at most x where u ≤ x / rate and where e
    # lies between two lines, x height + tilt u.
    rate = np.maximum(-cases.on_violation[2] * scale, 1 / _FAR)
    height = 1 / (cases.on_effect[:2] * spread)
    tilt = (cases.on_violation[:2] / cases.on_effect[:2] * scale + slope) / spread

    def excess(value: np.ndarray, rate: np.ndarray, *lines: np.ndarray) -> np.ndarray:
        over, under, tilt_over, tilt_under = lines
        above = _quadrant(value / rate, value * over, tilt_over)
        return above - _quadrant(value / rate, value * under, tilt_under) - (1 - size)

    # Each statistic has a standard deviation of 1 at most: four of them exceed this with probability below `size`.
    top = np.full(len(rate), -ndtri(size / 4))
    return find_root(excess, (np.full_like(top, _SAME), top), args=(rate, *height, *tilt)).x


def clf_rejects(theta: np.ndarray, cases: Cases, critical: np.ndarray, size: float) -> np.ndarray:
    """Whether the hybrid test rejects each value. theta : (C, G), critical : (C,); returns (C, G) bool.

    A greatest statistic above its least-favourable value rejects. Otherwise it is compared, as the vertex where it is
    attained, with a normal truncated to where this vertex would still be the greatest, at the level `size` that is left
    (Andrews, Roth and Pakes 2023, appendix D; Rambachan and Roth 2023, §3).
    """
    slopes, constants = cases.on_effect, cases.on_violation
    variance, covariance, own = cases.moments
    statistic = slopes[..., None] * (cases.effect - theta) + (constants * cases.violation)[..., None]
    cross = (
        slopes[:, None] * slopes * variance
        + (slopes[:, None] * constants + constants[:, None] * slopes) * covariance
        + constants[:, None] * constants * own
    )
    top = statistic.argmax(axis=0)
    case = np.arange(theta.shape[0])[:, None]
    greatest = statistic.max(axis=0)
    spread = np.sqrt(cross[top, top, case])
    with np.errstate(divide="ignore", invalid="ignore"):
        share = cross[:, top, case] / spread**2
        crossing = (statistic - share * greatest) / (1 - share)
        low = np.where(share < 1 - _SAME, crossing, -np.inf).max(axis=0)
        high = np.where(share > 1 + _SAME, crossing, np.inf).min(axis=0)
        z, z_low = greatest / spread, np.minimum(low, greatest) / spread
        z_high = np.clip(high, greatest, np.maximum(critical[:, None], greatest)) / spread
        # Survival functions, on the log scale: the truncation may lie far in the upper tail.
        far = log_ndtr(-z_low)
        beyond = np.exp(log_ndtr(-z_high) - far)
        improbable = np.exp(log_ndtr(-z) - far) - beyond < size * (1 - beyond)
    return (greatest > critical[:, None]) | ((greatest > 0) & (spread > 0) & improbable)


def clf_intervals(
    estimates: np.ndarray,
    covariance: np.ndarray,
    n_pre: int,
    bounds: np.ndarray,
    weights: np.ndarray,
    alpha: float,
) -> np.ndarray:
    """(B, 2) ends of the smallest interval that holds the C-LF confidence set of Δ^RM(M̄), for each bound M̄.

    The first stage has size α/10, as in R HonestDiD. It accepts an interval known in closed form,
    which bounds the search: the set is never open. In it a grid finds the outermost accepted values, and bisection the
    ends. The set holds l'β_post and is not always convex; values between its ends count as held.
    """
    first = alpha / 10
    size = (alpha - first) / (1 - first)
    cases = rm_cases(estimates, covariance, n_pre, bounds, weights)
    critical = least_favorable(cases, first)
    margins = (critical - cases.on_violation[:2] * cases.violation) / cases.on_effect[:2]
    start, stop = cases.effect - margins
    possible = (start <= stop) & (cases.on_violation[2] * cases.violation <= critical)

    def accepts(theta: np.ndarray) -> np.ndarray:
        return ~clf_rejects(theta, cases, critical, size) & possible[:, None]

    grid = start[:, None] + (stop - start)[:, None] * np.linspace(0, 1, _GRID)
    accepted = accepts(grid)
    # At the ends of the grid the first stage is about to reject.
    outermost = np.stack([accepted.argmax(axis=1), _GRID - 1 - accepted[:, ::-1].argmax(axis=1)], axis=1)
    beyond = np.clip(outermost + np.array([-1, 1]), 0, _GRID - 1)
    inside, outside = np.take_along_axis(grid, outermost, axis=1), np.take_along_axis(grid, beyond, axis=1)
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        kept = accepts(middle)
        inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
    held = accepted.any(axis=1)[:, None]
    low, high = np.where(held, inside, [np.inf, -np.inf]).reshape(len(bounds), -1, 2).transpose(2, 0, 1)
    return np.stack([low.min(axis=1), high.max(axis=1)], axis=1)
