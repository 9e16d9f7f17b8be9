"""The rule that chooses the inference for one change per cluster, by the number of treated clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.impact.assignments import assign, weigh
from tne_eval.impact.few_treated import variance_exponent
from tne_eval.impact.permutation import PermutationTest, checked_inputs, run_test
from tne_eval.results import frame_html

# Below this many treated clusters, standard errors are not used.
FEW_TREATED = 6
# Below this many controls, no interval is given. With five treated or fewer, 16: below, the interval covers more than
# 98 % where two treated are large, and a variance that is too steep is not seen.
FEW_CONTROLS, FEW_CONTROLS_PERMUTED = 6, 16
# Up to this many treated, the studentised interval is refused where sizes are unknown: where they are small it covers
# less than 92 %.
UNSIZED = 3
# The size-rescaled test takes the variance for a + b / size, whose exponent is 1 at most. Beyond this estimate the
# interval is refused: with a variance proportional to 1 / size² it rejects up to a fifth of true nulls.
STEEPEST_VARIANCE = 1.4

REASONS = {
    "one_treated": "one treated cluster: its rank among the controls says all that the data can say",
    "smallest_p_above_alpha": "the smallest p that any data could give with these assignments is above the level",
    "few_controls": f"fewer than {FEW_CONTROLS_PERMUTED} control clusters, or than {FEW_CONTROLS} where "
    f"{FEW_TREATED} or more are treated",
    "size_unknown": f"{UNSIZED} treated clusters or fewer, whose sizes are not known: where they are small, the "
    "studentised interval covers as little as 90 % at a level of 95 %",
    "weighted": "the means are weighted: the coverage of an interval has not been measured there",
    "interval_unbounded": "an effect of any size, of one sign or the other, is not rejected",
    "variance_steeper_than_size": "the variance of the changes falls with size faster than a + b / size: where it is "
    "proportional to 1 / size², no interval holds its level",
}
_COLUMNS = ("method", "estimate", "error", "df", "low", "high", "p_value", "smallest_p", "reason")


@dataclass(frozen=True, slots=True, eq=False)
class ChosenInference:
    """What may be said of the effect, and by which method.

    method : `rank`, `size_rescaled_rank` (one treated), `size_rescaled_permutation`, `studentized_permutation`,
        `difference_permutation` (weights, or no control to spare) or `cr2_satterthwaite`.
    estimate : mean change of the treated less that of the controls of their strata.
    low, high : interval of level 1 − `alpha` by that method; None where `reasons` (codes of `REASONS`) is not empty.
    smallest_p : the smallest p_value that any data could give; 0 where it does not come from assignments.
    alternatives : one row for each method that these data allow, the chosen one first: `method, estimate, error, df,
        low, high, p_value, smallest_p, reason`, what does not apply left missing.
    """

    method: str
    estimate: float
    low: float | None
    high: float | None
    p_value: float
    smallest_p: float
    alpha: float
    n_treated: int
    n_controls: int
    reasons: tuple[str, ...]
    alternatives: pd.DataFrame

    @property
    def reason(self) -> str | None:
        """The first of `reasons`."""
        return self.reasons[0] if self.reasons else None

    def to_frame(self) -> pd.DataFrame:
        """One row."""
        names = ("method", "estimate", "low", "high", "p_value", "smallest_p", "alpha", "n_treated", "n_controls")
        row = {name: getattr(self, name) for name in names}
        return pd.DataFrame([row | {"reasons": " ".join(self.reasons)}])

    def _repr_html_(self) -> str:
        return frame_html(self)


def infer_effect(
    change: ArrayLike,
    treated: ArrayLike,
    strata: Sequence | None = None,
    size: ArrayLike | None = None,
    alpha: float = 0.05,
    max_enumeration: int = 100_000,
    draws: int = 9_999,
    seed: int = 0,
    weight: ArrayLike | None = None,
) -> ChosenInference:
    """Effect with the inference that holds its level for this number of treated clusters.

    Parameters
    ----------
    change : (n,) mean outcome after less before, one for each cluster; treated : (n,) bool.
    strata : (n,) labels within which treated are compared with controls; size : (n,) positive, None if unknown.
    alpha : level of the tests; max_enumeration, draws, seed : of the assignments, see `permutation_test`.
    weight : (n,) positive, what each cluster counts for in the means; None for the same. With weights, the plain
        permutation test of the weighted difference, and no interval.

    The rule, whose size and coverage are in tests/reference/coverage_impact.csv:

    - 1 treated: its rank among the controls, rescaled by size where sizes are known; no interval.
    - 2 to 5: the size-rescaled permutation test and its inversion (Ferman and Pinto 2019). Without sizes, the
      studentised one, and no interval with 2 or 3.
    - 6 or more, and as many controls: CR2 with Satterthwaite's degrees of freedom (Bell and McCaffrey 2002). In several
      strata, where the contrast is not the difference of two means, the studentised permutation test.

    No interval either with fewer than 16 controls (6 with 6 treated), with too few assignments for the level, or, under
    the size-rescaled test, where the variance is steeper in size than its model (`STEEPEST_VARIANCE`).

    The interval that spans the studentised and the size-rescaled one covers 97 to 99 % with 2 treated where both are
    exact (`coverage_both` in the table), so it is not the one that is given; both stand in `alternatives`.

    Raises DesignError.
    """
    if not 0 < alpha < 1:
        raise DesignError(f"alpha is {alpha!r}", why="a share between 0 and 1 is needed")
    values, is_treated, labels, sizes = checked_inputs(change, treated, strata, size)
    k, controls = int(is_treated.sum()), int((~is_treated).sum())
    assignments = assign(labels, is_treated, max_enumeration=max_enumeration, draws=draws, seed=seed)
    n_strata = len(np.unique(labels))
    if weight is None:
        rows = _every_test((assignments, values, is_treated, labels), sizes, n_strata, alpha)
        method = choose_method(k, controls, n_strata, sizes is not None)
    else:
        weighed = weigh(assignments, labels, checked_inputs(change, treated, strata, weight, "weight")[3])
        method = "rank" if k == 1 else "difference_permutation"
        rows = {method: _row(run_test(weighed, values, is_treated, labels, None, "difference", alpha))}
    main = rows.pop(method)
    sized = method == "size_rescaled_permutation"
    steep = sized and bool(too_steep(values[:, None], is_treated, sizes, labels)[0])
    reasons = (*_reasons(k, controls, main, sizes is not None, steep), *(["weighted"] if weight is not None else []))
    none = {"low": None, "high": None, "reason": reasons[0]} if reasons else {}
    table = pd.DataFrame([{"method": name, **row, **none} for name, row in {method: main, **rows}.items()])
    return ChosenInference(
        method=method,
        estimate=main["estimate"],
        low=none.get("low", main["low"]),
        high=none.get("high", main["high"]),
        p_value=main["p_value"],
        smallest_p=main["smallest_p"],
        alpha=alpha,
        n_treated=k,
        n_controls=controls,
        reasons=reasons,
        alternatives=table.reindex(columns=list(_COLUMNS)),
    )


def choose_method(n_treated: int, n_controls: int, n_strata: int, sized: bool) -> str:
    """Code of the method of `infer_effect`, before any reason to give no interval."""
    if n_treated == 1:
        return "size_rescaled_rank" if sized else "rank"
    if n_treated >= FEW_TREATED and n_controls >= FEW_CONTROLS and n_strata == 1:
        return "cr2_satterthwaite"
    if n_treated < FEW_TREATED and sized:
        return "size_rescaled_permutation"
    return "studentized_permutation" if n_controls > n_strata else "difference_permutation"


def controls_needed(n_treated: int) -> int:
    """Fewest controls with which an interval is given."""
    return FEW_CONTROLS_PERMUTED if n_treated < FEW_TREATED else FEW_CONTROLS


def too_steep(change: np.ndarray, treated: np.ndarray, size: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(G,) whether the variance of each column of changes (n, G) falls faster with size than the tests can follow."""
    groups = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return variance_exponent(change, treated, size, groups) > STEEPEST_VARIANCE


def refuse_clustered_errors(n_treated: int) -> str | None:
    """Why ordinary clustered errors are not given with this many treated clusters; None from six on."""
    if isinstance(n_treated, bool) or not isinstance(n_treated, (int, np.integer)) or n_treated < 1:
        raise DesignError(f"n_treated is {n_treated!r}", why="a whole number of 1 or more is needed")
    if n_treated >= FEW_TREATED:
        return None
    return (
        f"clustered standard errors are not given with {n_treated} treated cluster{'s' if n_treated > 1 else ''}: "
        "with two they reject a true null a third of the time, and with fewer than six their error is not known "
        "(Conley and Taber 2011; MacKinnon and Webb 2018)"
    )


def _every_test(given: tuple, sizes: np.ndarray | None, n_strata: int, alpha: float) -> dict[str, dict]:
    """Rows of `alternatives` by method; given : assignments, change, treated, strata."""
    treated = given[2]
    k, controls = int(treated.sum()), int((~treated).sum())
    rows = {"difference_permutation": _row(run_test(*given, None, "difference", alpha))}
    if k > 1 and controls > n_strata:
        rows["studentized_permutation"] = _row(run_test(*given, None, "studentized", alpha))
    if sizes is not None:
        rows["size_rescaled_permutation"] = _row(run_test(*given, sizes, "difference", alpha))
    if n_strata == 1 and k >= FEW_TREATED and controls >= FEW_CONTROLS:
        rows["cr2_satterthwaite"] = _cr2(given[1], treated, alpha)
    if k > 1:
        return rows
    names = {"difference_permutation": "rank", "size_rescaled_permutation": "size_rescaled_rank"}
    return {names[name]: row for name, row in rows.items()}


def _reasons(n_treated: int, n_controls: int, main: dict, sized: bool, steep: bool) -> tuple[str, ...]:
    """Codes of what keeps the interval from being given; main : row of the chosen method."""
    own = main["reason"]
    found = [own] if own else []
    if n_controls < controls_needed(n_treated):
        found.append("few_controls")
    if 2 <= n_treated <= UNSIZED and not sized:
        found.append("size_unknown")
    if not own and not np.isfinite([main["low"], main["high"]]).all():
        found.append("interval_unbounded")
    if steep:
        found.append("variance_steeper_than_size")
    return tuple(found)


def _row(test: PermutationTest) -> dict:
    names = ("estimate", "low", "high", "p_value", "smallest_p", "reason")
    return {name: getattr(test, name) for name in names}


def _cr2(change: np.ndarray, treated: np.ndarray, alpha: float) -> dict:
    from tne_eval.impact.cluster_robust import two_group_cr2

    found = two_group_cr2(change, treated)
    low, high = found.interval(1 - alpha)
    return {
        "estimate": float(found.estimate),
        "error": float(found.error),
        "df": float(found.df),
        "low": float(low),
        "high": float(high),
        "p_value": float(found.p),
        "smallest_p": 0.0,
        "reason": None,
    }
