"""Formulas: panel rows → one value per unit and period.

Each formula takes the panel and the inputs of a catalogue entry and gives a frame `unit_type, unit, period, value, n`.
Units are the départements, then their académie and France where the formula can be aggregated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from tne_eval.errors import DesignError, MissingDataError
from tne_eval.indicators.inequality import concentration_index, gini, gradient
from tne_eval.sources import academie_of

RESULT = ["unit_type", "unit", "period", "value", "n"]


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


def _with_aggregates(rows: pd.DataFrame) -> pd.DataFrame:
    """Département rows, repeated for their académie and for France."""
    rows = rows[(rows["unit_type"] == "departement").to_numpy()]
    unit = rows["unit"].astype(str)
    return pd.concat(
        [
            rows.assign(unit_type="departement", unit=unit),
            rows.assign(unit_type="academie", unit=unit.map(academie_of)),
            rows.assign(unit_type="france", unit="France"),
        ],
        ignore_index=True,
    )


def _total(panel: pd.DataFrame, names: str | list[str], where: Mapping[str, str] | None) -> pd.Series:
    """Sum of signed variables (`-name` is taken off) by unit and period; NaN as soon as one part is not known."""
    total = None
    for name in [names] if isinstance(names, str) else names:
        rows = _with_aggregates(select(panel, name.removeprefix("-"), where))
        keys = ["unit_type", "unit", "period"]
        part = rows.groupby(keys)["value"].agg(lambda value: value.sum(skipna=False))
        part = -part if name.startswith("-") else part
        total = part if total is None else total.add(part)
    return total


def _finish(value: pd.Series, n: pd.Series | None = None) -> pd.DataFrame:
    frame = value.rename("value").to_frame()
    frame["n"] = np.nan if n is None else n
    return frame.reset_index()[RESULT]


def ratio_percent(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """100 × Σ numerator / Σ denominator; `n` is the denominator."""
    bottom = _total(panel, inputs["denominator"], inputs.get("where"))
    top = _total(panel, inputs["numerator"], inputs.get("where"))
    return _finish(100 * top / bottom.where(bottom > 0), bottom)


def ratio_gap(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Ratio of group `first` less that of group `second`, in points."""
    first, second = (ratio_percent(panel, inputs[side]) for side in ("first", "second"))
    keys = ["unit_type", "unit", "period"]
    both = first.merge(second, on=keys, suffixes=("", "_second"), validate="one_to_one")
    return both.assign(value=both["value"] - both["value_second"], n=both["n"] + both["n_second"])[RESULT]


def level(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """A published value as it stands, with the académie and France rows that the producer publishes."""
    rows = select(panel, inputs["variable"])
    return rows[RESULT].astype({"unit_type": str, "unit": str})


def level_and_median(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """A published value; the median of the départements stands for France."""
    rows = level(panel, inputs)
    rows = rows[rows["unit_type"] == "departement"]
    median = rows.groupby("period")["value"].median().reset_index()
    return pd.concat([rows, median.assign(unit_type="france", unit="France", n=np.nan)], ignore_index=True)[RESULT]


def lead_over_median(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """A published value less the median of the départements of the same period."""
    rows = level(panel, inputs)
    rows = rows[rows["unit_type"] == "departement"]
    return rows.assign(value=rows["value"] - rows.groupby("period")["value"].transform("median"))[RESULT]


def _by_groups(panel: pd.DataFrame, inputs: Mapping, statistic: Callable[[pd.DataFrame], float]) -> pd.DataFrame:
    """`statistic` over the IPS groups of each unit and period; `n` is the number of schools."""
    keys = ["unit_type", "unit", "period"]
    names = [inputs[name] for name in ("value", "position", "weight") if name in inputs]
    parts = []
    for name in dict.fromkeys(names):
        rows = _with_aggregates(select(panel, name))
        rows = rows.assign(row=rows.groupby([*keys, "group"], observed=True).cumcount())
        parts.append(rows.set_index([*keys, "group", "row"])[["value"]].rename(columns={"value": name}))
    schools = _with_aggregates(select(panel, names[0]))
    wide = pd.concat(parts, axis=1)
    counts = schools.groupby(keys)["n"].sum()
    values = {}
    for key, groups in wide.groupby(level=keys):
        known = groups.dropna()
        try:
            values[key] = statistic(known) if len(known) >= 2 else np.nan
        except DesignError:
            values[key] = np.nan
    return _finish(pd.Series(values).rename_axis(keys), counts)


def gini_of_groups(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Gini between groups of schools (a floor for the Gini between schools)."""
    return _by_groups(panel, inputs, lambda groups: gini(groups[inputs["value"]], groups[inputs["weight"]]))


def concentration_of_groups(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Concentration index of results over groups of schools ranked by social position."""
    return _by_groups(
        panel,
        inputs,
        lambda groups: concentration_index(
            groups[inputs["value"]], groups[inputs["position"]], groups[inputs["weight"]]
        ),
    )


def gradient_of_groups(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Slope of results on social position over groups of schools, for `per` units of position."""
    return _by_groups(
        panel,
        inputs,
        lambda groups: (
            inputs.get("per", 1)
            * gradient(groups[inputs["value"]], groups[inputs["position"]], groups[inputs["weight"]]).slope
        ),
    )
