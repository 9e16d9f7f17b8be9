"""An estimate among the published ones: in standard deviations, against a prior, and for what it costs."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.stats import norm

from tne_eval.errors import DesignError


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
    weight = prior_sd**2 / (prior_sd**2 + error**2)
    mean = (1 - weight) * prior_mean + weight * estimate
    sd = prior_sd * math.sqrt(1 - weight)
    reach = norm.ppf((1 + level) / 2) * sd
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
