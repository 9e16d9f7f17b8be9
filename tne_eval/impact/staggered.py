"""The twelve territories together: effects by cohort and time, re-assigned among the départements."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tne_eval.catalog import get_design, list_territories
from tne_eval.errors import DesignError
from tne_eval.impact.group_time import aggregate_effects, group_time_from_wide
from tne_eval.impact.impute import impute_effects
from tne_eval.impact.inference import permutation_p
from tne_eval.impact.plan import first_periods, outcome_of
from tne_eval.indicators.panel_index import PanelIndex

_DRAWS = 999


@dataclass(frozen=True, slots=True, eq=False)
class StaggeredEffect:
    """The average effect over all territories and exposed periods.

    Attributes
    ----------
    estimate : mean of the group-time effects after exposure, by size of cohort (Callaway and Sant'Anna 2021).
    imputed : the same mean by imputation (Borusyak, Jaravel and Spiess 2024).
    p_value, smallest_p : of `estimate` when the cohorts are drawn by lot among the départements; `placebo` : (S,) the
        estimate under each draw, the observed one first.
    territories : those in it; left_out : those without data, or whose exposure comes after the last period that the
        design keeps, which are in neither group.
    """

    estimate: float
    imputed: float
    p_value: float
    smallest_p: float
    placebo: np.ndarray = field(repr=False)
    territories: tuple[str, ...]
    left_out: tuple[str, ...]


def estimate_staggered(design: str, panel: pd.DataFrame | PanelIndex, date: str = "likely") -> StaggeredEffect:
    """Effect of the programme on the twelve territories, each from its own first exposed period.

    Parameters
    ----------
    design : design id, whose outcome, periods and component are taken; its break periods are left out. Comparison is
        with départements never treated, whatever its strata. date : which of the three dates of exposure.

    Raises UnknownNameError, MissingDataError, and DesignError where no territory has a period before and one after.
    """
    plan = get_design(design)
    broken = {item.period for item in plan.breaks}
    table = outcome_of(plan, panel)
    table = table[[period for period in table.columns if period not in broken]]
    first = {place.departement: first_periods(plan, [place], date)[0] for place in list_territories()}
    names = {place.departement: place.id for place in list_territories()}
    late = {unit for unit, period in first.items() if period > table.columns[-1] or unit not in table.index}
    table = table.drop(index=[unit for unit in late if unit in table.index])
    # An exposure that falls in a period left out begins with the next one.
    times = table.columns.to_numpy()
    starts = [times[times >= first[unit]][0] if unit in first else np.nan for unit in table.index]
    cohorts = np.array(starts, dtype=float)
    if np.isnan(cohorts).all():
        raise DesignError("no territory has an exposed period in these data", remedy="take a panel of later periods")
    outcomes = table.to_numpy()
    rng = np.random.default_rng(plan.seed)
    orders = [np.arange(len(cohorts)), *(rng.permutation(len(cohorts)) for _ in range(_DRAWS))]
    placebo = np.array([_simple(outcomes, cohorts[order], times) for order in orders])
    long = table.rename_axis(index="unit", columns="time").stack().rename("outcome").reset_index()
    long["cohort"] = long["unit"].map(dict(zip(table.index, cohorts, strict=True)))
    return StaggeredEffect(
        estimate=float(placebo[0]),
        imputed=float(impute_effects(long, "outcome", "unit", "time", "cohort").estimate),
        p_value=permutation_p(placebo),
        smallest_p=1 / len(placebo),
        placebo=placebo,
        territories=tuple(names[unit] for unit in table.index if unit in first),
        left_out=tuple(sorted(names[unit] for unit in late)),
    )


def _simple(outcomes: np.ndarray, cohorts: np.ndarray, times: np.ndarray) -> float:
    return float(aggregate_effects(group_time_from_wide(outcomes, cohorts, times=times), "simple").estimate)
