"""An estimate among the published ones: in standard deviations, against a prior, and for what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy.stats import norm

from tne_eval.catalog import Territory, TreatedShare, effect_context
from tne_eval.errors import DesignError
from tne_eval.impact.dilution import EffectOnTreated, effect_on_treated
from tne_eval.indicators import indicator_table
from tne_eval.indicators.panel_index import PanelIndex, index_of
from tne_eval.results import ImpactResult


@dataclass(frozen=True, slots=True)
class Posterior:
    """A normal belief updated by an estimate: `mean`, `sd`, central `low` and `high` at `level`, `positive` the chance
    that the effect is above 0, and `weight_of_data` (0-1), the share of the estimate in the mean."""

    mean: float
    sd: float
    low: float
    high: float
    level: float
    positive: float
    weight_of_data: float


@dataclass(frozen=True, slots=True)
class CostRange:
    """Cost of 0.01 standard deviation for one pupil, in euros; `high` is None where the effect may be nil or negative,
    `low` too where no effect above 0 remains possible."""

    low: float | None
    high: float | None


def standard_deviation_of_rate(percent: float) -> float:
    """Standard deviation of a result that is 0 or 100 for each pupil, from the share (0-100) of those at 100.

    Raises DesignError where nobody or everybody succeeds.
    """
    if not 0 < percent < 100:
        raise DesignError(f"a success rate of {percent} has no spread", why="it lies strictly between 0 and 100")
    return math.sqrt(percent * (100 - percent))


def update_prior(prior_mean: float, prior_sd: float, estimate: float, error: float, level: float = 0.95) -> Posterior:
    """Normal prior × normal likelihood (Gelman et al. 2013, §2.5): precisions add up.

    prior_sd, error : above 0, in the unit of the effect. Raises DesignError otherwise.
    """
    if not (prior_sd > 0 and error > 0 and math.isfinite(error)):
        raise DesignError(f"prior_sd is {prior_sd} and error {error}", why="both are spreads, above 0")
    weight = float(prior_sd**2 / (prior_sd**2 + error**2))
    mean = (1 - weight) * prior_mean + weight * estimate
    sd = prior_sd * math.sqrt(1 - weight)
    reach = float(norm.ppf((1 + level) / 2)) * sd
    return Posterior(mean, sd, mean - reach, mean + reach, level, float(norm.cdf(mean / sd)), weight)


def cost_of_effect(cost_low: float, cost_high: float, effect_low: float, effect_high: float) -> CostRange:
    """Euros for one pupil and 0.01 standard deviation, over the ranges of the cost a pupil and of the effect.

    cost_low, cost_high : euros for one pupil, 0 or more; effect_low, effect_high : standard deviations.
    Raises DesignError on ranges in the wrong order or a negative cost.
    """
    if not 0 <= cost_low <= cost_high or effect_low > effect_high:
        raise DesignError(
            f"costs {cost_low} to {cost_high}, effects {effect_low} to {effect_high}",
            why="a range goes from its low end to its high end, and a cost is 0 or more",
        )
    if effect_high <= 0:
        return CostRange(None, None)
    return CostRange(cost_low / (100 * effect_high), cost_high / (100 * effect_low) if effect_low > 0 else None)


@dataclass(frozen=True, slots=True)
class EffectInContext:
    """An effect on a success rate, in standard deviations of pupils' results, beside what was believed and its cost.

    Attributes
    ----------
    rate : success rate of the controls' last period before (0-100); sd : of pupils' results, in points.
    itt, itt_low, itt_high : effect on all pupils and the interval of the second reference, in standard deviations; the
        interval is None where the design has no second reference.
    share : share of pupils reached, of the catalogue or supposed; share_known : whether it is of the catalogue.
    treated : the effect on the pupils reached, over the range of their share.
    posteriors : the prior updated at the low and at the high end of the share; empty where there is no interval.
    cost_a_pupil : (low, high) euros announced for one pupil of the territory, None where no budget or number is known.
    cost : of 0.01 standard deviation on all pupils, None like its parts.
    """

    rate: float
    sd: float
    itt: float
    itt_low: float | None
    itt_high: float | None
    share: TreatedShare
    share_known: bool
    treated: EffectOnTreated
    posteriors: tuple[Posterior, ...]
    cost_a_pupil: tuple[float, float] | None
    cost: CostRange | None


def put_in_context(result: ImpactResult, panel: pd.DataFrame | PanelIndex, place: Territory) -> EffectInContext:
    """An estimated effect on a success rate (in points) among the published ones.

    The error that the prior is updated with is the half-width of the interval of the second reference over 1.96.
    Raises DesignError where the design was refused, MissingDataError where the panel lacks the outcome.
    """
    if result.estimate is None:
        raise DesignError("there is no effect to put in context", why=result.reasons["estimate"])
    context = effect_context()
    index = index_of(panel)
    table = indicator_table(result.design.outcome, index)
    rate = float(table.loc[list(result.controls), result.pre[-1]].mean())
    sd = standard_deviation_of_rate(rate)
    share = place.treated_share or context.unknown_share
    reference = result.reference
    low, high = (None, None) if reference is None else (reference.low / sd, reference.high / sd)
    if low is not None and not (math.isfinite(low) and math.isfinite(high)):
        low, high = None, None
    treated = effect_on_treated(result.estimate / sd, share.low, share.high, low=low, high=high)
    posteriors = ()
    if low is not None:
        error = (high - low) / 2 / norm.ppf(0.975)
        posteriors = tuple(
            update_prior(context.prior.mean, context.prior.sd, result.estimate / sd / end, error / end)
            for end in (share.low, share.high)
        )
    cost_a_pupil = _cost_a_pupil(index, place)
    cost = None
    if cost_a_pupil is not None and low is not None:
        cost = cost_of_effect(*cost_a_pupil, low, high)
    return EffectInContext(
        rate, sd, result.estimate / sd, low, high, share, place.treated_share is not None, treated, posteriors,
        cost_a_pupil, cost,
    )  # fmt: skip


def _cost_a_pupil(index: PanelIndex, place: Territory) -> tuple[float, float] | None:
    """Range of the budgets announced over the pupils of écoles and collèges of the territory."""
    budget = next((figure for figure in place.figures if figure.id == "budget"), None)
    pupils = sum(
        latest_total(index, variable, place.departement) for variable in ("ips_ecole_pupils", "college_pupils")
    )
    if budget is None or not pupils > 0:
        return None
    ends = (budget.low, budget.high) if budget.value is None else (budget.value, budget.value)
    return ends[0] / pupils, ends[1] / pupils


def latest_total(index: PanelIndex, variable: str, departement: str) -> float:
    """Total over its groups of a variable of a département, in the latest period that has one; NaN without any."""
    rows = index.part([variable])
    rows = rows[(rows["unit"] == departement) & rows["value"].notna()]
    return float(rows.loc[rows["period"] == rows["period"].max(), "value"].sum()) if len(rows) else math.nan
