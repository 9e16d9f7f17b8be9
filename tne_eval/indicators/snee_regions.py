"""The SNEE grants of each metropolitan region, as published, beside its pupils, their social position and fragility."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.catalog import get_programme
from tne_eval.indicators.panel_index import PanelIndex, index_of
from tne_eval.sources.geography import list_departements, plain_name, region_of


def region_table(panel: pd.DataFrame | PanelIndex) -> pd.DataFrame:
    """One row per metropolitan region, by name: `grants` (euros), `pupils`, `euros_per_pupil`, `ips`, `ifn`.

    Grants are the published totals of the catalogue. Pupils are those of the écoles that have an IPS, in the latest
    year that counts them, and `ips` is their mean; `ifn` is the digital fragility of the population, 100 on average.
    """
    index = index_of(panel)
    return index.once(("region_table",), lambda: _region_table(index)).copy(deep=False)


def _region_table(index: PanelIndex) -> pd.DataFrame:
    grants = {
        figure.id.removeprefix("grants_"): figure.value
        for figure in get_programme("snee").figures
        if figure.id.startswith("grants_") and figure.value is not None
    }
    regions = pd.Series({code: region_of(code) for code in list_departements()})
    ips = _weighted_mean(index, "ips_ecole_mean", "ips_ecole_pupils", regions)
    ifn = _weighted_mean(index, "ifn_mean", "ifn_population", regions)
    table = pd.DataFrame({"pupils": ips["weight"], "ips": ips["mean"], "ifn": ifn["mean"]})
    table.insert(0, "grants", [grants.get(plain_name(name).replace(" ", "_"), np.nan) for name in table.index])
    table = table.dropna(subset="grants")
    table.insert(2, "euros_per_pupil", table["grants"] / table["pupils"])
    return table.sort_values("euros_per_pupil").rename_axis("region")


def _weighted_mean(index: PanelIndex, value: str, weight: str, regions: pd.Series) -> pd.DataFrame:
    """Weighted mean by region over départements and groups of schools, in the latest period where both are known."""
    key = ["unit", "period", "group"]
    parts = {
        name: index.part([variable]).set_index(key)["value"]
        for name, variable in (("value", value), ("weight", weight))
    }
    rows = pd.DataFrame(parts).dropna().reset_index()
    rows = rows[rows["period"] == rows["period"].max()]
    rows = rows.assign(region=rows["unit"].astype(str).map(regions), product=rows["value"] * rows["weight"])
    sums = rows.groupby("region")[["product", "weight"]].sum()
    return pd.DataFrame({"mean": sums["product"] / sums["weight"], "weight": sums["weight"]})
