"""Equity of what was given: between people of unlike need, between equals, and who was left out."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from tne_eval.errors import DesignError
from tne_eval.indicators.allocated import allocated_rows, complete, people_above_zero, truth_values
from tne_eval.indicators.arrays import mid_rank
from tne_eval.indicators.decompose import decompose_entropy
from tne_eval.indicators.groups import group_codes
from tne_eval.indicators.inequality import gradient, relative_index_of_inequality
from tne_eval.indicators.quantiles import quantile
from tne_eval.results import frame_html

# Classes of need, of equal numbers of people, inside which rows are taken as equals.
CLASSES = 20


@dataclass(frozen=True, slots=True, eq=False)
class Equity:
    """What `equity` gives.

    Attributes
    ----------
    slope : amount per person, from least to greatest need (slope index of inequality): above zero, vertical equity.
    progressivity : slope over the mean amount per person (relative index of inequality).
    spread : standard deviation of the amount per person around the mean of its equals: 0 where equals get the same.
    total, between, within : Theil's T of the amount per person, between classes of equals and inside them.
    frame : one row per class of equals: class (1 has the least need), group, rows, people, need_low, need_high, mean
        (amount per person), index (Theil's T inside the class).
    """

    slope: float
    progressivity: float
    spread: float
    total: float
    between: float
    within: float
    frame: pd.DataFrame = field(repr=False)

    @property
    def within_percent(self) -> float:
        """Inequality among equals, in percent of the total; 0 where the total is 0."""
        return 100 * self.within / self.total if self.total > 0 else 0.0

    def to_frame(self) -> pd.DataFrame:
        """The classes."""
        return self.frame.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


@dataclass(frozen=True, slots=True, eq=False)
class LeftOut:
    """What `left_out` gives: rows of need above the median that got nothing.

    Attributes
    ----------
    mask : (n,) bool. median : the need that half of the people do not exceed.
    rows, people : how many are left out. rows_share, people_share : as a share (0-1) of those above the median.
    frame : one row per area: area, above (rows above the median), left_out, people_above, people_left_out and share
        (left out over above, rows; None where the area has none above).
    """

    mask: np.ndarray = field(repr=False)
    median: float
    rows: int
    people: float
    rows_share: float
    people_share: float
    frame: pd.DataFrame = field(repr=False)

    def to_frame(self) -> pd.DataFrame:
        """The areas."""
        return self.frame.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


def equity(amount: ArrayLike, need: ArrayLike, people: ArrayLike, group: ArrayLike | None = None) -> Equity:
    """Whether a greater need gets more (vertical equity), and whether equals get the same (horizontal equity).

    Parameters
    ----------
    amount, need, people : (n,) as in `targeting`.
    group : (n,) labels (rural or not, sector), or None. Equals are rows of the same class of need, one of twenty of
        equal numbers of people, and of the same group.

    Raises DesignError as `targeting` does, and where all rows are equals.
    Source: Mackenbach and Kunst (1997) for the slope on the rank; Shorrocks (1984) for the decomposition.
    """
    amount, need, people = allocated_rows(amount, need, people)
    per_person = amount / people
    rank = mid_rank(need, people)
    slope = gradient(per_person, rank, people).slope
    band = np.minimum((rank * CLASSES).astype(int), CLASSES - 1) + 1
    labels, code = (pd.Index([None]), np.zeros(len(amount), dtype=int)) if group is None else group_codes(group)
    if len(code) != len(amount):
        raise DesignError(f"group has shape {code.shape}", why=f"one label for each of {len(amount)} rows is needed")
    parts = decompose_entropy(per_person, band * len(labels) + code, 1, people)
    rows = pd.DataFrame({"band": band, "code": code, "need": need, "people": people, "amount": amount})
    cells = rows.groupby(["band", "code"])
    frame = cells.agg(
        rows=("need", "size"), people=("people", "sum"), need_low=("need", "min"), need_high=("need", "max")
    )
    frame["mean"] = cells["amount"].sum() / frame["people"]
    frame["index"] = parts.frame["index"].to_numpy()
    own = cells["amount"].transform("sum") / cells["people"].transform("sum")
    frame = frame.reset_index().rename(columns={"band": "class", "code": "group"})
    frame["group"] = labels.to_numpy(dtype=object)[frame["group"]]
    return Equity(
        slope=slope,
        progressivity=relative_index_of_inequality(per_person, need, people),
        spread=float(np.sqrt(np.average((per_person - own.to_numpy()) ** 2, weights=people))),
        total=parts.total,
        between=parts.between,
        within=parts.within,
        frame=frame,
    )


def left_out(need: ArrayLike, granted: ArrayLike, people: ArrayLike, area: ArrayLike | None = None) -> LeftOut:
    """Rows (schools) of need above the median of the people that got nothing.

    Parameters
    ----------
    need : (n,), higher for a greater need; granted : (n,) bool; people : (n,), above zero; area : (n,) labels, or None
        for one area, "all".

    Above means strictly. Raises DesignError on missing values (counted), people not above zero, `granted` that is not
    bool, and where no row is above the median.
    """
    granted = truth_values(granted, "granted")
    need, people = complete(need=need, people=people)
    people_above_zero(people)
    if len(granted) != len(need):
        raise DesignError(f"granted has {len(granted)} values", why=f"one for each of {len(need)} rows is needed")
    labels, code = group_codes(np.full(len(need), "all") if area is None else area, "area")
    if len(code) != len(need):
        raise DesignError(f"area has {len(code)} labels", why=f"one for each of {len(need)} rows is needed")
    median = quantile(need, 0.5, people)
    above = need > median
    if not above.any():
        raise DesignError("no row has a need above the median", why=f"half of the people or more share {median:g}")
    mask = above & ~granted
    counts = {
        "above": np.bincount(code, above, len(labels)).astype(int),
        "left_out": np.bincount(code, mask, len(labels)).astype(int),
        "people_above": np.bincount(code, above * people, len(labels)),
        "people_left_out": np.bincount(code, mask * people, len(labels)),
    }
    frame = pd.DataFrame({"area": labels, **counts})
    pairs = zip(frame["left_out"], frame["above"], strict=True)
    frame["share"] = pd.Series([out / all_of if all_of else None for out, all_of in pairs], dtype=object)
    people_out = float(people[mask].sum())
    return LeftOut(
        mask=mask,
        median=median,
        rows=int(mask.sum()),
        people=people_out,
        rows_share=float(mask.sum() / above.sum()),
        people_share=people_out / float(people[above].sum()),
        frame=frame,
    )
