"""A design of the catalogue on a panel: who is compared with whom, before and after which periods."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from tne_eval.catalog import Design, Territory, get_design, get_indicator, get_territory, list_territories
from tne_eval.errors import DesignError
from tne_eval.impact.assignments import Assignments, assign, weigh
from tne_eval.impact.did import change_between
from tne_eval.indicators import indicator_table
from tne_eval.indicators.panel_index import PanelIndex, index_of
from tne_eval.sources import academie_of
from tne_eval.sources.periods import first_exposed

# What a département counts for in the means: as much as any other, as the plans declare, or its size.
WEIGHTS = ("equal", "size")
# Why a design cannot be applied, and what to change; the French words are in sentences.toml, under [verdict].
REFUSALS = {
    "outcome_missing": (
        "the outcome of a treated département is not complete",
        "fetch the missing periods, or shorten the design",
    ),
    "no_pre_period": ("fewer than two periods come before the exposure", "take an outcome with earlier periods"),
    "no_exposed_period": ("no period follows the exposure: its dates are after the data", "wait for later figures"),
    "no_control_in_stratum": ("a stratum of treated départements has no control", "take a design of wider strata"),
}


@dataclass(frozen=True, slots=True)
class Window:
    """Periods before and after; `broken` where only break periods are left after."""

    pre: tuple[int, ...]
    post: tuple[int, ...]
    broken: bool


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A design applied to a panel.

    outcome : every complete département × period; table : (n, T) its treated rows, then its controls.
    strata : (n,) labels of the rows of `table`; size : (n,) or None; window : by the likely dates; weighted : whether
        the means are by size.
    """

    plan: Design
    territory: str | None
    places: tuple[Territory, ...]
    outcome: pd.DataFrame = field(repr=False)
    treated: tuple[str, ...]
    controls: tuple[str, ...]
    table: pd.DataFrame = field(repr=False)
    strata: tuple[str, ...]
    size: np.ndarray | None = field(repr=False)
    window: Window
    weighted: bool = False

    @property
    def is_treated(self) -> np.ndarray:
        return np.arange(len(self.table)) < len(self.treated)

    @property
    def weight(self) -> np.ndarray | None:
        """(n,) what each row counts for in the means; None where all count the same."""
        return self.size if self.weighted else None


def compare(
    design: str, panel: pd.DataFrame | PanelIndex, territory: str | None = None, weights: str = "equal"
) -> Comparison:
    """What a design of the catalogue compares, for one territory or for its treated ones together.

    Raises UnknownNameError, MissingDataError, DesignError on weights that are not of `WEIGHTS` or sizes that are not
    known; whether the comparison can be made is for `refusal_of` to say.
    """
    if weights not in WEIGHTS:
        raise DesignError(f"weights is {weights!r}", remedy=f"choose among {', '.join(WEIGHTS)}")
    plan = get_design(design)
    places = tuple(get_territory(name) for name in ([territory] if territory else plan.treated))
    index = index_of(panel)
    outcome = outcome_of(plan, index)
    treated = tuple(place.departement for place in places)
    ever = {place.departement for place in list_territories()}
    controls = [unit for unit in outcome.index if unit not in ever]
    if plan.strata == "academie":
        near = {academie_of(unit) for unit in treated}
        controls = [unit for unit in controls if academie_of(unit) in near]
    units = [unit for unit in (*treated, *controls) if unit in outcome.index]
    size = _size(plan, index, units)
    if weights == "size" and size is None:
        raise DesignError(f"no weights by size for {design!r}", why="the sizes of its départements are not all known")
    return Comparison(
        plan=plan,
        territory=territory,
        places=places,
        outcome=outcome,
        treated=treated,
        controls=tuple(controls),
        table=outcome.loc[units],
        strata=tuple(strata_of(plan, units)),
        size=size,
        window=window_of(plan, outcome, first_periods(plan, places)),
        weighted=weights == "size",
    )


def refusal_of(comparison: Comparison) -> str | None:
    """Why the design cannot be applied here, as a code of the catalogue's sentences; None where it can."""
    if any(unit not in comparison.outcome.index for unit in comparison.treated):
        return "outcome_missing"
    if len(comparison.window.pre) < 2:
        return "no_pre_period"
    if not comparison.window.post:
        return "no_exposed_period"
    covered = set(strata_of(comparison.plan, comparison.controls))
    if any(label not in covered for label in strata_of(comparison.plan, comparison.treated)):
        return "no_control_in_stratum"
    return None


def require(comparison: Comparison) -> None:
    """Raise DesignError where the design cannot be applied here."""
    if code := refusal_of(comparison):
        why, remedy = REFUSALS[code]
        raise DesignError(
            f"the design {comparison.plan.id!r} cannot be applied",
            where=comparison.territory or ", ".join(comparison.plan.treated),
            why=why,
            remedy=remedy,
        )


def first_periods(plan: Design, places: Sequence[Territory], date: str = "likely") -> list[int]:
    """First exposed period of each territory, by one of its three dates, for the component that the design names."""
    period_type = get_indicator(plan.outcome).period_type
    return [first_exposed(period_type, exposure_date(place, plan.component, date)) for place in places]


def exposure_date(place: Territory, component: str, date: str) -> dt.date:
    """One of the three dates of a territory; of a component where its own dates are known."""
    own = next((part for part in place.exposure.components if part.id == component), place.exposure)
    return getattr(own, date)


def window_of(
    plan: Design, outcome: pd.DataFrame, first: Sequence[int], *, breaks: bool = False, skip: Sequence[int] = ()
) -> Window:
    """Periods before the first exposure and from the last one on; `breaks` keeps the break periods among them."""
    broken = set() if breaks else {item.period for item in plan.breaks}
    periods = [period for period in outcome.columns if period not in skip]
    pre = tuple(period for period in periods if period < min(first) and period not in broken)
    after = tuple(period for period in periods if period >= max(first))
    post = tuple(period for period in after if period not in broken)
    return Window(pre, post or after, broken=not post and bool(after))


def windows_of(comparison: Comparison) -> dict[str, Window]:
    """The main window and the variants of it that differ from it and leave two periods before and one after."""
    plan, table = comparison.plan, comparison.table
    likely, earliest, latest = (
        first_periods(plan, comparison.places, name) for name in ("likely", "earliest", "latest")
    )
    candidates = {
        "main": comparison.window,
        "with_breaks": window_of(plan, table, likely, breaks=True),
        "without_doubtful": window_of(plan, table, likely, skip=[item.period for item in plan.doubtful]),
        "earliest_dates": window_of(plan, table, earliest),
        "latest_dates": window_of(plan, table, latest),
    }
    windows: dict[str, Window] = {}
    for name, window in candidates.items():
        if window not in windows.values() and len(window.pre) >= 2 and window.post:
            windows[name] = window
    return windows


def change_of(comparison: Comparison, window: Window | None = None) -> pd.Series:
    """Mean after less mean before, by unit of the table."""
    window = window or comparison.window
    return change_between(comparison.table, window.pre, window.post)


def assignments_of(comparison: Comparison) -> Assignments:
    """Re-assignments of the treatment within the strata of the design."""
    plan = comparison.plan
    made = assign(
        comparison.strata,
        comparison.is_treated,
        max_enumeration=plan.max_enumeration,
        draws=plan.draws,
        seed=plan.seed,
    )
    return weigh(made, comparison.strata, comparison.size) if comparison.weighted else made


def restrict(comparison: Comparison, units: Sequence[str]) -> Comparison:
    """The same comparison among some of its rows; the treated must all be there."""
    place = comparison.table.index.get_indexer(units)
    return replace(
        comparison,
        controls=tuple(unit for unit in comparison.controls if unit in set(units)),
        table=comparison.table.loc[list(units)],
        strata=tuple(comparison.strata[row] for row in place),
        size=None if comparison.size is None else comparison.size[place],
    )


def strata_of(plan: Design, units: Sequence[str]) -> list[str]:
    return [academie_of(unit) if plan.strata == "academie" else "all" for unit in units]


def outcome_of(plan: Design, panel: pd.DataFrame | PanelIndex) -> pd.DataFrame:
    """Outcome of every département that is complete over the periods of the design, excluded periods left out."""
    table = indicator_table(plan.outcome, panel)
    excluded = {item.period for item in plan.excluded}
    kept = [
        period for period in table.columns if plan.first_period <= period <= plan.last_period and period not in excluded
    ]
    return table[kept].dropna()


def _size(plan: Design, index: PanelIndex, units: Sequence[str]) -> np.ndarray | None:
    """Mean over the periods of the size that the design names, summed over groups; None where one is not known."""
    if not plan.size:
        return None
    sizes = index.once(("size", plan.size), lambda: _mean_total(index, plan.size)).reindex(units).to_numpy(dtype=float)
    return sizes if np.isfinite(sizes).all() and (sizes > 0).all() else None


def _mean_total(index: PanelIndex, variable: str) -> pd.Series:
    rows = index.part([variable])
    rows = rows[rows["unit_type"] == "departement"]
    totals = rows.groupby(["unit", "period"], observed=True)["value"].sum().groupby("unit", observed=True).mean()
    # A sum takes a hidden value for 0.
    return totals.where(rows["value"].notna().groupby(rows["unit"], observed=True).all())
