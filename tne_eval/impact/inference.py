"""Permutation inference for a difference-in-differences of changes: p, interval by inversion, power."""

from __future__ import annotations

import math

import numpy as np

# Two statistics that differ by less than this share of their size are the same one, computed in another order.
TIE = 1e-9


def permutation_p(statistics: np.ndarray) -> float:
    """Two-sided p: share of assignments at least as far from 0 as the observed one, which stands first.

    statistics : (S,) from `contrasts @ change`. Fisher (1935); MacKinnon and Webb (2020) for few treated clusters.
    """
    size = np.abs(statistics)
    return float(np.mean(size >= size[0] * (1 - TIE)))


def _acceptance(
    statistics: np.ndarray, observed: np.ndarray | float, effect_of: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """For each assignment, the constant effects for which it is at least as extreme as the observed one.

    Under an effect δ, unit i's untreated change is change_i − δ·treated_i, so the statistic of assignment s is
    a_s − δ b_s with b_s = contrasts_s · treated, and that of the observed one is a_0 − δ. With |b_s| < 1 the set
    {δ : |a_s − δ b_s| ≥ |a_0 − δ|} is the closed interval between the roots (a_0 − a_s)/(1 − b_s) and
    (a_0 + a_s)/(1 + b_s); with |b_s| = 1 the two are equal up to sign and the set is the whole line.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        first = (observed - statistics) / (1 - effect_of)
        second = (observed + statistics) / (1 + effect_of)
    always = np.isclose(np.abs(effect_of), 1)
    low = np.where(always, -np.inf, np.minimum(first, second))
    high = np.where(always, np.inf, np.maximum(first, second))
    return low, high


def accepted_ends(low: np.ndarray, high: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray]:
    """An effect is kept while more than `alpha` of the assignments accept it: each end is one order statistic."""
    rank = math.floor(alpha * low.shape[-1] + TIE)
    return np.partition(low, rank)[..., rank], np.partition(high, -rank - 1)[..., -rank - 1]


def invert_interval(
    contrasts: np.ndarray, change: np.ndarray, treated: np.ndarray, alpha: float = 0.05
) -> tuple[float, float]:
    """Effects that the permutation test at level `alpha` does not reject: an exact interval, in closed form.

    Parameters
    ----------
    contrasts : (S, n), the observed assignment first; change : (n,); treated : (n,) bool.

    Returns
    -------
    (low, high) : infinite where the assignments are too few to reject anything at this level.

    Inversion of the test of a constant additive effect (Rosenbaum 2002, §2; MacKinnon and Webb 2020).
    """
    statistics = contrasts @ change
    accepted = _acceptance(statistics, statistics[0], contrasts @ np.asarray(treated, dtype=float))
    low, high = accepted_ends(*accepted, alpha)
    return float(low), float(high)


def minimum_detectable_effect(
    contrasts: np.ndarray, change: np.ndarray, *, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """Smallest effect which, added to placebos, is rejected with probability `power`, whatever its sign.

    Each assignment in turn is taken for the treated one, and its permutation interval inverted: an effect added to
    this placebo is rejected when it carries the interval off 0.

    Parameters
    ----------
    contrasts : (S, n) assignments of units that were never treated; change : (n,) their changes.

    Returns
    -------
    The effect, in the unit of `change`, or None where the assignments are too few to reject at this level.
    """
    found = placebo_intervals(contrasts, change, alpha)
    return None if found is None else smallest_detected(*found, power)


def placebo_intervals(contrasts: np.ndarray, change: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray] | None:
    """(low, high), each (S,): the interval of each assignment, taken in turn for the treated one; None where the
    assignments are too few to reject at this level."""
    count = len(contrasts)
    if math.floor(alpha * count + TIE) == 0:
        return None
    statistics = contrasts @ change
    chosen = (contrasts > 0).astype(float)
    low, high = np.empty(count), np.empty(count)
    for block in np.array_split(np.arange(count), max(1, count // 256)):
        accepted = _acceptance(statistics, statistics[block, None], chosen[block] @ contrasts.T)
        low[block], high[block] = accepted_ends(*accepted, alpha)
    return low, high


def smallest_detected(low: np.ndarray, high: np.ndarray, power: float) -> float:
    """The effect which carries a share `power` of these intervals off 0, whatever its sign."""
    needed = math.ceil(power * len(low) - TIE) - 1
    return float(max(np.sort(-low)[needed], np.sort(high)[needed]))


def placebo_reference(
    placebos: np.ndarray, estimate: float, *, alpha: float = 0.05, power: float = 0.8
) -> tuple[float, float, float, float | None]:
    """p, interval and minimum detectable effect of an estimate set among placebos drawn elsewhere.

    The estimate counts as one more draw, so p is never 0. Returns (p_value, low, high, mde); the interval is infinite
    and the mde None where the placebos are too few for the level.
    """
    size = np.sort(np.abs(placebos))
    count = len(size)
    beyond = count - np.searchsorted(size, abs(estimate) * (1 - TIE))
    p_value = float((1 + beyond) / (1 + count))
    # An effect is kept while 1 + #{|placebo| ≥ distance} > alpha (1 + count): up to the k-th largest placebo.
    kept = math.floor(alpha * (1 + count) + TIE)
    if kept == 0:
        return p_value, -math.inf, math.inf, None
    reach = float(size[count - kept])
    needed = math.ceil(power * count - TIE) - 1
    mde = reach + float(max(np.sort(-placebos)[needed], np.sort(placebos)[needed]))
    return p_value, estimate - reach, estimate + reach, mde
