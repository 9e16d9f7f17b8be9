"""What an effect on a whole territory says of the schools that the programme reached."""

from __future__ import annotations

from dataclasses import dataclass

from tne_eval.errors import DesignError


@dataclass(frozen=True, slots=True)
class EffectOnTreated:
    """An effect on the schools reached, over the range of their share; in the unit of the effect.

    `estimate_low`, `estimate_high`: the estimate over the range of shares. `low`, `high`: over the interval as well;
    None where there is no interval. `mde_low`, `mde_high`: the detectable effect on the schools reached.
    """

    share_low: float
    share_high: float
    estimate_low: float
    estimate_high: float
    low: float | None
    high: float | None
    mde_low: float | None
    mde_high: float | None


def effect_on_treated(
    estimate: float,
    share_low: float,
    share_high: float,
    *,
    low: float | None = None,
    high: float | None = None,
    mde: float | None = None,
    lowest: float | None = None,
    highest: float | None = None,
) -> EffectOnTreated:
    """Effect on the pupils of the schools reached: that on all of them over the share that they make.

    Assumes that the programme changed nothing in the other schools: the Wald estimator with one-sided non-compliance
    (Bloom 1984; Angrist, Imbens and Rubin 1996, theorem 1).

    Parameters
    ----------
    estimate, low, high, mde : effect on the whole territory, its interval and its minimum detectable value.
    share_low, share_high : range of the share of pupils in the schools reached, 0 excluded to 1.
    lowest, highest : what the outcome allows (a success rate of 80 % can rise by 20 points at most); the bounds of the
        interval are cut there.

    Raises DesignError on shares outside 0-1 or in the wrong order, and on one end of an interval without the other.
    """
    if not 0 < share_low <= share_high <= 1:
        raise DesignError(
            f"the share of schools reached runs from {share_low} to {share_high}",
            why="a share is more than 0 and at most 1, and the low end comes first",
        )
    if (low is None) != (high is None):
        raise DesignError("one end of the interval is missing", remedy="give both ends, or none")
    estimates = sorted((estimate / share_low, estimate / share_high))
    ends = (None, None)
    if low is not None:
        ends = (min(low / share_low, low / share_high), max(high / share_low, high / share_high))
        ends = (
            max(ends[0], -float("inf") if lowest is None else lowest),
            min(ends[1], float("inf") if highest is None else highest),
        )
    return EffectOnTreated(
        share_low,
        share_high,
        *estimates,
        *ends,
        None if mde is None else mde / share_high,
        None if mde is None else mde / share_low,
    )
