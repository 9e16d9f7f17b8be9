"""Permutation tests of a change of few treated clusters, plain, studentised or rescaled by size; power by placebos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.assignments import Assignments, assign
from tne_eval.impact.few_treated import (
    invert_rescaled,
    invert_studentized,
    ratio,
    rescaled_p,
    rescaled_placebos,
    studentized_p,
    studentized_variances,
)
from tne_eval.impact.inference import (
    TIE,
    invert_interval,
    permutation_p,
    placebo_intervals,
    smallest_detected,
)
from tne_eval.results import frame_html

STATISTICS = ("difference", "studentized")


@dataclass(frozen=True, slots=True, eq=False)
class PermutationTest:
    """What re-assignments of the treatment say of one change per cluster.

    test : `difference`, `studentized` or `size_rescaled`; n_treated and n_controls : clusters that were compared.
    estimate : mean change of the treated less the mean change of the controls of their strata, in the unit of the
        changes. p_value : two-sided; smallest_p : the smallest that any data could give with these assignments.
    low, high : the least and the greatest effect that the same test does not reject at level `alpha`, maybe infinite;
        the studentised and the rescaled one may, rarely, reject an effect between them. None where `reason` says why
        (`one_treated`, `smallest_p_above_alpha`).
    placebo : (S,) the statistic under each assignment, the observed one first. exact : whether the S assignments are
        all there are; total : how many there are.
    """

    test: str
    n_treated: int
    n_controls: int
    estimate: float
    p_value: float
    smallest_p: float
    low: float | None
    high: float | None
    reason: str | None
    alpha: float
    placebo: np.ndarray
    exact: bool
    total: int

    def to_frame(self) -> pd.DataFrame:
        """One row; the placebo distribution is left out."""
        names = ("test", "n_treated", "n_controls", "estimate", "p_value", "smallest_p", "low", "high", "reason")
        row = {name: getattr(self, name) for name in names}
        return pd.DataFrame([row | {"alpha": self.alpha, "assignments": len(self.placebo), "exact": self.exact}])

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class PowerCurve:
    """Power of the permutation test among clusters that were never treated.

    power : (E,) share of the placebo assignments that the test rejects once each of `effects` is added to them.
    mde : smallest effect that is rejected in 80 % of them (`target`); None where no effect is.
    """

    test: str
    n_treated: int
    n_controls: int
    effects: np.ndarray
    power: np.ndarray
    mde: float | None
    target: float
    alpha: float

    def to_frame(self) -> pd.DataFrame:
        """One row for each effect."""
        frame = pd.DataFrame({"effect": self.effects, "power": self.power})
        return frame.assign(test=self.test, n_treated=self.n_treated, n_controls=self.n_controls, mde=self.mde)

    def _repr_html_(self) -> str:
        return frame_html(self)


def permutation_test(
    change: ArrayLike,
    treated: ArrayLike,
    strata: Sequence | None = None,
    size: ArrayLike | None = None,
    statistic: str = "difference",
    alpha: float = 0.05,
    max_enumeration: int = 100_000,
    draws: int = 9_999,
    seed: int = 0,
) -> PermutationTest:
    """Test of no effect by re-assignment of the treatment among clusters, and the interval that inverts it.

    Parameters
    ----------
    change : (n,) mean outcome after less before, one for each cluster; treated : (n,) bool.
    strata : (n,) labels within which the treatment is re-assigned; None for one stratum. Clusters of strata without
        treated ones are not used.
    size : (n,) positive, for instance pupils. Given, the test is the size-rescaled one (`statistic` must then be
        `difference`).
    statistic : `difference` (of means within strata, Fisher 1935), or `studentized`, which divides it by its standard
        error with unequal variances, that of Welch (1947), HC2 of two groups (Janssen 1997; MacKinnon and Webb 2020).
    max_enumeration, draws, seed : see `assign`.

    The size-rescaled test (Ferman and Pinto 2019) takes the variance of a change for proportional to a + b / size.
    Both are fitted, under the effect that is tested, on the residuals of every cluster of the strata, treated ones
    included, each over its leverage; the residuals are standardised, re-assigned, and given the variance of the
    treated and that of the controls. Re-assigning the contrast between both groups, not the mean of the residuals of
    one, keeps the degree of freedom that their common mean takes: with equal sizes it is the plain test.

    Raises DesignError for inputs that cannot be used, and for `studentized` with one treated cluster.
    """
    values, is_treated, labels, sizes = checked_inputs(change, treated, strata, size)
    _check_options(statistic, alpha, size)
    if statistic == "studentized":
        _check_studentized(is_treated, labels)
    assignments = assign(labels, is_treated, max_enumeration=max_enumeration, draws=draws, seed=seed)
    return run_test(assignments, values, is_treated, labels, sizes, statistic, alpha)


def run_test(
    assignments: Assignments,
    values: np.ndarray,
    is_treated: np.ndarray,
    labels: np.ndarray,
    sizes: np.ndarray | None,
    statistic: str,
    alpha: float,
) -> PermutationTest:
    """`permutation_test` on inputs that `checked_inputs` gave and assignments that were made from them."""
    contrasts, indicator = assignments.contrasts, is_treated.astype(float)
    estimate = float(contrasts[0] @ values)
    mirrored = int(np.isclose(np.abs(contrasts @ indicator), 1).sum())
    smallest_p = (1 if sizes is not None else mirrored) / len(contrasts)
    groups = _groups(labels)
    if sizes is not None:
        placebo = rescaled_placebos(contrasts, values[:, None], np.zeros(1, int), sizes, groups)[:, 0]
        p_value = permutation_p(placebo)
        test, invert = "size_rescaled", lambda: invert_rescaled(contrasts, values, indicator, sizes, groups, alpha)
    elif statistic == "studentized":
        variance = studentized_variances(contrasts, values, groups)
        placebo = ratio(contrasts @ values, variance)
        p_value = float(studentized_p(contrasts @ values, variance))
        test, invert = statistic, lambda: invert_studentized(contrasts, values, indicator, groups, alpha)
    else:
        placebo = contrasts @ values
        p_value = permutation_p(placebo)
        test, invert = statistic, lambda: invert_interval(contrasts, values, is_treated, alpha)
    reason = _no_interval(int(indicator.sum()), smallest_p, alpha)
    low, high = (None, None) if reason else invert()
    return PermutationTest(
        test=test,
        n_treated=int(indicator.sum()),
        n_controls=int((~is_treated).sum()),
        estimate=estimate,
        p_value=p_value,
        smallest_p=smallest_p,
        low=low,
        high=high,
        reason=reason,
        alpha=alpha,
        placebo=placebo,
        exact=assignments.exact,
        total=assignments.total,
    )


def power_curve(
    change: ArrayLike,
    n_treated: int,
    effects: ArrayLike,
    size: ArrayLike | None = None,
    alpha: float = 0.05,
    target: float = 0.8,
    draws: int = 999,
    seed: int = 0,
) -> PowerCurve:
    """Power of the permutation test by simulation from the placebo distribution, to plan a wave of treatment.

    Parameters
    ----------
    change : (n,) changes of clusters that were never treated; n_treated : how many of them the wave would treat.
    effects : (E,) effects to add, in the unit of `change`. size : as in `permutation_test`, for the rescaled test.
    draws : at most this many assignments plus one, drawn by lot where there are more.

    Each assignment in turn is taken for the treated one; an effect is added to its clusters and the test is made
    against all the assignments (Conley and Taber 2011, §IV, in reverse). Raises DesignError.
    """
    values = _vector("change", change)
    if isinstance(n_treated, bool) or not isinstance(n_treated, (int, np.integer)) or not 1 <= n_treated < len(values):
        raise DesignError(
            f"n_treated is {n_treated!r}", why=f"a whole number from 1 to {len(values) - 1} clusters is needed"
        )
    mask = np.arange(len(values)) < n_treated
    values, _, labels, sizes = checked_inputs(values, mask, None, size)
    added = np.atleast_1d(_vector("effects", effects))
    _check_options("difference", alpha, size)
    if not 0 < target < 1:
        raise DesignError(f"target is {target!r}", why="a share between 0 and 1 is needed")
    contrasts = assign(labels, mask, max_enumeration=draws + 1, draws=draws, seed=seed).contrasts
    if size is None:
        found = placebo_intervals(contrasts, values, alpha)
        power = np.zeros(len(added)) if found is None else _plain_power(*found, contrasts @ values, added)
        mde = None if found is None else smallest_detected(*found, target)
    else:
        share = _rescaled_power(contrasts, values, sizes, alpha)
        power = np.array([share(effect) for effect in added])
        mde = _smallest_detected(share, float(np.std(values)), target) if len(contrasts) * alpha >= 1 else None
    test = "difference" if size is None else "size_rescaled"
    return PowerCurve(test, int(n_treated), len(values) - int(n_treated), added, power, mde, target, alpha)


# ---- power


def _plain_power(low: np.ndarray, high: np.ndarray, statistics: np.ndarray, effects: np.ndarray) -> np.ndarray:
    """An effect added to a placebo is rejected where it carries the interval of this placebo off 0."""
    slack = TIE * float(np.abs(statistics).max())
    return np.mean((low[:, None] + effects > slack) | (high[:, None] + effects < -slack), axis=0)


def _rescaled_power(
    contrasts: np.ndarray, change: np.ndarray, size: np.ndarray, alpha: float
) -> Callable[[float], float]:
    groups, rows = [np.arange(len(change))], np.arange(len(contrasts))

    def share(effect: float) -> float:
        columns = change[:, None] + effect * (contrasts > 0).T
        return float(np.mean(rescaled_p(contrasts, columns, rows, size, groups) <= alpha + TIE))

    return share


def _smallest_detected(share: Callable[[float], float], scale: float, target: float) -> float | None:
    """Smallest effect whose power, and that of its opposite, reaches the target; to a thousandth of an s.d."""

    def reached(effect: float) -> bool:
        return min(share(effect), share(-effect)) >= target

    low, high = 0.0, scale
    while not reached(high):
        low, high = high, 2 * high
        if high > 100 * scale:
            return None
    while high - low > scale / 1000:
        middle = (low + high) / 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


# ---- inputs


def _vector(name: str, value: ArrayLike) -> np.ndarray:
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError) as error:
        raise DesignError(f"{name} does not hold numbers", why=str(error)) from None
    if array.ndim != 1 or len(array) == 0:
        raise DesignError(f"{name} is not a list of numbers", why=f"its shape is {array.shape}")
    if not np.isfinite(array).all():
        raise DesignError(
            f"{name} holds missing or infinite values",
            where=f"positions {np.flatnonzero(~np.isfinite(array)).tolist()}",
            remedy="leave these clusters out",
        )
    return array


def checked_inputs(
    change: ArrayLike, treated: ArrayLike, strata: Sequence | None, size: ArrayLike | None, name: str = "size"
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Change, treated, codes of the strata and size (what errors call `name`) where a stratum holds a treated one."""
    values = _vector("change", change)
    flags = np.asarray(treated)
    if flags.dtype != bool or flags.ndim != 1:
        raise DesignError("treated is not a list of True and False", why=f"its type is {flags.dtype}")
    labels = np.zeros(len(values), int) if strata is None else _labels(strata)
    sizes = None if size is None else _vector(name, size)
    lengths = {"change": len(values), "treated": len(flags), "strata": len(labels)}
    lengths |= {} if sizes is None else {name: len(sizes)}
    if len(set(lengths.values())) > 1:
        raise DesignError("one value for each cluster is needed", why=f"lengths are {lengths}")
    if not flags.any() or flags.all():
        raise DesignError(
            f"{int(flags.sum())} of {len(flags)} clusters are treated", why="treated and controls are compared"
        )
    if sizes is not None and (sizes <= 0).any():
        raise DesignError(f"{name} holds values of zero or less", where=f"at {np.flatnonzero(sizes <= 0).tolist()}")
    used = np.isin(labels, labels[flags])
    values, flags, labels = values[used], flags[used], labels[used]
    if np.ptp(values) <= TIE * np.abs(values).max():
        raise DesignError("the changes of all clusters are equal", why="a test compares the effect with their spread")
    return values, flags, labels, None if sizes is None else sizes[used]


def _labels(strata: Sequence) -> np.ndarray:
    codes, _ = pd.factorize(pd.Series(strata))
    if (codes < 0).any():
        raise DesignError("strata holds missing labels", where=f"positions {np.flatnonzero(codes < 0).tolist()}")
    return codes


def _groups(labels: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]


def _check_options(statistic: str, alpha: float, size: ArrayLike | None) -> None:
    if statistic not in STATISTICS:
        raise DesignError(f"statistic is {statistic!r}", remedy=f"choose among {', '.join(STATISTICS)}")
    if statistic == "studentized" and size is not None:
        raise DesignError(
            "size goes with the statistic `difference`",
            why="the size-rescaled test standardises by the variance that size gives, the studentised one by its own",
            remedy="make the two tests apart",
        )
    if not 0 < alpha < 1:
        raise DesignError(f"alpha is {alpha!r}", why="a share between 0 and 1 is needed")


def _check_studentized(treated: np.ndarray, labels: np.ndarray) -> None:
    k, groups = int(treated.sum()), _groups(labels)
    if k < 2:
        raise DesignError(
            "the studentised test needs two treated clusters or more",
            why="one value has no variance",
            remedy="use `difference`, with the sizes of the clusters where they are known",
        )
    if len(treated) - k - len(groups) < 1:
        raise DesignError(
            "the studentised test needs two controls or more in a stratum of treated clusters",
            why="one value has no variance",
            remedy="use wider strata",
        )


def _no_interval(n_treated: int, smallest_p: float, alpha: float) -> str | None:
    if smallest_p > alpha:
        return "smallest_p_above_alpha"
    return "one_treated" if n_treated == 1 else None
