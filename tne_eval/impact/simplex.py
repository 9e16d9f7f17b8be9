"""Donors: who may be one, and their weights on the simplex, by exact quadratic programmes."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from tne_eval.errors import DesignError

# Relative to the mean square of the data: a gradient below _FLAT is one that does not exclude a column, and _TIE is
# the penalty that chooses among minima.
_FLAT, _TIE = 1e-9, 1e-8
# Steps of Newton's method before a problem goes to the active set of `simplex_weights`, and its relative tolerance.
_STEPS, _SOLVED = 50, 1e-11
# Time weights get a ridge of this multiple of the noise, as in the authors' implementation.
_TIME_NOISE = 1e-6

Donors = Sequence[Hashable] | Mapping[Hashable, Sequence[Hashable]]


@dataclass(frozen=True, slots=True, eq=False)
class DonorPanel:
    """Checked outcomes of the treated and of their possible donors.

    values : (n, T) rows in the order of `units`; treated : (k,) rows; allowed : (n, n) bool, `allowed[i, j]` where j
    may be a donor of i; candidates : rows of the never treated that can stand as placebos; pre : number of pre-periods.
    """

    values: np.ndarray
    units: pd.Index
    times: pd.Index
    treated: np.ndarray
    allowed: np.ndarray
    candidates: np.ndarray
    pre: int


def simplex_weights(columns: np.ndarray, target: np.ndarray, ridge: float = 0.0) -> np.ndarray:
    """Weights w ≥ 0, of sum 1, that minimise |columns w − target|² + ridge |w|², exactly.

    On the simplex the objective is the homogeneous form |M w|² + ridge |w|² with M = columns − target. A minimum of
    |M w|² + ridge |w|² + (1'w − 1)² over w ≥ 0 (Lawson and Hanson 1974, ch. 23) is a multiple s w of the minimum on the
    simplex, for s ↦ s² q + (s − 1)² has the minimum q / (1 + q), which grows with q: no large constant is needed.
    Where several w reach the minimum, that of least norm is returned, by a ridge of 1e-8 of the mean square of M.

    Parameters
    ----------
    columns : (T, N); target : (T,), same unit; ridge : at least 0, in the square of that unit.
    """
    distance = columns - target[:, None]
    n = distance.shape[1]
    square = float(np.mean(distance**2))
    if square == 0:
        return np.full(n, 1 / n)
    if len(distance) > n:
        distance = np.linalg.qr(distance, mode="r")
    distance = distance / np.sqrt(square * n)
    rows = [distance, np.ones((1, n))]
    if ridge > 0:
        rows.append(np.sqrt(ridge / (square * n)) * np.eye(n))
    matrix = np.vstack(rows)
    goal = np.zeros(len(matrix))
    goal[len(distance)] = 1.0
    weights = nnls(matrix, goal, maxiter=100 * n)[0]
    weights /= weights.sum()
    if ridge == 0 and not _is_unique(distance, weights):
        return simplex_weights(columns, target, _TIE * square)
    return weights


def _is_unique(distance: np.ndarray, weights: np.ndarray) -> bool:
    """Whether no other weights give the same least |distance w|: columns that could enter are affinely independent."""
    gradient = distance.T @ (distance @ weights)
    free = gradient - gradient @ weights <= _FLAT
    sides = np.vstack([distance[:, free], np.ones(free.sum())])
    return len(sides) >= sides.shape[1] and np.linalg.matrix_rank(sides, tol=_FLAT) == sides.shape[1]


def ridge_weights(columns: np.ndarray, targets: np.ndarray, allowed: np.ndarray, ridge: np.ndarray) -> np.ndarray:
    """`simplex_weights` for many targets at once over the same columns, each with the columns it is allowed.

    Newton's method on the dual, of T + 1 unknowns: at the minimum r = columns w − target and
    w = max(0, μ − columns' r) / ridge for some μ, and the dual function of (r, μ) is convex and piecewise quadratic,
    so that the method ends at the exact minimum after finitely many steps (Li and Swetits 1997). All the
    Hessians of a step are one product: allowed columns in use × outer products of the columns.

    Parameters
    ----------
    columns : (T, N); targets : (S, T); allowed : (S, N) bool; ridge : (S,), above 0.

    Returns
    -------
    (S, N) weights, 0 where a column is not allowed.
    """
    # What columns and targets share changes no distance, and would swamp the ridge.
    shared = columns.mean(1)
    apart = columns - shared[:, None]
    scale = np.sqrt(np.mean(apart**2)) or 1.0
    sides = np.vstack([apart / scale, -np.ones(columns.shape[1])])
    linear = np.column_stack([(targets - shared) / scale, -np.ones(len(targets))])
    penalty = (ridge / scale**2)[:, None]
    dual = _newton(sides, linear, allowed, penalty)
    weights = _primal(dual, sides, allowed, penalty)
    solved = np.abs(_gradient(dual, weights, sides, linear)).max(1) <= _SOLVED * max(1.0, np.abs(sides).max())
    for s in np.flatnonzero(~solved):
        weights[s, allowed[s]] = simplex_weights(columns[:, allowed[s]], targets[s], ridge[s])
    return weights / weights.sum(1, keepdims=True)


def did_weights(
    values: np.ndarray, targets: np.ndarray, allowed: np.ndarray, pre: int, noise: np.ndarray, treated: int
) -> tuple[np.ndarray, np.ndarray]:
    """(S, N) unit weights and (S, pre) time weights of Arkhangelsky et al. (2021), equations 4 and 6.

    values : (N, T) donors; targets : (S, T); allowed : (S, N) bool; pre : number of pre-periods; noise : (S,) σ;
    treated : number of units that a target averages.
    """
    zeta = (treated * (values.shape[1] - pre)) ** 0.25 * noise
    before = values[:, :pre]
    columns = (before - before.mean(1, keepdims=True)).T
    centred = targets[:, :pre] - targets[:, :pre].mean(1, keepdims=True)
    unit = ridge_weights(columns, centred, allowed, zeta**2 * pre)
    distance = before - values[:, pre:].mean(1, keepdims=True)
    time = np.empty((len(targets), pre))
    for s, may in enumerate(allowed):
        kept = distance[may]
        kept = kept - kept.mean(0)
        time[s] = simplex_weights(kept, np.zeros(len(kept)), (_TIME_NOISE * noise[s]) ** 2 * len(kept))
    return unit, time


def _primal(dual: np.ndarray, sides: np.ndarray, allowed: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    return np.where(allowed, np.maximum(0.0, -dual @ sides), 0.0) / penalty


def _gradient(dual: np.ndarray, weights: np.ndarray, sides: np.ndarray, linear: np.ndarray) -> np.ndarray:
    gradient = linear - weights @ sides.T
    gradient[:, :-1] += dual[:, :-1]
    return gradient


def _value(dual: np.ndarray, weights: np.ndarray, linear: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    square = (dual[:, :-1] ** 2).sum(1) + penalty[:, 0] * (weights**2).sum(1)
    return square / 2 + (dual * linear).sum(1)


def _newton(sides: np.ndarray, linear: np.ndarray, allowed: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """(S, T + 1) values of (r, μ) where the dual function is least, by damped Newton steps."""
    size = len(sides)
    outer = (sides[:, None] * sides[None]).reshape(size * size, -1).T
    identity = np.diag(np.r_[np.ones(size - 1), 0.0])
    equal = allowed / allowed.sum(1, keepdims=True)
    dual = np.column_stack([equal @ sides[:-1].T - linear[:, :-1], np.zeros(len(linear))])
    reach = np.where(allowed, dual @ sides, -np.inf).max(1)
    dual[:, -1] = reach + penalty[:, 0] * equal.max(1)
    left = np.arange(len(dual))
    for _ in range(_STEPS):
        here, may, line, toll = dual[left], allowed[left], linear[left], penalty[left]
        weights = _primal(here, sides, may, toll)
        gradient = _gradient(here, weights, sides, line)
        far = np.abs(gradient).max(1) > _SOLVED / 10
        if not far.any():
            break
        left, here, may, line, toll = left[far], here[far], may[far], line[far], toll[far]
        weights, gradient = weights[far], gradient[far]
        hessian = ((weights > 0) / toll @ outer).reshape(-1, size, size) + identity
        try:
            step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break
        dual[left] = _line_search(here, step, gradient, weights, sides, line, may, toll)
    return dual


def _line_search(here, step, gradient, weights, sides, line, may, penalty) -> np.ndarray:
    """Each step halved until the function falls by a share of what the slope says (Armijo 1966)."""
    length = np.ones(len(here))
    before = _value(here, weights, line, penalty)
    slope = (gradient * step).sum(1)
    for _ in range(30):
        there = here + length[:, None] * step
        inside = _primal(there, sides, may, penalty)
        rise = _value(there, inside, line, penalty) - before - 1e-4 * length * slope
        # A step must leave one column in use, or the next Hessian is singular.
        bad = (rise > 1e-12 * (1 + np.abs(before))) | ~(inside > 0).any(1)
        if not bad.any():
            break
        length[bad] /= 2
    return there


def donor_panel(outcomes: pd.DataFrame, treated: Sequence, first_treated: int, donors: Donors | None) -> DonorPanel:
    """Check outcomes, treated and donors, and lay them out; raises DesignError (see `synthetic_control`)."""
    values = _checked_outcomes(outcomes)
    units, times = outcomes.index, outcomes.columns
    for name, given in (("treated", treated), ("donors", donors)):
        if isinstance(given, str):
            raise DesignError(f"{name} is {given!r}", why="it is a list of units", remedy="put it in a list")
    treated = list(treated)
    if not treated or len(set(treated)) < len(treated):
        raise DesignError(f"treated is {treated!r}", why="each treated unit is named once", remedy="correct the list")
    pre = _pre_periods(times, first_treated)
    apart = isinstance(donors, Mapping)
    pools = {unit: list(pool) for unit, pool in donors.items()} if apart else {}
    if donors is None:
        pool = [unit for unit in units if unit not in set(treated)]
    else:
        pool = list(dict.fromkeys(itertools.chain(*pools.values()))) if apart else list(donors)
    named = list(dict.fromkeys([*treated, *pools, *pool]))
    refuse("unknown units", [named[i] for i in np.flatnonzero(units.get_indexer(named) < 0)], "use labels of outcomes")
    refuse("treated units in a pool of donors", [u for u in treated if u in set(pool)], "take them off the donors")
    rows, allowed = units.get_indexer(treated), np.zeros((len(units), len(units)), dtype=bool)
    if apart:
        refuse("treated units without donors in the mapping", [u for u in treated if u not in pools], "add them")
        refuse("units in their own pool of donors", [u for u in pools if u in pools[u]], "take each off its own pool")
        for unit, its in pools.items():
            allowed[units.get_loc(unit), units.get_indexer(its)] = True
    else:
        allowed[:, units.get_indexer(pool)] = True
    few = units[rows[allowed[rows].sum(1) < 2]]
    refuse("treated units with fewer than two donors", few, "widen the pool: one donor leaves no weights to choose")
    candidates = np.setdiff1d(units.get_indexer(list(pools) if apart else pool), rows)
    return DonorPanel(values, units, times, rows, allowed, candidates, pre)


def refuse(what: str, found: Sequence, remedy: str) -> None:
    """Raise DesignError naming all that was found, if anything was."""
    if len(found):
        raise DesignError(what, where=", ".join(map(str, found)), remedy=remedy)


def _pre_periods(times: pd.Index, first_treated: int) -> int:
    if not isinstance(first_treated, Integral) or first_treated not in times:
        why = f"the times of outcomes run from {times[0]} to {times[-1]}"
        raise DesignError(f"first_treated is {first_treated!r}", why=why, remedy="give one of the columns of outcomes")
    if first_treated == times[0]:
        why = "the weights are fitted on pre-periods"
        raise DesignError(f"no period before {first_treated}", why=why, remedy="add earlier times to outcomes")
    return int(times.get_loc(first_treated))


def _checked_outcomes(outcomes: pd.DataFrame) -> np.ndarray:
    """(n, T) floats."""
    remedy = "give units × times, one row a unit, one numeric column a time, sorted"
    if not isinstance(outcomes, pd.DataFrame) or not len(outcomes.columns):
        raise DesignError(f"outcomes is a {type(outcomes).__name__} without columns", remedy=remedy)
    times = outcomes.columns
    if not pd.api.types.is_integer_dtype(times) or not times.is_monotonic_increasing or not times.is_unique:
        raise DesignError("the columns of outcomes are not sorted, distinct integers", remedy=remedy)
    refuse("units with several rows in outcomes", outcomes.index[outcomes.index.duplicated()].unique(), remedy)
    return numbers(outcomes, "outcomes")


def numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    """Cells as floats; refuses what is no number, missing, infinite or beyond what can be squared."""
    wrong = [str(c) for c, kind in frame.dtypes.items() if not pd.api.types.is_numeric_dtype(kind)]
    refuse(f"columns of {name} that are not numeric", wrong, "convert them to numbers")
    values = frame.to_numpy(dtype=float, na_value=np.nan)
    places = [f"({frame.index[i]}, {frame.columns[j]})" for i, j in np.argwhere(~np.isfinite(values))]
    refuse(f"missing or infinite cells in {name}", places, "leave out these units or times, or fill the cells")
    size = np.abs(values).max(initial=0.0)
    if size > 1e100 or 0 < size < 1e-100:
        raise DesignError(f"{name} reach {size:.0e}", why="their squares leave the machine", remedy="change the unit")
    return values
