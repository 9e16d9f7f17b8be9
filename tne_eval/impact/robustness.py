"""What a defensible change of the design does to the estimate: other estimators, controls, composition, trends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tne_eval.catalog import get_indicator
from tne_eval.errors import DesignError
from tne_eval.impact.conformal import conformal_test
from tne_eval.impact.did import change_between
from tne_eval.impact.honest import breakdown_bound, honest_did
from tne_eval.impact.inference import permutation_p
from tne_eval.impact.plan import (
    Comparison,
    Window,
    assignments_of,
    change_of,
    compare,
    refusal_of,
    require,
    restrict,
    windows_of,
)
from tne_eval.impact.sensitivity import adjust_change, leave_one_out
from tne_eval.impact.specification import SpecificationCurve, specification_curve
from tne_eval.impact.synthetic import synthetic_control, synthetic_did
from tne_eval.indicators import indicator_tables
from tne_eval.indicators.panel_index import PanelIndex, index_of
from tne_eval.indicators.snee_regions import region_table
from tne_eval.sources.geography import region_of

# Violations of parallel trends after, in times the largest one before (Rambachan and Roth 2023).
RELATIVE_MAGNITUDES = (0.5, 1.0, 1.5, 2.0)
# Below this number of re-assignments their covariance says nothing of an event study.
_FEWEST_PLACEBOS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Robustness:
    """One effect, and what becomes of it.

    Attributes
    ----------
    estimators : one row each: estimator, estimate, p_value, smallest_p, pre_rmse.
    conformal_p : p of the conformal test of the synthetic control, None where it was not asked or cannot be had.
    leave_one_out : left_out, estimate; the extremes are what a single control can do.
    pools : one row each: id (main, composition, low_snee), controls, estimate, p_value, smallest_p.
    honest : bound (M̄), low, high of the mean effect after; None where the re-assignments are too few.
    breakdown : M̄ up to which the set leaves 0 out; None where it holds 0 already under parallel trends.
    statistics : by estimator other than the difference-in-differences, its estimate then those of its placebos.
    reasons : why a part is not there, by its name.
    """

    estimators: pd.DataFrame = field(repr=False)
    conformal_p: float | None
    leave_one_out: pd.DataFrame | None = field(repr=False)
    pools: pd.DataFrame = field(repr=False)
    honest: pd.DataFrame | None = field(repr=False)
    breakdown: float | None
    statistics: dict[str, np.ndarray] = field(repr=False)
    reasons: dict[str, str]


def assess_robustness(design: str, panel: pd.DataFrame | PanelIndex, territory: str | None = None) -> Robustness:
    """The effect of a design by its other estimators, with other controls, and under trends that are not parallel.

    Parameters are those of `estimate_impact`. Raises UnknownNameError, MissingDataError, and DesignError where the
    design cannot be applied.
    """
    index = index_of(panel)
    comparison = compare(design, index, territory)
    require(comparison)
    reasons: dict[str, str] = {}
    contrasts = assignments_of(comparison).contrasts
    rows = [_row(contrasts @ change_of(comparison).to_numpy(), estimator="did")]
    statistics, conformal_p = {}, None
    for estimator in comparison.plan.estimators:
        if estimator == "did":
            continue
        try:
            statistics[estimator], pre_rmse = _synthetic(estimator, comparison)
        except DesignError as error:
            reasons[estimator] = error.what
            continue
        rows.append(_row(statistics[estimator], estimator=estimator, pre_rmse=pre_rmse))
        if estimator == "synthetic_control":
            conformal_p = _conformal(comparison, reasons)
    try:
        without = leave_one_out(change_of(comparison), comparison.treated, comparison.strata)
    except DesignError as error:
        without, reasons["leave_one_out"] = None, error.what
    honest, breakdown = _honest(comparison, contrasts, reasons)
    return Robustness(
        estimators=pd.DataFrame(rows),
        conformal_p=conformal_p,
        leave_one_out=without,
        pools=_pools(comparison, index, contrasts, reasons),
        honest=honest,
        breakdown=breakdown,
        statistics=statistics,
        reasons=reasons,
    )


def curve_of_specifications(
    designs: Sequence[str],
    panel: pd.DataFrame | PanelIndex,
    territory: str | None = None,
    assessed: Mapping[str, Robustness] | None = None,
) -> SpecificationCurve:
    """The effect under every combination of design, window, adjustment and estimator that the designs call defensible.

    assessed : by design, what `assess_robustness` gave for it: its estimators join the curve. The joint tests of the
    curve need specifications that share their re-assignments. Raises DesignError where no design can be
    applied, or where their levels are not the same.
    """
    index = index_of(panel)
    choices, statistics = [], []
    held = [item for design in designs if not refusal_of(item := compare(design, index, territory))]
    if not held:
        raise DesignError("none of the designs can be applied", where=territory or "pair")
    if len(levels := {item.plan.alpha for item in held}) > 1:
        raise DesignError("the designs have other levels", why=f"alpha is {', '.join(map(str, sorted(levels)))}")
    for comparison in held:
        design = comparison.plan.id
        contrasts = assignments_of(comparison).contrasts
        covariates = indicator_tables(comparison.plan.covariates, index)
        for name, window in windows_of(comparison).items():
            named = {"design": design, "window": name, "estimator": "did"}
            choices.append(named | {"adjusted": False})
            statistics.append(contrasts @ change_of(comparison, window).to_numpy())
            with suppress(DesignError):
                adjusted = _adjusted(comparison, covariates, window)
                if adjusted is not None:
                    choices.append(named | {"adjusted": True})
                    statistics.append(contrasts @ adjusted.to_numpy())
        for estimator, found in assessed[design].statistics.items() if assessed and design in assessed else ():
            choices.append({"design": design, "window": "main", "estimator": estimator, "adjusted": False})
            statistics.append(found)
    shared = len({(tuple(item.table.index), item.treated, item.strata) for item in held}) == 1
    return specification_curve(pd.DataFrame(choices), statistics, alpha=held[0].plan.alpha, shared=shared)


def _synthetic(estimator: str, comparison: Comparison) -> tuple[np.ndarray, float]:
    """(statistics, pre_rmse) of a synthetic control or a synthetic DiD, by all its placebos."""
    window = comparison.window
    outcomes = comparison.table[[*window.pre, *window.post]]
    named = {"placebos": True, "alpha": comparison.plan.alpha, "seed": comparison.plan.seed}
    treated, first = list(comparison.treated), window.post[0]
    if estimator == "synthetic_control":
        found = synthetic_control(outcomes, treated, first, **named)
        placebos = found.placebos["estimate"].to_numpy()
    else:
        found = synthetic_did(outcomes, treated, first, **named)
        placebos = found.placebos.to_numpy()
    return np.concatenate([[found.estimate], placebos.astype(float)]), found.pre_rmse


def _row(statistics: np.ndarray, **named: object) -> dict:
    return named | {
        "estimate": float(statistics[0]),
        "p_value": permutation_p(statistics),
        "smallest_p": 1 / len(statistics),
    }


def _conformal(comparison: Comparison, reasons: dict[str, str]) -> float | None:
    window = comparison.window
    outcomes = comparison.table[[*window.pre, *window.post]]
    try:
        return conformal_test(
            outcomes, list(comparison.treated), window.post[0], alpha=comparison.plan.alpha, seed=comparison.plan.seed
        ).p_value
    except DesignError as error:
        reasons["conformal_p"] = error.what
        return None


def _pools(comparison: Comparison, index: PanelIndex, contrasts: np.ndarray, reasons: dict[str, str]) -> pd.DataFrame:
    statistics = contrasts @ change_of(comparison).to_numpy()
    rows = [_row(statistics, id="main", controls=len(comparison.controls))]
    try:
        adjusted = _adjusted(comparison, indicator_tables(comparison.plan.covariates, index), comparison.window)
        if adjusted is not None:
            rows.append(_row(contrasts @ adjusted.to_numpy(), id="composition", controls=len(comparison.controls)))
    except DesignError as error:
        reasons["composition"] = error.what
    kept = restrict(comparison, _low_snee(comparison, index))
    treated_strata = {label for label, own in zip(comparison.strata, comparison.is_treated, strict=True) if own}
    if len(kept.table) == len(comparison.table) or not treated_strata <= set(kept.strata[len(kept.treated) :]):
        reasons["low_snee"] = "no control is left, or none is taken away"
    else:
        statistics = assignments_of(kept).contrasts @ change_of(kept).to_numpy()
        rows.append(_row(statistics, id="low_snee", controls=len(kept.controls)))
    return pd.DataFrame(rows)


def _adjusted(comparison: Comparison, covariates: Mapping[str, pd.DataFrame], window: Window) -> pd.Series | None:
    """Change net of that of the covariates, tables of indicators by id; None without any."""
    plan = comparison.plan
    if not covariates:
        return None
    changes = {}
    for name, table in covariates.items():
        # The pupils of an exam session are those of the school year that it ends.
        lag = int(get_indicator(plan.outcome).period_type == "exam_session") - int(
            get_indicator(name).period_type == "exam_session"
        )
        changes[name] = change_between(
            table.reindex(comparison.table.index),
            [period - lag for period in window.pre],
            [period - lag for period in window.post],
        )
    return adjust_change(change_of(comparison, window), pd.DataFrame(changes), comparison.treated, comparison.strata)


def _low_snee(comparison: Comparison, index: PanelIndex) -> list[str]:
    """The treated, and of the controls whose region had no more SNEE grants a pupil than the median region."""
    euros = region_table(index)["euros_per_pupil"]
    limit = euros.median()
    return [
        unit
        for unit in comparison.table.index
        if unit in comparison.treated or euros.get(region_of(unit), np.inf) <= limit
    ]


def _honest(
    comparison: Comparison, contrasts: np.ndarray, reasons: dict[str, str]
) -> tuple[pd.DataFrame | None, float | None]:
    """Robust sets of the mean effect after. The covariance is that of the re-assignments of the event study; a session
    that the design leaves out makes one step of the trend of what is two years."""
    window = comparison.window
    if len(contrasts) < _FEWEST_PLACEBOS:
        reasons["honest"] = "too_few_assignments"
        return None, None
    base = window.pre[-1]
    levels = contrasts @ comparison.table[[*window.pre, *window.post]].to_numpy()
    periods = [*window.pre, *window.post]
    moved = np.delete(levels - levels[:, [periods.index(base)]], periods.index(base), axis=1)
    covariance = np.cov(moved[1:], rowvar=False)
    n_pre = len(window.pre) - 1
    named = {"restriction": "relative_magnitude", "weights": [1 / len(window.post)] * len(window.post)}
    found = honest_did(moved[0], covariance, n_pre, bound=RELATIVE_MAGNITUDES, **named)
    return found.to_frame(), breakdown_bound(moved[0], covariance, n_pre, **named)
