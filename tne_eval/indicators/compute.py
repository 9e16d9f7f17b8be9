"""An indicator of the catalogue, on a panel, for one territory beside its académie and France, or for all."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import Indicator, get_indicator, get_territory
from tne_eval.errors import MissingDataError, UnknownNameError
from tne_eval.indicators import formulas
from tne_eval.indicators.counters import counter
from tne_eval.results import IndicatorResult
from tne_eval.sources import academie_of, departement_name, list_departements

# The formula table: what a catalogue entry may name, and the function that computes it.
FORMULAS = {
    "ratio_percent": formulas.ratio_percent,
    "ratio_gap": formulas.ratio_gap,
    "level": formulas.level,
    "level_and_median": formulas.level_and_median,
    "lead_over_median": formulas.lead_over_median,
    "gini_of_groups": formulas.gini_of_groups,
    "concentration_of_groups": formulas.concentration_of_groups,
    "gradient_of_groups": formulas.gradient_of_groups,
    "counter": counter,
}


def indicator_table(indicator: str | Indicator, panel: pd.DataFrame) -> pd.DataFrame:
    """Values of an indicator, départements in rows and periods in columns.

    Raises MissingDataError where the panel lacks an input; UnknownNameError on an unknown indicator.
    """
    entry = indicator if isinstance(indicator, Indicator) else get_indicator(indicator)
    rows = _rows(entry, panel)
    rows = rows[rows["unit_type"] == "departement"]
    return rows.pivot(index="unit", columns="period", values="value").sort_index().sort_index(axis=1)


def compute_indicator(id: str, panel: pd.DataFrame, territory: str | None = None) -> IndicatorResult:
    """Compute one indicator of the catalogue.

    Parameters
    ----------
    id : indicator id, see `tne-eval list indicators`.
    panel : the tidy panel of `load_panel`; it is not modified.
    territory : a territory id: its rows, with those of France and of its académie (unless it is alone there) where they
        can be had. None: every département.

    Returns
    -------
    IndicatorResult; `value` is the latest known value, `gap("france")` and `gap("academie")` the differences.

    Raises UnknownNameError, MissingDataError.
    """
    entry = get_indicator(id)
    place = None if territory is None else get_territory(territory)
    rows = _rows(entry, panel)
    if place is None:
        rows = rows[rows["unit_type"] == "departement"]
    else:
        academie = academie_of(place.departement)
        alone = sum(academie_of(code) == academie for code in list_departements()) == 1
        rows = rows[
            ((rows["unit_type"] == "departement") & (rows["unit"] == place.departement))
            | ((rows["unit_type"] == "academie") & (rows["unit"] == academie) & (not alone))
            | (rows["unit_type"] == "france")
        ]
        if not (rows["unit_type"] == "departement").any():
            raise MissingDataError(
                f"no figure of {id!r} for {place.name}",
                why="the source does not cover this département",
                remedy="see the table of missing data in the report",
            )
    order = pd.Categorical(rows["unit_type"], ["departement", "academie", "france"], ordered=True)
    frame = (
        rows.assign(order=order)
        .sort_values(["order", "unit", "period"], kind="stable")
        .drop(columns="order")
        .reset_index(drop=True)
    )
    label = frame["unit"].where(frame["unit_type"] != "departement", frame["unit"].map(_name))
    frame.insert(2, "label", label)
    frame.insert(3, "period_type", entry.period_type)
    frame["status"] = frame["value"].notna().map({True: "observed", False: "missing"})
    frame["source"] = _source(entry, panel)
    return IndicatorResult(entry, territory, frame, entry.caveats)


def _rows(entry: Indicator, panel: pd.DataFrame) -> pd.DataFrame:
    if entry.formula not in FORMULAS:
        raise UnknownNameError(f"formula (in the indicator {entry.id!r})", entry.formula, FORMULAS)
    return FORMULAS[entry.formula](panel, entry.inputs)


def _name(unit: str) -> str:
    try:
        return departement_name(unit)
    except KeyError:
        return unit


def _variables(inputs: object) -> set[str]:
    """Every text in the inputs: the names of variables are among them."""
    if isinstance(inputs, str):
        return {inputs.removeprefix("-")}
    parts = inputs.values() if isinstance(inputs, dict) else inputs if isinstance(inputs, list) else ()
    return set().union(*(_variables(part) for part in parts))


def _source(entry: Indicator, panel: pd.DataFrame) -> str:
    held = panel["variable"].isin(_variables(entry.inputs)).to_numpy()
    return ", ".join(sorted(panel.loc[held, "source"].astype(str).unique()))
