"""An indicator of the catalogue, on a panel, for one territory beside its académie and France, or for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from tne_eval.catalog import Indicator, get_indicator, get_territory
from tne_eval.catalog.entries import Example
from tne_eval.errors import MissingDataError, UnknownNameError
from tne_eval.indicators import formulas
from tne_eval.indicators.counters import counter
from tne_eval.indicators.examples import example_panel
from tne_eval.indicators.formulas import Formula, Values
from tne_eval.indicators.panel_index import LEVELS, PanelIndex, index_of
from tne_eval.results import IndicatorResult
from tne_eval.sources import academie_of, departement_name, list_departements


def _counter(index: PanelIndex, inputs: Mapping, levels: Sequence[str]) -> list[Values]:
    """The audit of the counters, which speaks of départements only."""
    rows = index.part(["tne_attendances", "tne_pupils_reached", "college_pupils"])
    return [formulas.from_frame(index, counter(rows, inputs))] if "departement" in levels else []


# The inputs that name variables; the others are groups, parameters and names of columns.
_ROLES = ("variable", "numerator", "denominator", "first", "second", "value", "position", "weight", "of")
_RATIO = ("numerator", "denominator", "first", "second")
# The formula table: what a catalogue entry may name, the function that computes it and the laws that it keeps.
FORMULAS = {
    "ratio_percent": Formula(formulas.ratio_percent, "invariant", _RATIO),
    "ratio_gap": Formula(formulas.ratio_gap, "invariant", _RATIO),
    "level": Formula(formulas.level, "equivariant", ("variable",)),
    "level_and_median": Formula(formulas.level_and_median, "equivariant", ("variable",)),
    "lead_over_median": Formula(formulas.lead_over_median, "equivariant", ("variable",)),
    "level_difference": Formula(formulas.level_difference, "equivariant", ("first", "second")),
    "level_share": Formula(formulas.level_share, "invariant", ("first", "second")),
    "gini_of_groups": Formula(formulas.gini_of_groups, "invariant", ("value",), True, "lowers"),
    "entropy_of_groups": Formula(formulas.entropy_of_groups, "invariant", ("value",), True, "lowers"),
    "deviation_of_groups": Formula(formulas.deviation_of_groups, "equivariant", ("value",), True, "lowers"),
    "share_ratio_of_groups": Formula(formulas.share_ratio_of_groups, "invariant", ("value",), True, "never raises"),
    "quartile_gap_of_groups": Formula(formulas.quartile_gap_of_groups, "equivariant", ("value",), True, "never raises"),
    "concentration_of_groups": Formula(formulas.concentration_of_groups, "invariant", ("value",), True, "lowers"),
    "erreygers_of_groups": Formula(formulas.erreygers_of_groups, "equivariant", ("value",), True, "lowers"),
    "gradient_of_groups": Formula(formulas.gradient_of_groups, "equivariant", ("value",), True, "lowers"),
    "gradient_strength_of_groups": Formula(formulas.gradient_strength_of_groups, "invariant", ("value",), True),
    "slope_index_of_groups": Formula(formulas.slope_index_of_groups, "equivariant", ("value",), True, "lowers"),
    "relative_index_of_groups": Formula(formulas.relative_index_of_groups, "invariant", ("value",), True, "lowers"),
    "gap_between_groups": Formula(formulas.gap_between_groups, "equivariant", ("value",), True),
    "counter": Formula(_counter, "invariant", ("of",), place_bound=True),
}


def indicator_table(indicator: str | Indicator, panel: pd.DataFrame | PanelIndex) -> pd.DataFrame:
    """Values of an indicator, départements in rows and periods in columns.

    Raises MissingDataError where the panel lacks an input; UnknownNameError on an unknown indicator.
    """
    return next(iter(indicator_tables([indicator], panel).values()))


def indicator_tables(
    indicators: Iterable[str | Indicator], panel: pd.DataFrame | PanelIndex
) -> dict[str, pd.DataFrame]:
    """`indicator_table` of several indicators, by id; the panel is read and its schools are sorted once for all."""
    index = index_of(panel)
    entries = [entry if isinstance(entry, Indicator) else get_indicator(entry) for entry in indicators]
    return {entry.id: _values(entry, index, LEVELS[:1])[0].to_table(index.periods) for entry in entries}


def compute_indicator(id: str, panel: pd.DataFrame | PanelIndex, territory: str | None = None) -> IndicatorResult:
    """Compute one indicator of the catalogue.

    Parameters
    ----------
    id : indicator id, see `tne-eval list indicators`.
    panel : the tidy panel of `load_panel`, or its index where many indicators are computed; it is not modified.
    territory : a territory id: its rows, with those of France and of its académie (unless it is alone there) where they
        can be had. None: every département.

    Returns
    -------
    IndicatorResult; `value` is the latest known value, `gap("france")` and `gap("academie")` the differences.

    Raises UnknownNameError, MissingDataError.
    """
    entry, index = get_indicator(id), index_of(panel)
    if territory is None:
        parts = _values(entry, index, LEVELS[:1])
    else:
        place = get_territory(territory)
        academie = academie_of(place.departement)
        alone = sum(academie_of(code) == academie for code in list_departements()) == 1
        kept = {"departement": place.departement, "academie": "" if alone else academie}
        parts = _values(entry, index, LEVELS)
        parts = [part.only(kept[part.unit_type]) if part.unit_type in kept else part for part in parts]
        parts = [part for part in parts if part.seen.any()]
        if not any(part.unit_type == "departement" for part in parts):
            raise MissingDataError(
                f"no figure of {id!r} for {place.name}",
                why="the source does not cover this département",
                remedy="see the table of missing data in the report",
            )
    rows = _rows(parts, index)
    rows.insert(2, "label", [_name(unit) for unit in rows["unit"]])
    rows.insert(3, "period_type", entry.period_type)
    rows["source"] = index.sources(variables_of(entry))
    return IndicatorResult(entry, territory, rows, entry.caveats)


def all_rows(indicator: Indicator, panel: pd.DataFrame | PanelIndex) -> pd.DataFrame:
    """Rows `unit_type, unit, period, value, n, status` of every département, académie and France."""
    index = index_of(panel)
    return _rows(_values(indicator, index, LEVELS), index)


def example_values(indicator: Indicator, example: Example) -> dict[str, float]:
    """What a worked example gives, by unit (code of a département, name of an académie, France)."""
    rows = all_rows(indicator, example_panel(indicator, example))
    return dict(zip(rows["unit"], rows["value"], strict=True))


def variables_of(indicator: Indicator, role: str | None = None) -> set[str]:
    """Names of the variables in the inputs of an indicator, or in one of them."""
    return _names(indicator.inputs if role is None else indicator.inputs[role])


def _rows(parts: Sequence[Values], index: PanelIndex) -> pd.DataFrame:
    columns = [part.to_columns(index.periods) for part in parts]
    return pd.DataFrame({name: np.concatenate([part[name] for part in columns]) for name in columns[0]})


def _values(entry: Indicator, index: PanelIndex, levels: Sequence[str]) -> list[Values]:
    if entry.formula not in FORMULAS:
        raise UnknownNameError(f"formula (in the indicator {entry.id!r})", entry.formula, FORMULAS)
    # Values depend on nothing else of the entry.
    key = ("values", entry.formula, repr(entry.inputs), tuple(levels))
    try:
        return index.once(key, lambda: FORMULAS[entry.formula].function(index, entry.inputs, levels))
    except MissingDataError as error:
        if not entry.needs:
            raise
        raise MissingDataError(
            f"the figures of {entry.id!r} are not in the panel",
            why=f"{error.what}; they are not shipped",
            remedy=f"run: tne-eval fetch {' '.join(entry.needs)}, then build the panel with them",
        ) from error


def _name(unit: str) -> str:
    try:
        return departement_name(unit)
    except KeyError:
        return unit


def _names(inputs: object) -> set[str]:
    if isinstance(inputs, str):
        return {inputs.removeprefix("-")}
    parts = inputs
    if isinstance(inputs, Mapping):
        parts = [part for role, part in inputs.items() if role in _ROLES and part != "schools"]
    return set().union(*(_names(part) for part in parts))
