"""Targeting of amounts (euros, devices, hours) on need: who gets them, and who would under a plain rule.

`need` grows with need: the caller gives −IPS, or the IFN. An index above zero means that people of greater need get
more (pro-need); below zero, that they get less.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from tne_eval.errors import DesignError
from tne_eval.indicators.allocated import allocated_rows, complete, need_varies, people_above_zero
from tne_eval.indicators.clusters import cluster_error
from tne_eval.indicators.groups import group_codes, label_codes
from tne_eval.indicators.inequality import (
    Curve,
    concentration_curve,
    concentration_index,
    finite_number,
    gini,
)
from tne_eval.indicators.influence import influence_concentration
from tne_eval.results import frame_html

# The people of greatest need whose share of the amount is given.
QUARTER = 0.25
# A share of a row, or of a total, below which a difference is rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Targeting:
    """What `targeting` gives.

    Attributes
    ----------
    curve : shares (0-1) of the people, from the greatest need down, and of the amount that they get.
    index : −1 to 1, above zero where people of greater need get more; error, df, low, high : its standard error, the
        degrees of freedom and the 95 % interval.
    largest : the index if the same amounts per person had gone in the order of need; `index` lies within ± `largest`.
    top_share : share (0-1) of the amount that goes to the quarter of the people of greatest need; top_benchmark : what
        they would get if each person got the same.
    mean : amount per person. n : rows; n_clusters : their clusters.
    """

    curve: Curve = field(repr=False)
    index: float
    error: float
    df: int
    low: float
    high: float
    largest: float
    top_share: float
    top_benchmark: float
    mean: float
    n: int
    n_clusters: int

    def to_frame(self) -> pd.DataFrame:
        """One row: all but the curve."""
        names = [name for name in self.__slots__ if name != "curve"]
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class PoorestFirst:
    """What `compare_with_poorest_first` gives, for the same total amount (the budget).

    Attributes
    ----------
    budget, displaced : total amount, and the part of it that the rule gives to other rows.
    overlap_amount : share (0-1) of the budget that both give to the same rows.
    overlap_granted, overlap_rule : rows that both fund, as a share of the rows that got an amount and of those that the
        rule funds; a row that the rule funds in part counts for that part.
    people_granted, people_rule : people in the rows that each funds. need_granted, need_rule : mean need over the
        amount. index_granted, index_rule : concentration index by need, as in `targeting`.
    cut : need of the last rows that the rule funds.
    rows : places of the rows that the rule funds, from the greatest need down.
    fraction, amount : (n,) share of each row that the rule funds (0-1; the same for rows of the same need), and the
        amount that it gives.
    """

    budget: float
    displaced: float
    overlap_amount: float
    overlap_granted: float
    overlap_rule: float
    people_granted: float
    people_rule: float
    need_granted: float
    need_rule: float
    index_granted: float
    index_rule: float
    cut: float
    rows: np.ndarray = field(repr=False)
    fraction: np.ndarray = field(repr=False)
    amount: np.ndarray = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row: all that is not an array."""
        names = [name for name in self.__slots__ if name not in ("rows", "fraction", "amount")]
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class TargetingBounds:
    """What `targeting_bounds` gives: ends of what the bounded amounts allow, both attained.

    Attributes
    ----------
    index_low, index_high : of the concentration index; top_low, top_high : of the share of the quarter of the people of
        greatest need. amount_low, amount_high : (n,) the amounts that give the low ends and the high ends.
    """

    index_low: float
    index_high: float
    top_low: float
    top_high: float
    amount_low: np.ndarray = field(repr=False)
    amount_high: np.ndarray = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per statistic: statistic, low, high."""
        return pd.DataFrame(
            {
                "statistic": ["index", "top_share"],
                "low": [self.index_low, self.top_low],
                "high": [self.index_high, self.top_high],
            }
        )

    def _repr_html_(self) -> str:
        return frame_html(self)


def targeting(amount: ArrayLike, need: ArrayLike, people: ArrayLike, *, cluster: ArrayLike | None = None) -> Targeting:
    """Concentration of an amount along need, people ranked from the greatest need down.

    Parameters
    ----------
    amount : (n,) zero or more, 0 for a row that got nothing; need : (n,), higher for a greater need; people : (n,),
        above zero. cluster : (n,) labels inside which amounts depend on each other (départements); None makes each row
        one.

    The index is that of the amount per person by need, weighted by people: 0 where it does not depend on need,
    **above zero where people of greater need get more**. It does not depend on the currency. Error by linearisation,
    ranks estimated; interval by Student's law with (clusters − 1) degrees of freedom.

    Raises DesignError on missing values (counted), negative amounts, people not above zero, a total of zero, need that
    does not vary, fewer than two clusters.
    Source: Wagstaff, Paci and van Doorslaer (1991); Deville (1999) for the error.
    """
    amount, need, people = allocated_rows(amount, need, people)
    per_person = amount / people
    index = concentration_index(per_person, need, people)
    size = len(amount)
    count = size if cluster is None else len(label_codes(cluster, "cluster", slice(None), size)[1])
    error = cluster_error(influence_concentration(per_person, need, people), people, cluster)
    reach = float(stats.t.ppf(0.975, count - 1)) * error
    curve = concentration_curve(per_person, -need, people)
    return Targeting(
        curve=curve,
        index=index,
        error=error,
        df=count - 1,
        low=index - reach,
        high=index + reach,
        largest=gini(per_person, people),
        top_share=_top_share(curve),
        top_benchmark=QUARTER,
        mean=float(amount.sum() / people.sum()),
        n=size,
        n_clusters=count,
    )


def compare_with_poorest_first(
    amount: ArrayLike, need: ArrayLike, people: ArrayLike, ceiling_per_person: float
) -> PoorestFirst:
    """The same total, given from the greatest need down at `ceiling_per_person`, until nothing is left.

    Parameters
    ----------
    amount, need, people : (n,) as in `targeting`; ceiling_per_person : amount per person of a funded row, above zero.

    Rows of the same need at the margin are funded in the same part. The rule knows neither who asked nor who could pay
    the rest: it is a benchmark, not what could have been done.

    Raises DesignError as `targeting` does, and where the ceiling is too low for the rule to spend the total.
    """
    amount, need, people = allocated_rows(amount, need, people)
    budget = float(amount.sum())
    fraction = _fund_in_order(need, people, budget, ceiling_per_person)
    given = fraction * people * float(ceiling_per_person)
    granted, both = amount > 0, float(np.minimum(amount, given).sum())
    order = np.argsort(-need, kind="stable")
    return PoorestFirst(
        budget=budget,
        displaced=budget - both,
        overlap_amount=both / budget,
        overlap_granted=float(fraction[granted].sum() / granted.sum()),
        overlap_rule=float(fraction[granted].sum() / fraction.sum()),
        people_granted=float(people[granted].sum()),
        people_rule=float(people @ fraction),
        need_granted=float(need @ amount / budget),
        need_rule=float(need @ given / given.sum()),
        index_granted=concentration_index(amount / people, need, people),
        index_rule=concentration_index(given / people, need, people),
        cut=float(need[fraction > 0].min()),
        rows=order[fraction[order] > 0],
        fraction=fraction,
        amount=given,
    )


def targeting_bounds(
    amount_low: ArrayLike,
    amount_high: ArrayLike,
    total: float | Mapping[object, float],
    need: ArrayLike,
    people: ArrayLike,
    group: ArrayLike | None = None,
) -> TargetingBounds:
    """All that the index and the share of the quarter of greatest need can be, where amounts are only bounded.

    Parameters
    ----------
    amount_low, amount_high : (n,) bounds of the amounts, zero or more, equal where the amount is known.
    total : what the amounts sum to; with `group`, a mapping from each label to what its rows sum to.
    need, people : (n,) as in `targeting`; group : (n,) labels of the rows that share a known amount (a convention).

    Both are linear in the amounts, with weights that grow with need: they are largest when what the lower bounds leave
    goes to the greatest need first, row by row up to the upper bound, and smallest in the reverse order (fractional
    knapsack, Dantzig 1957). Both ends are attained: no narrower bounds exist without knowing more.

    Raises DesignError as `targeting` does, on lower bounds above upper ones, and on a total that the bounds exclude.
    """
    low, high, need, people = complete(amount_low=amount_low, amount_high=amount_high, need=need, people=people)
    people_above_zero(people)
    need_varies(need)
    if (wrong := (low < 0) | (low > high)).any():
        raise DesignError(f"bounds of {wrong.sum()} rows are below zero or reversed", remedy="give 0 ≤ low ≤ high")
    code, left = _left_to_share(low, high, total, group)
    ends = []
    for order in (np.lexsort((need, code)), np.lexsort((-need, code))):
        slack = (high - low)[order]
        before = np.cumsum(slack) - slack
        first = np.r_[True, np.diff(code[order]) != 0]
        before -= before[first][np.cumsum(first) - 1]
        filled = low.copy()
        filled[order] += np.clip(left[code[order]] - before, 0, slack)
        ends.append(filled)
    index = [concentration_index(end / people, need, people) for end in ends]
    top = [_top_share(concentration_curve(end / people, -need, people)) for end in ends]
    return TargetingBounds(*index, *top, *ends)


def _top_share(curve: Curve) -> float:
    return float(np.interp(QUARTER, curve.population, curve.value))


def _fund_in_order(need: np.ndarray, people: np.ndarray, budget: float, ceiling: float) -> np.ndarray:
    """(n,) share of each row that the rule funds."""
    ceiling = finite_number("ceiling_per_person", ceiling)
    least = budget / people.sum()
    if not ceiling > 0 or ceiling < least * (1 - _ROUNDING):
        raise DesignError(
            f"the ceiling is {ceiling:g} per person",
            why=f"the total is {least:g} per person: the rule could not spend it",
            remedy="give a ceiling above that",
        )
    _, place = np.unique(-need, return_inverse=True)
    cost = ceiling * np.bincount(place, people)
    share = np.clip((budget - (np.cumsum(cost) - cost)) / cost, 0, 1)
    share[share < _ROUNDING] = 0.0
    return share[place]


def _left_to_share(
    low: np.ndarray, high: np.ndarray, total: float | Mapping[object, float], group: ArrayLike | None
) -> tuple[np.ndarray, np.ndarray]:
    """Codes of the groups, and what the lower bounds leave to each; DesignError naming the groups that cannot be."""
    if group is None:
        labels, code = pd.Index(["all"]), np.zeros(len(low), dtype=int)
        totals = complete(total=[total])[0]
    else:
        labels, code = group_codes(group)
        if len(code) != len(low) or not isinstance(total, Mapping) or (absent := [x for x in labels if x not in total]):
            raise DesignError(
                "the totals do not match the groups",
                why=f"no total for {', '.join(map(str, absent[:10]))}"
                if len(code) == len(low) and isinstance(total, Mapping)
                else "one label for each row, and a mapping from labels to totals, are needed",
            )
        totals = complete(total=[total[label] for label in labels])[0]
    least, most = np.bincount(code, low, len(labels)), np.bincount(code, high, len(labels))
    edge = _ROUNDING * np.maximum(most, np.abs(totals))
    if (wrong := (totals < least - edge) | (totals > most + edge)).any():
        found = [f"{labels[i]}: {totals[i]:g}, not in {least[i]:g} to {most[i]:g}" for i in np.flatnonzero(wrong)[:10]]
        raise DesignError(f"{wrong.sum()} totals lie outside their bounds", why="; ".join(found))
    return code, np.clip(totals - least, 0, most - least)
