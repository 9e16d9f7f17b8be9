"""The worked examples of the catalogue, as panels: what documents an indicator is also what tests it."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog.entries import Example, Indicator
from tne_eval.errors import DesignError
from tne_eval.sources import PANEL_COLUMNS


def example_panel(indicator: Indicator, example: Example) -> pd.DataFrame:
    """The panel of an example: one row per unit and variable, with the columns of `load_panel`.

    Raises DesignError where a column has not one value for each unit.
    """
    parts = []
    for rows in example.rows:
        count = len(rows.unit)
        group, n = rows.group or ("",) * count, rows.n or (1.0,) * count
        for name, values in (rows.variables | {"group": group, "n": n}).items():
            if len(values) != count:
                raise DesignError(
                    f"an example of {indicator.id!r} has {len(values)} values in {name!r}", why=f"its units are {count}"
                )
        for name, values in rows.variables.items():
            parts.append(
                pd.DataFrame(
                    {
                        "unit_type": rows.unit_type,
                        "unit": list(rows.unit),
                        "period_type": indicator.period_type,
                        "period": rows.period,
                        "group": list(group),
                        "variable": name,
                        "value": pd.Series(list(values), dtype=float),
                        "weight": 1.0,
                        "n": list(n),
                        "status": "observed",
                        "source": "example",
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)[list(PANEL_COLUMNS)]
