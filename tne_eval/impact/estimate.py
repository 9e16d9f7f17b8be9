"""From a design of the catalogue and a panel to an effect, what bounds it, and what may be said of it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from tne_eval.catalog import Design, Territory, get_design, get_territory, list_territories
from tne_eval.impact.assignments import Assignments, assign
from tne_eval.impact.did import change_between, cluster_share, event_study, gaps, trend_carried
from tne_eval.impact.inference import (
    invert_interval,
    minimum_detectable_effect,
    permutation_p,
    placebo_reference,
)
from tne_eval.impact.verdict import decide
from tne_eval.indicators import indicator_table
from tne_eval.results import Check, ImpactResult, Reference, Verdict
from tne_eval.sources import academie_of, departement_name
from tne_eval.sources.periods import session_exposed


@dataclass(frozen=True, slots=True)
class Window:
    """Periods before and after; `broken` where only break periods are left after."""

    pre: tuple[int, ...]
    post: tuple[int, ...]
    broken: bool


def estimate_impact(design: str, panel: pd.DataFrame, territory: str | None = None) -> ImpactResult:
    """Effect of the programme under a design of the catalogue.

    Parameters
    ----------
    design : design id, see `tne-eval list designs`.
    panel : the tidy panel of `load_panel`; it is not modified.
    territory : None for the treated territories of the design, taken together with equal weights; a territory id for
        that one alone, from its own first exposed session (the end of the school year that holds its likely exposure
        date, or the next one when the date is after 31 December).

    Returns
    -------
    ImpactResult. A design that cannot be applied gives a result whose verdict is `Verdict.REFUSED` and whose
    `reasons["estimate"]` says why.

    The estimate is the mean over treated départements of (mean outcome after − mean before) less the same for the
    controls of their stratum. Break periods are left out unless nothing else follows the exposure. Inference is by
    re-assignment of the treatment among départements: with two treated, cluster-robust errors reject a true null a
    third of the time (Conley and Taber 2011; MacKinnon and Webb 2018).

    Raises UnknownNameError, MissingDataError.
    """
    plan = get_design(design)
    places = [get_territory(name) for name in ([territory] if territory else plan.treated)]
    outcome = _outcome(plan, panel)
    window = _window(plan, outcome, [session_exposed(place.exposure.likely) for place in places])
    treated = tuple(place.departement for place in places)
    controls = _controls(plan, outcome, treated)
    refusal = _refusal(plan, treated, controls, window, outcome)
    if refusal:
        return _refused(plan, territory, treated, controls, window, refusal)

    units = [*treated, *controls]
    is_treated = np.arange(len(units)) < len(treated)
    table = outcome.loc[units]
    assignments = _assign(plan, units, is_treated)
    change = change_between(table, window.pre, window.post).to_numpy()
    placebo = assignments.contrasts @ change
    estimate, p_value, smallest_p = float(placebo[0]), permutation_p(placebo), assignments.smallest_p

    reasons: dict[str, str] = {}
    low = high = mde = None
    if smallest_p > plan.alpha:
        reasons = dict.fromkeys(("low", "high", "mde"), "smallest_p_above_alpha")
    else:
        mde = _mde(plan, controls, len(treated), change[~is_treated])
        if len(treated) == 1:
            reasons = dict.fromkeys(("low", "high"), "one_treated")
        else:
            low, high = invert_interval(assignments.contrasts, change, is_treated, plan.alpha)

    detail = _unit_effects(plan, table, treated, window)
    checks = _checks(plan, outcome, gaps(table, assignments.contrasts[0]), window, estimate)
    reference = _reference(plan, outcome, window, estimate, len(treated)) if plan.strata == "academie" else None
    return ImpactResult(
        design=plan,
        territory=territory,
        treated=treated,
        controls=controls,
        pre=window.pre,
        post=window.post,
        estimate=estimate,
        low=low,
        high=high,
        p_value=p_value,
        smallest_p=smallest_p,
        mde=mde,
        n_assignments=len(assignments.contrasts),
        exact=assignments.exact,
        verdict=decide(
            estimate=estimate,
            low=low,
            high=high,
            p_value=p_value,
            smallest_p=smallest_p,
            checks=checks,
            reference=reference,
            alpha=plan.alpha,
            equivalence_margin=plan.equivalence_margin,
        ),
        checks=checks,
        reasons=reasons,
        reference=reference,
        placebo=placebo,
        events=event_study(table, assignments.contrasts, window.pre[-1]),
        units=detail,
        sensitivities=_sensitivities(plan, table, places, assignments),
    )


def _outcome(plan: Design, panel: pd.DataFrame) -> pd.DataFrame:
    """Outcome of every département that is complete over the periods of the design, excluded periods left out."""
    table = indicator_table(plan.outcome, panel)
    excluded = {item.period for item in plan.excluded}
    kept = [
        period for period in table.columns if plan.first_period <= period <= plan.last_period and period not in excluded
    ]
    return table[kept].dropna()


def _window(
    plan: Design,
    outcome: pd.DataFrame,
    first: Sequence[int],
    *,
    breaks: bool = False,
    skip: Sequence[int] = (),
) -> Window:
    """Periods before the first exposure and from the last one on; `breaks` keeps the break periods among them."""
    broken = set() if breaks else {item.period for item in plan.breaks}
    periods = [period for period in outcome.columns if period not in skip]
    pre = tuple(period for period in periods if period < min(first) and period not in broken)
    after = tuple(period for period in periods if period >= max(first))
    post = tuple(period for period in after if period not in broken)
    return Window(pre, post or after, broken=not post and bool(after))


def _controls(plan: Design, outcome: pd.DataFrame, treated: Sequence[str]) -> tuple[str, ...]:
    ever = {place.departement for place in list_territories()}
    never = [unit for unit in outcome.index if unit not in ever]
    if plan.strata == "academie":
        near = {academie_of(unit) for unit in treated}
        never = [unit for unit in never if academie_of(unit) in near]
    return tuple(never)


def _refusal(
    plan: Design, treated: Sequence[str], controls: Sequence[str], window: Window, outcome: pd.DataFrame
) -> str | None:
    """Why the design cannot be applied here, as a code of the catalogue's sentences; None where it can."""
    if any(unit not in outcome.index for unit in treated):
        return "outcome_missing"
    if len(window.pre) < 2:
        return "no_pre_period"
    if not window.post:
        return "no_exposed_period"
    covered = set(_strata(plan, controls))
    if any(label not in covered for label in _strata(plan, treated)):
        return "no_control_in_stratum"
    return None


def _refused(
    plan: Design, territory: str | None, treated: tuple, controls: tuple, window: Window, why: str
) -> ImpactResult:
    names = ("estimate", "low", "high", "p_value", "smallest_p", "mde")
    return ImpactResult(
        design=plan,
        territory=territory,
        treated=treated,
        controls=controls,
        pre=window.pre,
        post=window.post,
        **dict.fromkeys(names),
        n_assignments=0,
        exact=True,
        verdict=Verdict.REFUSED,
        checks=(),
        reasons=dict.fromkeys(names, why),
        reference=None,
        placebo=np.empty(0),
        events=pd.DataFrame(columns=["period", "gap", "estimate", "band_low", "band_high"]),
        units=pd.DataFrame(
            columns=["unit", "label", "change", "control_change", "estimate", "controls", "slope", "carried"]
        ),
        sensitivities=pd.DataFrame(columns=["id", "pre", "post", "estimate", "p_value"]),
    )


def _strata(plan: Design, units: Sequence[str]) -> list[str]:
    return [academie_of(unit) if plan.strata == "academie" else "all" for unit in units]


def _assign(plan: Design, units: Sequence[str], is_treated: np.ndarray) -> Assignments:
    return assign(
        _strata(plan, units),
        is_treated,
        max_enumeration=plan.max_enumeration,
        draws=plan.draws,
        seed=plan.seed,
    )


def _mde(plan: Design, controls: Sequence[str], n_treated: int, change: np.ndarray) -> float | None:
    placebos = assign(
        ["all"] * len(controls),
        np.arange(len(controls)) < n_treated,
        max_enumeration=plan.max_enumeration,
        draws=plan.draws,
        seed=plan.seed,
    )
    return minimum_detectable_effect(placebos.contrasts, change, alpha=plan.alpha, power=plan.power)


def _unit_effects(plan: Design, table: pd.DataFrame, treated: Sequence[str], window: Window) -> pd.DataFrame:
    """Each treated département beside the controls of its own stratum."""
    change = change_between(table, window.pre, window.post)
    labels = pd.Series(_strata(plan, table.index), index=table.index)
    rows = []
    for unit in treated:
        peers = [other for other in table.index if other not in treated and labels[other] == labels[unit]]
        slope, carried = trend_carried(table.loc[unit] - table.loc[peers].mean(), window.pre, window.post)
        rows.append(
            {
                "unit": unit,
                "label": departement_name(unit),
                "change": float(change[unit]),
                "control_change": float(change[peers].mean()),
                "estimate": float(change[unit] - change[peers].mean()),
                "controls": len(peers),
                "slope": slope,
                "carried": carried,
            }
        )
    return pd.DataFrame(rows)


def _checks(plan: Design, outcome: pd.DataFrame, gap: pd.Series, window: Window, estimate: float) -> tuple[Check, ...]:
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
        pool = outcome.loc[list(_controls(plan, outcome, ()))]
        share = cluster_share(pool, pd.Series([academie_of(unit) for unit in pool.index], index=pool.index))
        checks.append(
            Check(
                "academie_shocks",
                share <= plan.max_academie_share,
                share,
                plan.max_academie_share,
                f"{share:.0%} of the residual variance is common to the départements of an académie in a session",
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


def _reference(
    plan: Design, outcome: pd.DataFrame, window: Window, estimate: float, n_treated: int
) -> Reference | None:
    """Placebos in the académies that hold no territory of the programme: one département in each of as many
    académies as there are treated, against the others of its académie."""
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


def _sensitivities(
    plan: Design, table: pd.DataFrame, places: Sequence[Territory], assignments: Assignments
) -> pd.DataFrame:
    """The estimate under other windows and dates; rows that repeat the main window are left out."""
    likely, earliest, latest = (
        [session_exposed(getattr(place.exposure, name)) for place in places]
        for name in ("likely", "earliest", "latest")
    )
    doubtful = [item.period for item in plan.doubtful]
    windows = {
        "main": _window(plan, table, likely),
        "with_breaks": _window(plan, table, likely, breaks=True),
        "without_doubtful": _window(plan, table, likely, skip=doubtful),
        "earliest_dates": _window(plan, table, earliest),
        "latest_dates": _window(plan, table, latest),
    }
    rows, seen = [], set()
    for name, window in windows.items():
        if window in seen or len(window.pre) < 2 or not window.post:
            continue
        seen.add(window)
        statistics = assignments.contrasts @ change_between(table, window.pre, window.post).to_numpy()
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
