"""Formulas: panel rows → one value per unit and period.

Each formula takes an index of the panel, the inputs of a catalogue entry and the levels wanted, and gives one `Values`
for each level. Units are the départements, then their académie and France where the formula can be aggregated. Where
every variable of a formula has rows of schools, these are used (microdata); else those of groups of schools.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from tne_eval.catalog import disclosure_rule
from tne_eval.errors import DesignError, MissingDataError
from tne_eval.indicators import segments
from tne_eval.indicators.panel_index import HIDDEN, MISSING, OBSERVED, PanelIndex, Rows, areas
from tne_eval.indicators.segments import Segments, sort_segments
from tne_eval.sources.panel import STATUSES


class Values(NamedTuple):
    """Values of one level: `unit` labels (u,), and (u, p) arrays over the periods of the index.

    `seen`: which cells exist, with a value or without; `status`: places in `STATUSES`, None where the value itself
    says whether it is observed or missing.
    """

    unit_type: str
    unit: Sequence[str]
    value: np.ndarray
    n: np.ndarray
    seen: np.ndarray
    status: np.ndarray | None = None

    def only(self, unit: str) -> Values:
        """The values of one unit; none where it is not among them."""
        own = np.array([label == unit for label in self.unit], dtype=bool)
        status = None if self.status is None else self.status[own]
        return Values(self.unit_type, [unit] * own.sum(), self.value[own], self.n[own], self.seen[own], status)

    def to_table(self, periods: np.ndarray) -> pd.DataFrame:
        """Units in rows, periods in columns: those that are seen."""
        units, columns = self.seen.any(axis=1), self.seen.any(axis=0)
        return pd.DataFrame(
            np.where(self.seen, self.value, np.nan)[np.ix_(units, columns)],
            index=pd.Index(np.array(self.unit, dtype=object)[units], name="unit", dtype=str),
            columns=pd.Index(periods[columns], name="period"),
        )

    def to_columns(self, periods: np.ndarray) -> dict[str, np.ndarray]:
        """One entry per cell seen: `unit_type, unit, period, value, n, status`, sorted."""
        unit, period = np.nonzero(self.seen)
        value = self.value[unit, period]
        status = np.full(len(value), OBSERVED) if self.status is None else self.status[unit, period]
        status = np.where(np.isnan(value) & (status == OBSERVED), MISSING, status)
        return {
            "unit_type": np.full(len(value), self.unit_type, dtype=object),
            "unit": np.array(self.unit, dtype=object)[unit],
            "period": periods[period],
            "value": value,
            "n": self.n[unit, period],
            "status": np.array(STATUSES, dtype=object)[status],
        }


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula of the catalogue and the laws that it keeps, on which every entry that names it is tested.

    Attributes
    ----------
    function : (index, inputs, levels) → list of `Values`.
    scaled : the inputs whose variables carry the value. With all of them multiplied by c > 0 the result is the same
        (scale "invariant") or multiplied by c ("equivariant").
    weighted : rows carry weights: a weight of k is k copies, and a population written twice gives the same.
    transfer : what a transfer from a row of high rank to one of low rank, of the same weight, does to the result:
        "lowers" it, "never raises" it, or "none" where the principle has no sense.
    place_bound : the result depends on which département it is (dates of the programme): no relabelling.
    """

    function: Callable[[PanelIndex, Mapping, Sequence[str]], list[Values]]
    scale: str
    scaled: tuple[str, ...]
    weighted: bool = False
    transfer: str = "none"
    place_bound: bool = False


def select(panel: pd.DataFrame, variable: str, where: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Rows of one variable, in the groups that hold every `where` pair."""
    rows = panel[(panel["variable"] == variable).to_numpy()]
    if rows.empty:
        raise MissingDataError(
            f"the panel holds no {variable!r}",
            remedy="load the shipped panel, or build the table that holds it",
        )
    if where:
        wanted = {f"{name}={value}" for name, value in where.items()}
        held = {group: wanted <= set(str(group).split(";")) for group in rows["group"].unique()}
        rows = rows[rows["group"].map(held).astype(bool).to_numpy()]
    return rows


def from_frame(index: PanelIndex, frame: pd.DataFrame) -> Values:
    """Rows `unit, period, value, n` of départements as a table."""
    unit = frame["unit"].map({code: place for place, code in enumerate(areas("departement").labels)}).to_numpy()
    period = np.searchsorted(index.periods, frame["period"].to_numpy())
    columns = (frame[name].to_numpy(dtype=float) for name in ("value", "n"))
    return _placed(index, "departement", unit, period, *columns, np.ones(len(frame), dtype=bool))


# Published values


def level(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """A published value as it stands, with the académie and France rows that the producer publishes."""
    index.places(inputs["variable"])
    return [_published(index, inputs["variable"], unit_type) for unit_type in levels]


def level_and_median(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """A published value; the median of the départements stands for France."""
    own = _published(index, inputs["variable"], "departement", must=True)
    found = [own] if "departement" in levels else []
    if "france" in levels:
        median, seen = _medians(own)[None, :], own.seen.any(axis=0)[None, :]
        found.append(Values("france", ["Médiane des départements"], median, np.full_like(median, np.nan), seen))
    return found


def lead_over_median(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """A published value less the median of the départements of the same period."""
    own = _published(index, inputs["variable"], "departement", must=True)
    return [own._replace(value=own.value - _medians(own))] if "departement" in levels else []


def level_difference(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """A published value less another one of the same unit and period."""
    return [first._replace(value=first.value - second.value) for first, second in _pairs(index, inputs, levels)]


def level_share(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """100 × a published value over another one of the same unit and period; none where that one is zero."""
    return [
        first._replace(value=100 * first.value / np.where(second.value > 0, second.value, np.nan))
        for first, second in _pairs(index, inputs, levels)
    ]


def _pairs(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[tuple[Values, Values]]:
    pairs = []
    for name in (inputs["first"], inputs["second"]):
        index.places(name)
    for unit_type in levels:
        first, second = (_published(index, inputs[name], unit_type) for name in ("first", "second"))
        # A unit that one of the two lacks is a cell without a value.
        unit = sorted({*first.unit, *second.unit})
        first, second = (_spread(part, unit) for part in (first, second))
        pairs.append((first._replace(seen=first.seen | second.seen, status=None), second))
    return pairs


def _spread(values: Values, unit: list[str]) -> Values:
    place = [unit.index(name) for name in values.unit]
    columns = []
    for array, empty in ((values.value, np.nan), (values.n, np.nan), (values.seen, False)):
        wide = np.full((len(unit), array.shape[1]), empty)
        wide[place] = array
        columns.append(wide)
    return Values(values.unit_type, unit, *columns)


def _published(index: PanelIndex, variable: str, unit_type: str, *, must: bool = False) -> Values:
    rows, labels = index.published(variable, unit_type)
    if must and not labels:
        raise MissingDataError(f"the panel holds {variable!r} for no département")
    shape = (len(labels), len(index.periods))
    cell = rows.departement * shape[1] + rows.period
    if len(cell) and np.bincount(cell).max() > 1:
        raise DesignError(
            f"{variable!r} has several rows for one unit and period", why="one published value is expected"
        )
    value, n = np.full(shape, np.nan), np.full(shape, np.nan)
    seen, status = np.zeros(shape, dtype=bool), np.full(shape, OBSERVED)
    for array, column in ((value, rows.value), (n, rows.n), (seen, True), (status, rows.status)):
        array.flat[cell] = column
    return Values(unit_type, labels, value, n, seen, status)


def _medians(values: Values) -> np.ndarray:
    """(p,) median over the units of each period; NaN where none is known."""
    median = np.full(values.value.shape[1], np.nan)
    known = np.isfinite(values.value).any(axis=0)
    median[known] = np.nanmedian(values.value[:, known], axis=0)
    return median


# Ratios of sums


def ratio_percent(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """100 × Σ numerator / Σ denominator; `n` is the denominator."""
    names = ("numerator", "denominator")
    sums = _totals(index, [(inputs[name], inputs.get("where")) for name in names])
    found = []
    for unit_type in levels:
        (top, bottom), seen, status = _summed(sums, unit_type)
        value = 100 * top / np.where(bottom > 0, bottom, np.nan)
        found.append(Values(unit_type, areas(unit_type).labels, value, bottom, seen, status))
    return found


def ratio_gap(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Ratio of group `first` less that of group `second`, in points; `n` is the sum of the denominators."""
    sums = _totals(
        index,
        [
            (inputs[side][name], inputs[side].get("where"))
            for side in ("first", "second")
            for name in ("numerator", "denominator")
        ],
    )
    found = []
    for unit_type in levels:
        parts, seen, status = _summed(sums, unit_type)
        bottoms = [np.where(part > 0, part, np.nan) for part in parts[1::2]]
        value = 100 * (parts[0] / bottoms[0] - parts[2] / bottoms[1])
        found.append(Values(unit_type, areas(unit_type).labels, value, parts[1] + parts[3], seen, status))
    return found


class _Totals(NamedTuple):
    """(parts, départements, periods) sums, NaN where one row is unknown; cells seen; status of unknown ones."""

    parts: np.ndarray
    seen: np.ndarray
    status: np.ndarray


def _totals(index: PanelIndex, wanted: list[tuple[str | list[str], Mapping | None]]) -> _Totals:
    """Sums of signed variables (`-name` is taken off) by département and period."""
    signed = [([names] if isinstance(names, str) else names, where) for names, where in wanted]
    schools = index.by_schools(name.removeprefix("-") for names, _ in signed for name in names)
    shape = (len(areas("departement").labels), len(index.periods))
    parts = np.zeros((len(signed), *shape))
    seen, status = np.zeros(shape, dtype=bool), np.full(shape, OBSERVED)
    for part, (names, where) in zip(parts, signed, strict=True):
        for name in names:
            rows = index.rows(name.removeprefix("-"), schools=schools, where=where)
            cell = rows.departement * shape[1] + rows.period
            total = np.bincount(cell, weights=rows.value, minlength=part.size).reshape(shape)
            held = np.bincount(cell, minlength=part.size).reshape(shape) > 0
            seen |= held
            part += np.where(held, -total if name.startswith("-") else total, np.nan)
            unknown = np.isnan(rows.value)
            status.flat[cell[unknown]] = rows.status[unknown]
    return _Totals(parts, seen, status)


def _summed(sums: _Totals, unit_type: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Parts summed for each unit of a level, cells seen, status.

    A département with an unknown part gives no value; an aggregate leaves it out, and gives none when more than one
    département in twenty is left out.
    """
    complete = np.isfinite(sums.parts).all(axis=0)
    labels, place = areas(unit_type)
    member = np.zeros((len(labels), len(place)))
    member[place, np.arange(len(place))] = 1.0
    size, known = member @ sums.seen, member @ complete
    parts = member @ np.where(complete, sums.parts, 0.0)
    enough = (known > 0) & (known >= 0.95 * size)
    return np.where(enough, parts, np.nan), size > 0, sums.status if unit_type == "departement" else None


# Groups of schools, or schools


class _Schools(NamedTuple):
    """Rows that have a value in every input of a formula, matched by unit, period and group; (n,) each.

    `schools` is how many schools a row stands for: one, where rows are schools (`micro`).
    """

    departement: np.ndarray
    period: np.ndarray
    group: np.ndarray
    columns: dict[str, np.ndarray]
    schools: np.ndarray
    micro: bool

    def keep(self, rows: np.ndarray) -> _Schools:
        return _Schools(
            self.departement[rows],
            self.period[rows],
            self.group[rows],
            {role: column[rows] for role, column in self.columns.items()},
            self.schools[rows],
            self.micro,
        )


class _Cells(NamedTuple):
    """Segments, with the unit, the period and the number of schools of each (k,)."""

    rows: Segments | None
    unit: np.ndarray
    period: np.ndarray
    schools: np.ndarray
    micro: bool


def _by_groups(
    index: PanelIndex,
    inputs: Mapping,
    levels: Sequence[str],
    statistic: Callable[[Segments], np.ndarray],
    share: float = 1.0,
) -> list[Values]:
    """`statistic` of each unit and period with two rows at least, on two positions at least where there is one.

    Académies and France take the rows of all their départements. The weight `schools` is the number of schools of the
    row; `n` is their sum. Nothing is shown of fewer schools than the disclosure rule says; `share` is the part of the
    schools that the smallest group of the statistic holds.
    """
    found = []
    for unit_type in levels:
        key = ("cells", unit_type, *(str(inputs.get(role)) for role in ("value", "position", "weight")))
        cells = index.once(key, lambda unit_type=unit_type: _cells(index, inputs, unit_type))
        shown = (not cells.micro) | (share * cells.schools >= disclosure_rule()["min_schools"])
        value = np.full(len(cells.unit), np.nan)
        if shown.any():
            value[shown] = statistic(cells.rows.keep(shown))
        found.append(_placed(index, unit_type, cells.unit, cells.period, value, cells.schools, shown))
    return found


def _placed(
    index: PanelIndex,
    unit_type: str,
    unit: np.ndarray,
    period: np.ndarray,
    value: np.ndarray,
    n: np.ndarray,
    shown: np.ndarray,
) -> Values:
    """(k,) values of cells as a table of units by periods; those not shown are hidden."""
    labels = areas(unit_type).labels
    shape = (len(labels), len(index.periods))
    table, count = np.full(shape, np.nan), np.full(shape, np.nan)
    seen, status = np.zeros(shape, dtype=bool), np.full(shape, OBSERVED)
    table[unit, period], count[unit, period], seen[unit, period] = value, n, True
    status[unit[~shown], period[~shown]] = HIDDEN
    return Values(unit_type, labels, table, count, seen, status)


def _cells(index: PanelIndex, inputs: Mapping, unit_type: str) -> _Cells:
    schools = _matched(index, inputs)
    cell = areas(unit_type).of_departement[schools.departement] * len(index.periods) + schools.period
    enough = np.bincount(cell, minlength=1) >= 2
    held, code = np.flatnonzero(enough), (np.cumsum(enough) - 1)[cell]
    columns = [schools.columns[role] for role in ("value", "weight", "position") if role in schools.columns]
    number = schools.schools
    if not enough[cell].all():
        kept = enough[cell]
        code, number, columns = code[kept], number[kept], [column[kept] for column in columns]
    number = np.bincount(code, weights=number, minlength=len(held))
    rows = sort_segments(code, *columns) if len(held) else None
    if rows is not None and "position" in schools.columns:
        vary = rows.ranks_vary
        rows, held, number = rows.keep(vary), held[vary], number[vary]
    return _Cells(rows, *np.divmod(held, len(index.periods)), number, schools.micro)


def _matched(index: PanelIndex, inputs: Mapping) -> _Schools:
    names = {role: inputs[role] for role in ("value", "position", "weight") if inputs.get(role, "schools") != "schools"}

    def match() -> _Schools:
        micro = index.by_schools(names.values())
        rows = {role: index.rows(name, schools=micro) for role, name in names.items()}
        first = rows["value"]
        size = np.ones(len(first.value)) if micro else first.n
        columns = {"weight": size} | {role: _aligned(index, own, first) for role, own in rows.items()}
        known = ~np.isnan(sum(columns.values()) + size) & (columns["weight"] != 0)
        matched = _Schools(first.departement, first.period, first.group, columns, size, micro)
        return matched if known.all() else matched.keep(known)

    return index.once(("matched", *names.items()), match)


def _aligned(index: PanelIndex, rows: Rows, first: Rows) -> np.ndarray:
    """Values of `rows` for the units, periods and groups of `first`; NaN where there is none."""
    if all(np.array_equal(getattr(rows, name), getattr(first, name)) for name in ("unit", "period", "group")):
        return rows.value
    place = pd.Index(index.key(rows)).get_indexer(index.key(first))
    return np.where(place >= 0, rows.value[place], np.nan)


def gini_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Gini between groups of schools (a floor for the Gini between schools), or between schools."""
    return _by_groups(index, inputs, levels, segments.gini)


def entropy_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Generalised entropy of order `alpha` (1: Theil) between groups of schools, or between schools."""
    return _by_groups(index, inputs, levels, lambda rows: segments.generalized_entropy(rows, inputs["alpha"]))


def deviation_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Standard deviation between groups of schools (root of the variance between them), or between schools."""
    return _by_groups(index, inputs, levels, lambda rows: np.sqrt(segments.variance(rows)))


def share_ratio_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Mean of the highest `share` of the weight over that of the lowest; a group on an edge counts in part."""
    share = inputs["share"]
    return _by_groups(index, inputs, levels, lambda rows: segments.tail_ratio(rows, share), share)


def quartile_gap_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Mean of the quarter of highest position (or value, where there is no position) less that of the lowest."""
    return _by_groups(index, inputs, levels, segments.tail_gap, 0.25)


def concentration_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Concentration index of results over (groups of) schools ranked by social position."""
    return _by_groups(index, inputs, levels, segments.concentration_index)


def erreygers_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """The same with Erreygers' correction, for results between two `bounds`."""
    bounds = tuple(inputs["bounds"])
    return _by_groups(index, inputs, levels, lambda rows: segments.concentration_index(rows, "erreygers", bounds))


def gradient_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Slope of results on social position over (groups of) schools, for `per` units of position."""
    return _by_groups(index, inputs, levels, lambda rows: inputs.get("per", 1) * segments.gradient(rows)[0])


def gradient_strength_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """100 r²: the part of the variance of results between (groups of) schools that goes with social position."""
    return _by_groups(index, inputs, levels, lambda rows: 100 * segments.gradient(rows)[1])


def slope_index_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Slope index of inequality: fitted result at the top of the social ranking less that at the bottom."""
    return _by_groups(index, inputs, levels, segments.slope_index_of_inequality)


def relative_index_of_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """100 × the slope index of inequality over the mean result."""
    return _by_groups(index, inputs, levels, lambda rows: 100 * segments.relative_index_of_inequality(rows))


def gap_between_groups(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """Weighted mean of the (groups of) schools in group `first` less that of those in group `second`."""
    schools = _matched(index, inputs)
    first, second = (index.in_groups(inputs[side])[schools.group] for side in ("first", "second"))
    for side, held in (("first", first), ("second", second)):
        if not held.any():
            group = ";".join(f"{name}={label}" for name, label in inputs[side].items())
            raise MissingDataError(f"the panel holds {inputs['value']!r} for no group {group!r}")
    kept = first | second
    found = []
    for unit_type in levels:
        cell = areas(unit_type).of_departement[schools.departement] * len(index.periods) + schools.period
        size = len(areas(unit_type).labels) * len(index.periods)
        sides = [
            np.bincount(cell[kept & side], weights=schools.schools[kept & side], minlength=size)
            for side in (first, second)
        ]
        held = (sides[0] > 0) & (sides[1] > 0)
        rows = kept & held[cell]
        shown = (not schools.micro) | (np.minimum(*sides)[held] >= disclosure_rule()["min_schools"])
        value = np.full(held.sum(), np.nan)
        if len(value):
            columns = (schools.columns["value"][rows], schools.columns["weight"][rows])
            value = segments.group_gap((np.cumsum(held) - 1)[cell[rows]], first[rows], *columns)
            value[~shown] = np.nan
        unit, period = np.divmod(np.flatnonzero(held), len(index.periods))
        found.append(_placed(index, unit_type, unit, period, value, (sides[0] + sides[1])[held], shown))
    return found
