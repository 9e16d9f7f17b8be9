"""Several outcomes from the same permutations: p-values adjusted for the family; equivalence and excluded effects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.inference import TIE
from tne_eval.results import frame_html


@dataclass(frozen=True, slots=True, eq=False)
class AdjustedP:
    """p-values of a family of m hypotheses, all (m,) in the order they were given.

    statistic : the observed ones. p_value : each alone. romano_wolf : step-down by the largest statistic of the
    hypotheses that are left; single_step : by the largest statistic of all of them. westfall_young : step-down by the
    smallest p, which does not depend on the scale of the statistics.
    """

    statistic: np.ndarray
    p_value: np.ndarray
    romano_wolf: np.ndarray
    westfall_young: np.ndarray
    single_step: np.ndarray

    def to_frame(self, names: list[str] | None = None) -> pd.DataFrame:
        """One row for each hypothesis; `names` (m,) for the index."""
        columns = ("statistic", "p_value", "romano_wolf", "westfall_young", "single_step")
        return pd.DataFrame({column: getattr(self, column) for column in columns}, index=names)

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class Equivalence:
    """Two one-sided tests against a margin.

    equivalent : whether every effect of size `margin` or more is rejected, at one-sided level `alpha`.
    smallest_margin : any margin above it is one for which they are; the unit of the effect, inf where there is none.
    """

    equivalent: bool
    margin: float
    smallest_margin: float
    alpha: float

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        names = ("equivalent", "margin", "smallest_margin", "alpha")
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class ExcludedEffects:
    """Effects that are excluded at level `alpha`: those below `below` and those above `above`.

    -inf or inf where none is excluded on that side. smallest_size : effects of this size or more are excluded
    whatever their sign.
    """

    below: float
    above: float
    smallest_size: float
    alpha: float

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        names = ("below", "above", "smallest_size", "alpha")
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def _repr_html_(self) -> str:
        return frame_html(self)


def adjust_familywise(statistics: ArrayLike) -> AdjustedP:
    """p-values adjusted for the number of hypotheses, from permutations that are the same for all of them.

    Parameters
    ----------
    statistics : (S, m) one row for each assignment, the observed one first, one column for each hypothesis; two-sided.
        Infinite values are allowed (a ratio whose error is zero). Largest statistics compare columns: give ratios on
        one scale, studentised ones for instance.

    Romano and Wolf (2005), step-down, with p-values as in Romano and Wolf (2016): with hypotheses in decreasing
    order of their statistic, p of the j-th is the share of assignments where the largest statistic of the j-th and
    following ones is at least the observed j-th; then the running maximum. Westfall and Young (1993): single step,
    largest statistic, and step-down, smallest p. The family-wise error holds under the null of all
    the hypotheses whose units are exchanged together, and under others where statistics of true nulls do not depend on
    the false ones (subset pivotality).

    Raises DesignError.
    """
    size = np.abs(_table(statistics))
    alone = p_of_each(size)
    return AdjustedP(
        statistic=np.array(statistics, dtype=float)[0],
        p_value=alone[0],
        romano_wolf=_step_down(size),
        westfall_young=_step_down(-alone),
        single_step=np.mean(_reach(size.max(axis=1)[:, None], size[0]), axis=0),
    )


def equivalence_test(low: float, high: float, margin: float, alpha: float = 0.05) -> Equivalence:
    """Two one-sided tests (Schuirmann 1987) by the interval of level 1 − 2 `alpha`: 90 % for tests at 5 %.

    low, high : ends of that interval, such as `permutation_test(..., alpha=0.10)` gives; margin : positive, in the
    same unit. The ends are themselves effects that are not rejected. Raises DesignError.
    """
    _check_interval(low, high, alpha)
    if not (math.isfinite(margin) and margin > 0):
        raise DesignError(f"margin is {margin!r}", why="a size of effect above zero is needed")
    smallest = max(abs(low), abs(high))
    return Equivalence(bool(smallest < margin), float(margin), float(smallest), alpha)


def equivalence_p(contrasts: np.ndarray, change: ArrayLike, treated: ArrayLike, margin: float) -> float:
    """p of two one-sided permutation tests, of an effect of `margin` or more and of −`margin` or less: the larger.

    contrasts : (S, n) of `assign`, the observed one first; change : (n,); treated : (n,) bool; margin : positive.
    Under an effect δ the untreated changes are change − δ treated; the test of δ ≥ margin counts the assignments whose
    statistic is at most the observed one at δ = margin (Schuirmann 1987).
    Raises DesignError.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise DesignError(f"margin is {margin!r}", why="a size of effect above zero is needed")
    values, flags = np.asarray(change, dtype=float), np.asarray(treated)
    if contrasts.ndim != 2 or not (contrasts.shape[1] == len(values) == len(flags)) or flags.dtype != bool:
        raise DesignError(
            "one change and one flag of treatment are needed for each column of contrasts",
            why=f"shapes are {contrasts.shape}, {values.shape} and {flags.shape}",
        )
    if not np.isfinite(values).all():
        raise DesignError("change holds missing or infinite values", remedy="leave these clusters out")
    shares = []
    for sign in (1, -1):
        statistic = sign * (contrasts @ (values - sign * margin * flags))
        slack = TIE * float(np.abs(statistic).max())
        shares.append(float(np.mean(statistic <= statistic[0] + slack)))
    return max(shares)


def excluded_effects(low: float, high: float, alpha: float = 0.05) -> ExcludedEffects:
    """Effects that lie outside an interval of level 1 − `alpha`. Raises DesignError."""
    _check_interval(low, high, alpha)
    return ExcludedEffects(float(low), float(high), float(max(abs(low), abs(high))), alpha)


def _reach(largest: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """At least the observed, up to rounding; an infinite one is reached by infinite ones only."""
    slack = np.where(np.isfinite(observed), TIE * np.abs(observed), 0)
    return largest >= observed - slack


def p_of_each(size: np.ndarray) -> np.ndarray:
    """(S, m) p-value that each assignment would have if it were the observed one."""
    shares = np.empty_like(size)
    for column, values in enumerate(size.T):
        shares[:, column] = 1 - np.searchsorted(np.sort(values), values * (1 - TIE)) / len(values)
    return shares


def _step_down(extreme: np.ndarray) -> np.ndarray:
    """(m,) adjusted p; extreme : (S, m), larger is farther from the null, the observed row first."""
    order = np.argsort(-extreme[0], kind="stable")
    left = np.maximum.accumulate(extreme[:, order[::-1]], axis=1)[:, ::-1]
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.mean(_reach(left, extreme[0, order]), axis=0))
    return adjusted


def _table(statistics: ArrayLike) -> np.ndarray:
    try:
        table = np.array(statistics, dtype=float)
    except (TypeError, ValueError) as error:
        raise DesignError("statistics does not hold numbers", why=str(error)) from None
    if table.ndim != 2 or 0 in table.shape:
        raise DesignError(
            "statistics is not a table of assignments by hypotheses", why=f"its shape is {np.shape(table)}"
        )
    if np.isnan(table).any():
        raise DesignError(
            "statistics holds missing values",
            where=f"hypotheses {np.flatnonzero(np.isnan(table).any(axis=0)).tolist()}",
            remedy="leave these hypotheses out",
        )
    return table


def _check_interval(low: float, high: float, alpha: float) -> None:
    if not low <= high:
        raise DesignError(f"the interval goes from {low!r} to {high!r}", why="two ends in order are needed")
    if not 0 < alpha < 1:
        raise DesignError(f"alpha is {alpha!r}", why="a share between 0 and 1 is needed")
