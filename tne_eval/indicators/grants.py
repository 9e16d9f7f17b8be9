"""Grants that pay a part of a spending: rates, leverage, costs per unit and ceilings, over conventions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.allocated import complete
from tne_eval.indicators.groups import group_codes, numbers
from tne_eval.indicators.inequality import finite_number
from tne_eval.results import frame_html

EDGES = (0.0, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, np.inf)


@dataclass(frozen=True, slots=True, eq=False)
class Leverage:
    """What `leverage` gives.

    Attributes
    ----------
    overall : spending per euro of grant, the grant included; own : what others than the grantor paid per euro of grant,
        overall − 1.
    frame : one row per group: group, conventions, spending, grant, leverage.
    """

    overall: float
    own: float
    frame: pd.DataFrame = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """The groups."""
        return self.frame.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class Ceilings:
    """What `check_ceilings` gives.

    Attributes
    ----------
    above : (n,) bool, the rate is above the ceiling that the whole spending has. above_by_bracket : (n,) bool, the
        grant is above what the two rates give bracket by bracket, `rate_below` on spending up to the threshold and
        `rate_above` on the rest.
    frame : one row for the conventions below the threshold and one for those from it on: class, ceiling, conventions,
        above, above_by_bracket, highest_rate (None without conventions), excess (amount above the ceilings).
    """

    above: np.ndarray = field(repr=False)
    above_by_bracket: np.ndarray = field(repr=False)
    frame: pd.DataFrame = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """The two classes."""
        return self.frame.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


def rates_by_size(spending: ArrayLike, grant: ArrayLike, edges: Sequence[float] = EDGES) -> pd.DataFrame:
    """Rate of the grants by size of the spending.

    Parameters
    ----------
    spending, grant : (n,) one currency; spending above zero, grant zero or more. edges : rising, at least two; the
        classes hold low ≤ spending < high and together all the conventions.

    Returns
    -------
    One row per class: low, high, conventions, spending, grant, rate (Σ grant / Σ spending, 0-1) and median_rate (of the
    conventions). Both rates are None in a class without conventions.

    Raises DesignError on missing values (counted), signs, edges that do not rise, and spending outside them.
    """
    spending, grant = _checked(spending, grant)
    edges = numbers(edges, "edges")
    if edges.ndim != 1 or len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise DesignError("the edges do not rise", where=f"edges {edges.tolist()}", remedy="give two or more, rising")
    place = np.searchsorted(edges, spending, side="right") - 1
    if (out := (place < 0) | (place >= len(edges) - 1)).any():
        raise DesignError(f"{out.sum()} of {len(out)} conventions lie outside the edges", remedy="widen the edges")
    classes = len(edges) - 1
    sums = [np.bincount(place, amount, classes) for amount in (spending, grant)]
    count = np.bincount(place, minlength=classes)
    median = pd.Series(grant / spending).groupby(place).median().reindex(range(classes))
    frame = pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "conventions": count, "spending": sums[0], "grant": sums[1]}
    )
    frame["rate"] = np.divide(sums[1], sums[0], out=np.full(classes, np.nan), where=count > 0)
    return _with_none(frame.assign(median_rate=median.to_numpy()), "rate", "median_rate")


def leverage(spending: ArrayLike, grant: ArrayLike, group: ArrayLike | None = None) -> Leverage:
    """Spending per euro of grant, overall and by group: Σ spending / Σ grant.

    Parameters
    ----------
    spending, grant : (n,) as in `rates_by_size`; group : (n,) labels (département, region), or None for one, "all".

    An accounting ratio, no effect: nothing says what would have been spent without the grant.

    Raises DesignError on missing values (counted), signs, and groups whose grants are all zero (named).
    """
    spending, grant = _checked(spending, grant)
    labels, code = group_codes(np.full(len(grant), "all") if group is None else group)
    if len(code) != len(grant):
        raise DesignError(f"group has {len(code)} labels", why=f"one for each of {len(grant)} rows is needed")
    spent, granted = (np.bincount(code, amount, len(labels)) for amount in (spending, grant))
    if (granted == 0).any():
        raise DesignError(
            f"groups without any grant: {', '.join(map(str, labels[granted == 0][:10]))}",
            why="spending per euro of grant is not defined there",
            remedy="leave them out and say so",
        )
    frame = pd.DataFrame(
        {"group": labels, "conventions": np.bincount(code, minlength=len(labels)), "spending": spent, "grant": granted}
    ).assign(leverage=spent / granted)
    overall = float(spending.sum() / grant.sum())
    return Leverage(overall, overall - 1, frame)


def unit_costs(
    grant: ArrayLike, spending: ArrayLike, classes: ArrayLike, pupils: ArrayLike, schools: ArrayLike
) -> pd.DataFrame:
    """Grant and spending per class, pupil and school, bounded where an amount cannot be tied to units.

    Parameters
    ----------
    grant, spending : (n,) zero or more, NaN where units (a school) have no known amount.
    classes, pupils, schools : (n,) zero or more, NaN where an amount (a convention) has no known units.

    Returns
    -------
    One row per amount and unit: amount, unit, units (all that are known), tied_amount, total_amount, tied_share (0-1),
    low = tied amount / units, none of what cannot be tied going to them; high = total amount / units, all of it going
    to them; tied = tied amount / units of the same rows (None where nothing is tied). low ≤ the amount that these units
    got, per unit, ≤ high. The three are the same where every amount has its units and every unit its amount.

    An amount is tied where its row gives units above zero. Raises DesignError on shapes, negative or infinite values,
    an amount or a unit that no row gives.
    """
    amounts = {"grant": grant, "spending": spending}
    units = {"class": classes, "pupil": pupils, "school": schools}
    columns = {name: numbers(column, name) for name, column in {**amounts, **units}.items()}
    shapes = {array.shape for array in columns.values()}
    if len(shapes) > 1 or len(next(iter(shapes))) != 1:
        raise DesignError("columns differ in shape", why=f"found {sorted(shapes)}; one value per row is needed")
    if wrong := [name for name, array in columns.items() if (array < 0).any() or np.isinf(array).any()]:
        raise DesignError(f"negative or infinite values in {', '.join(wrong)}", remedy="give NaN where unknown")
    if absent := [name for name, array in columns.items() if not np.nansum(array) > 0]:
        raise DesignError(f"no value above zero in {', '.join(absent)}", why="a cost per unit needs both")
    rows = [
        {"amount": amount, "unit": unit, **_cost(columns[amount], columns[unit])}
        for amount in amounts
        for unit in units
    ]
    return _with_none(pd.DataFrame(rows), "tied")


def check_ceilings(
    spending: ArrayLike,
    grant: ArrayLike,
    threshold: float = 200_000.0,
    rate_below: float = 0.70,
    rate_above: float = 0.50,
    tolerance: float = 0.005,
) -> Ceilings:
    """Conventions whose grant is above the stated ceiling, under both readings of it.

    Parameters
    ----------
    spending, grant : (n,) as in `rates_by_size`. threshold : spending from which the rate is `rate_above`, else
        `rate_below` (0-1). tolerance : points of rate (0-1) above a ceiling that are taken for rounding.

    The reference text of the call was not found: the ceiling may bear on the whole spending, or bracket by bracket.

    Raises DesignError on missing values (counted), signs, and parameters out of range.
    """
    spending, grant = _checked(spending, grant)
    values = {"threshold": threshold, "rate_below": rate_below, "rate_above": rate_above, "tolerance": tolerance}
    threshold, rate_below, rate_above, tolerance = (finite_number(name, one) for name, one in values.items())
    if threshold <= 0 or not all(0 <= rate <= 1 for rate in (rate_below, rate_above, tolerance)):
        raise DesignError(f"parameters out of range: {values}", why="rates lie in 0-1, the threshold above zero")
    large = spending >= threshold
    ceiling = np.where(large, rate_above, rate_below)
    bracket = rate_below * np.minimum(spending, threshold) + rate_above * np.maximum(spending - threshold, 0)
    rate = grant / spending
    # Rates are quotients: a tie with the ceiling is a tie to within rounding.
    slack = tolerance + 1e-12
    above, by_bracket = rate > ceiling + slack, rate > bracket / spending + slack
    excess = np.where(above, grant - ceiling * spending, 0.0)
    rows = [
        {
            "class": name,
            "ceiling": limit,
            "conventions": int(one.sum()),
            "above": int(above[one].sum()),
            "above_by_bracket": int(by_bracket[one].sum()),
            "highest_rate": float(rate[one].max()) if one.any() else None,
            "excess": float(excess[one].sum()),
        }
        for name, limit, one in (("below", rate_below, ~large), ("from", rate_above, large))
    ]
    return Ceilings(above, by_bracket, _with_none(pd.DataFrame(rows), "highest_rate"))


def _checked(spending: ArrayLike, grant: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    spending, grant = complete(spending=spending, grant=grant)
    if (spending <= 0).any() or (grant < 0).any():
        raise DesignError(
            f"{(spending <= 0).sum()} conventions spend nothing and {(grant < 0).sum()} grants are below zero",
            why="a rate of grant needs spending above zero and a grant of zero or more",
            remedy="leave these rows out and say how many",
        )
    return spending, grant


def _cost(money: np.ndarray, count: np.ndarray) -> dict[str, float | None]:
    """Bounds of an amount per unit; both columns hold NaN where unknown."""
    count = np.nan_to_num(count)
    tied = np.isfinite(money) & (count > 0)
    held, total, known, own = (
        float(one) for one in (money[tied].sum(), np.nansum(money), count.sum(), count[tied].sum())
    )
    return {
        "units": known,
        "tied_amount": held,
        "total_amount": total,
        "tied_share": held / total,
        "low": held / known,
        "high": total / known,
        "tied": held / own if own else None,
    }


def _with_none(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    """Not defined is None, not NaN, which would be taken for a missing number."""
    for name in names:
        column = frame[name].astype(object)
        frame[name] = column.where(column.notna(), None)
    return frame
