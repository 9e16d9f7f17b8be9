"""Formulas: panel rows → one value per unit and period.

Each formula takes the panel and the inputs of a catalogue entry and gives a frame `unit_type, unit, period, value, n`.
Units are the départements, then their académie and France where the formula can be aggregated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from tne_eval.errors import MissingDataError
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
    """Sum of signed variables (`-name` is taken off) by département and period; NaN as soon as one part is unknown."""
    total: pd.Series | float = 0.0
    for name in [names] if isinstance(names, str) else names:
        rows = select(panel, name.removeprefix("-"), where)
        rows = rows[(rows["unit_type"] == "departement").to_numpy()]
        part = rows.groupby(["unit", "period"], observed=True)["value"].sum(skipna=False)
        total = total - part if name.startswith("-") else total + part
    return total


def _summed(table: pd.DataFrame) -> pd.DataFrame:
    """Columns by département and period, summed for each département, académie and France.

    A département with an unknown part gives no value; an aggregate leaves it out, and gives none when more than one
    département in twenty is left out.
    """
    table = table.where(table.notna().all(axis=1))
    rows = _with_aggregates(table.assign(unit_type="departement").reset_index())
    groups = rows.groupby(["unit_type", "unit", "period"])[list(table.columns)]
    complete = groups.count() >= 0.95 * groups.size().to_numpy()[:, None]
    return groups.sum().where(complete)


def _finish(value: pd.Series, n: pd.Series | None = None) -> pd.DataFrame:
    frame = value.rename("value").to_frame()
    frame["n"] = np.nan if n is None else n
    return frame.reset_index()[RESULT]


def ratio_percent(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """100 × Σ numerator / Σ denominator; `n` is the denominator."""
    where = inputs.get("where")
    parts = {name: _total(panel, inputs[name], where) for name in ("numerator", "denominator")}
    sums = _summed(pd.DataFrame(parts))
    return _finish(100 * sums["numerator"] / sums["denominator"].where(sums["denominator"] > 0), sums["denominator"])


def ratio_gap(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Ratio of group `first` less that of group `second`, in points; `n` is the sum of the denominators."""
    parts = {
        f"{name} {side}": _total(panel, inputs[side][name], inputs[side].get("where"))
        for side in ("first", "second")
        for name in ("numerator", "denominator")
    }
    sums = _summed(pd.DataFrame(parts))
    bottoms = sums[["denominator first", "denominator second"]]
    bottoms = bottoms.where(bottoms > 0)
    value = sums["numerator first"] / bottoms["denominator first"]
    value = value - sums["numerator second"] / bottoms["denominator second"]
    return _finish(100 * value, bottoms.sum(axis=1))


def level(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """A published value as it stands, with the académie and France rows that the producer publishes."""
    rows = select(panel, inputs["variable"])
    return rows[RESULT].astype({"unit_type": str, "unit": str})


def level_and_median(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """A published value; the median of the départements stands for France."""
    rows = level(panel, inputs)
    rows = rows[rows["unit_type"] == "departement"]
    median = rows.groupby("period")["value"].median().reset_index()
    return pd.concat(
        [rows, median.assign(unit_type="france", unit="Médiane des départements", n=np.nan)], ignore_index=True
    )[RESULT]


def lead_over_median(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """A published value less the median of the départements of the same period."""
    rows = level(panel, inputs)
    rows = rows[rows["unit_type"] == "departement"]
    return rows.assign(value=rows["value"] - rows.groupby("period")["value"].transform("median"))[RESULT]


def _by_groups(panel: pd.DataFrame, inputs: Mapping, statistic: Callable[[pd.DataFrame], float]) -> pd.DataFrame:
    """`statistic` over the IPS groups of each unit and period, in the columns `value`, `position`, `weight`.

    Académies and France take the groups of all their départements. The weight `schools` is the number of schools of
    the group; `n` is their sum.
    """
    keys = ["unit", "period", "group"]
    columns = {}
    for role in ("value", "position", "weight"):
        if role in inputs and inputs[role] != "schools":
            rows = select(panel, inputs[role])
            columns[role] = rows.set_index(keys)["value"]
            columns["schools"] = rows.set_index(keys)["n"]
    table = pd.DataFrame(columns).dropna()
    if inputs["weight"] == "schools":
        table["weight"] = table["schools"]
    rows = _with_aggregates(table.assign(unit_type="departement").reset_index())
    values, counts = {}, {}
    for key, groups in rows.groupby(["unit_type", "unit", "period"]):
        if len(groups) >= 2 and ("position" not in inputs or groups["position"].nunique() > 1):
            values[key] = statistic(groups)
            counts[key] = groups["schools"].sum()
    index = ["unit_type", "unit", "period"]
    return _finish(pd.Series(values).rename_axis(index), pd.Series(counts).rename_axis(index))


def gini_of_groups(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Gini between groups of schools (a floor for the Gini between schools)."""
    return _by_groups(panel, inputs, lambda groups: gini(groups["value"], groups["weight"]))


def concentration_of_groups(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Concentration index of results over groups of schools ranked by social position."""
    return _by_groups(
        panel, inputs, lambda groups: concentration_index(groups["value"], groups["position"], groups["weight"])
    )


def gradient_of_groups(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """Slope of results on social position over groups of schools, for `per` units of position."""
    per = inputs.get("per", 1)
    return _by_groups(
        panel, inputs, lambda groups: per * gradient(groups["value"], groups["position"], groups["weight"]).slope
    )
