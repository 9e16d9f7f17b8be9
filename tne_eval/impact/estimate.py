"""From a design of the catalogue and a panel to an effect, what bounds it, and what may be said of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from tne_eval.catalog import list_territories
from tne_eval.impact.assignments import assign
from tne_eval.impact.chosen import infer_effect
from tne_eval.impact.did import change_between, cluster_share, event_study, gaps, trend_carried
from tne_eval.impact.inference import minimum_detectable_effect, permutation_p, placebo_reference
from tne_eval.impact.plan import (
    Comparison,
    assignments_of,
    change_of,
    compare,
    refusal_of,
    windows_of,
)
from tne_eval.impact.sensitivity import placebo_dates
from tne_eval.impact.verdict import Evidence, decide
from tne_eval.indicators.panel_index import PanelIndex
from tne_eval.results import Check, ImpactResult, Reference, Verdict
from tne_eval.sources import academie_of, departement_name


def estimate_impact(
    design: str, panel: pd.DataFrame | PanelIndex, territory: str | None = None, weights: str = "equal"
) -> ImpactResult:
    """Effect of the programme under a design of the catalogue.

    Parameters
    ----------
    design : design id, see `tne-eval list designs`.
    panel : the tidy panel of `load_panel`, or its index where several effects are estimated; it is not modified.
    territory : None for the treated territories of the design, taken together with equal weights; a territory id for
        that one alone, from its own first exposed period (of an exam, the end of the school year that holds its likely
        exposure date, or the next one when the date is after 31 December).
    weights : "equal", as the plans declare, or "size": means in which each département counts for the size that the
        design names. That leaves the plan, and gives no interval, detectable effect or second reference.

    Returns
    -------
    ImpactResult. A design that cannot be applied gives a result whose verdict is `Verdict.REFUSED` and whose
    `reasons["estimate"]` says why.

    The estimate is the mean over treated départements of (mean outcome after − mean before) less the same for the
    controls of their stratum. Break periods are left out unless nothing else follows the exposure. Inference is chosen
    by the number of treated départements (`infer_effect`): with two, cluster-robust errors reject a true null a third
    of the time (Conley and Taber 2011; MacKinnon and Webb 2018).

    Raises UnknownNameError, MissingDataError; DesignError on weights that cannot be had.
    """
    return effect_of(compare(design, panel, territory, weights))


def effect_of(comparison: Comparison) -> ImpactResult:
    """The effect of a comparison that is already made; see `estimate_impact`."""
    if why := refusal_of(comparison):
        return _refused(comparison, why)
    plan, window, table = comparison.plan, comparison.window, comparison.table
    assignments = assignments_of(comparison)
    change = change_of(comparison)
    placebo = assignments.contrasts @ change.to_numpy()
    chosen = infer_effect(
        change.to_numpy(),
        comparison.is_treated,
        strata=comparison.strata,
        size=comparison.size,
        alpha=plan.alpha,
        max_enumeration=plan.max_enumeration,
        draws=plan.draws,
        seed=plan.seed,
        weight=comparison.weight,
    )
    reasons = {name: chosen.reason for name in ("low", "high") if chosen.reason}
    testable = chosen.smallest_p <= plan.alpha
    mde = _mde(comparison, change) if testable and not comparison.weighted else None
    if mde is None:
        reasons["mde"] = "weighted" if testable else "smallest_p_above_alpha"
    checks = _checks(comparison, gaps(table, assignments.contrasts[0]), chosen.estimate)
    second = plan.strata == "academie" and not comparison.weighted
    reference = _reference(comparison, chosen.estimate) if second else None
    variants = _variants(comparison, assignments.contrasts)
    earlier = placebo_dates(table, assignments.contrasts, window.pre)
    return ImpactResult(
        design=plan,
        territory=comparison.territory,
        treated=comparison.treated,
        controls=comparison.controls,
        pre=window.pre,
        post=window.post,
        estimate=chosen.estimate,
        low=chosen.low,
        high=chosen.high,
        p_value=chosen.p_value,
        smallest_p=chosen.smallest_p,
        mde=mde,
        method=chosen.method,
        n_assignments=len(assignments.contrasts),
        exact=assignments.exact,
        verdict=decide(
            Evidence(
                estimate=chosen.estimate,
                low=chosen.low,
                high=chosen.high,
                p_value=chosen.p_value,
                smallest_p=chosen.smallest_p,
                checks=checks,
                reference=reference,
                alpha=plan.alpha,
                equivalence_margin=plan.equivalence_margin,
                mde=mde,
                variants=tuple(variants["estimate"]),
                placebo_p=float(earlier["p_value"].min()),
            )
        ),
        checks=checks,
        reasons=reasons,
        reference=reference,
        placebo=placebo,
        tests=chosen.alternatives,
        events=event_study(table, assignments.contrasts, window.pre[-1]),
        units=_unit_effects(comparison, change),
        sensitivities=variants,
        placebo_dates=earlier,
    )


def _refused(comparison: Comparison, why: str) -> ImpactResult:
    names = ("estimate", "low", "high", "p_value", "smallest_p", "mde")
    return ImpactResult(
        design=comparison.plan,
        territory=comparison.territory,
        treated=comparison.treated,
        controls=comparison.controls,
        pre=comparison.window.pre,
        post=comparison.window.post,
        **dict.fromkeys(names),
        method="",
        n_assignments=0,
        exact=True,
        verdict=Verdict.REFUSED,
        checks=(),
        reasons=dict.fromkeys(names, why),
        reference=None,
        placebo=np.empty(0),
        tests=pd.DataFrame(),
        events=pd.DataFrame(columns=["period", "gap", "estimate", "band_low", "band_high"]),
        units=pd.DataFrame(
            columns=["unit", "label", "change", "control_change", "estimate", "controls", "slope", "carried"]
        ),
        sensitivities=pd.DataFrame(columns=["id", "pre", "post", "estimate", "p_value"]),
        placebo_dates=pd.DataFrame(columns=["first", "estimate", "p_value"]),
    )


def _mde(comparison: Comparison, change: pd.Series) -> float | None:
    """By the plain test, among the controls as if they were of one stratum."""
    plan, n_controls = comparison.plan, len(comparison.controls)
    placebos = assign(
        ["all"] * n_controls,
        np.arange(n_controls) < len(comparison.treated),
        max_enumeration=plan.max_enumeration,
        draws=plan.draws,
        seed=plan.seed,
    )
    own = change.to_numpy()[~comparison.is_treated]
    return minimum_detectable_effect(placebos.contrasts, own, alpha=plan.alpha, power=plan.power)


def _unit_effects(comparison: Comparison, change: pd.Series) -> pd.DataFrame:
    """Each treated département beside the controls of its own stratum."""
    table, window, treated = comparison.table, comparison.window, comparison.treated
    labels = pd.Series(comparison.strata, index=table.index)
    weight = pd.Series(np.ones(len(table)) if comparison.weight is None else comparison.weight, index=table.index)
    rows = []
    for unit in treated:
        peers = [other for other in table.index if other not in treated and labels[other] == labels[unit]]
        own = weight[peers] / weight[peers].sum()
        slope, carried = trend_carried(table.loc[unit] - own @ table.loc[peers], window.pre, window.post)
        control_change = float(own @ change[peers])
        rows.append(
            {
                "unit": unit,
                "label": departement_name(unit),
                "change": float(change[unit]),
                "control_change": control_change,
                "estimate": float(change[unit]) - control_change,
                "controls": len(peers),
                "slope": slope,
                "carried": carried,
            }
        )
    return pd.DataFrame(rows)


def _checks(comparison: Comparison, gap: pd.Series, estimate: float) -> tuple[Check, ...]:
    plan, window = comparison.plan, comparison.window
    slope, carried = trend_carried(gap, window.pre, window.post)
    checks = [
        Check(
            "pretrend",
            abs(carried) <= abs(estimate),
            carried,
            abs(estimate),
            f"slope before the exposure {slope:+.2f} a year, {carried:+.2f} once carried to the mean date after it",
        )
    ]
    if plan.strata == "none":
        pool = comparison.outcome.loc[list(comparison.controls)]
        share = cluster_share(pool, pd.Series([academie_of(unit) for unit in pool.index], index=pool.index))
        checks.append(
            Check(
                "academie_shocks",
                share <= plan.max_academie_share,
                share,
                plan.max_academie_share,
                f"{share:.0%} of the residual variance is common to the départements of an académie in a period",
            )
        )
        checks.append(
            Check(
                "break_periods",
                not window.broken,
                None,
                None,
                "every exposed period is a break period" if window.broken else "no break period is needed",
            )
        )
    return tuple(checks)


def _reference(comparison: Comparison, estimate: float) -> Reference | None:
    """Placebos in the académies that hold no territory of the programme: one département in each of as many
    académies as there are treated, against the others of its académie."""
    plan, window, outcome = comparison.plan, comparison.window, comparison.outcome
    n_treated = len(comparison.treated)
    ever = {academie_of(place.departement) for place in list_territories()}
    change = change_between(outcome, window.pre, window.post)
    labels = pd.Series([academie_of(unit) for unit in change.index], index=change.index)
    size = labels.value_counts()
    free = sorted(label for label in size.index if label not in ever and size[label] >= plan.min_reference_stratum)
    if len(free) < n_treated:
        return None
    contrasts = {}
    for label in free:
        own = change[labels == label]
        contrasts[label] = (own - (own.sum() - own) / (len(own) - 1)).to_numpy()
    placebos = np.concatenate(
        [
            sum(np.meshgrid(*(contrasts[label] for label in chosen), indexing="ij")).ravel() / n_treated
            for chosen in itertools.combinations(free, n_treated)
        ]
    )
    p_value, low, high, mde = placebo_reference(placebos, estimate, alpha=plan.alpha, power=plan.power)
    return Reference(tuple(free), len(placebos), p_value, low, high, mde)


def _variants(comparison: Comparison, contrasts: Sequence) -> pd.DataFrame:
    """The estimate under other windows and dates, with the p of the plain test; the main one first."""
    rows = []
    for name, window in windows_of(comparison).items():
        statistics = contrasts @ change_of(comparison, window).to_numpy()
        rows.append(
            {
                "id": name,
                "pre": " ".join(map(str, window.pre)),
                "post": " ".join(map(str, window.post)),
                "estimate": float(statistics[0]),
                "p_value": permutation_p(statistics),
            }
        )
    return pd.DataFrame(rows)
