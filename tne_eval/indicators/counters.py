"""Programme counters set against a denominator: plausible, above the stock of pupils, or impossible."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from tne_eval.catalog import Territory, list_territories
from tne_eval.errors import MissingDataError
from tne_eval.indicators.formulas import select

# A pupil stays about 15 school years from nursery school to the end of lycée, 4 of them in collège: enrolment in
# collèges × 15/4 stands for the pupils of a département where the other levels are not at hand.
SCHOOL_YEARS = 15
COLLEGE_YEARS = 4
VERDICTS = ("plausible", "above_stock", "impossible")


def audit_counters(panel: pd.DataFrame) -> pd.DataFrame:
    """Pupils reached and training attendances of each territory against a stated denominator.

    Returns
    -------
    DataFrame, one row per territory: `territory, departement, month, pupils_reached, stock` (pupils enrolled at one
    time, collège enrolment × 15/4), `years` (school years from the likely exposure to the counter), `distinct` (pupils
    who can have been enrolled over these years: stock × (1 + (years − 1)/15)), `percent_of_stock`,
    `percent_of_distinct`, `verdict` (plausible, above_stock, impossible), `attendances`, `attendances_month`,
    `attendances_per_100_pupils`.

    A counter summed over several years may exceed the stock of one year without being wrong; above the distinct
    pupils of the period it cannot count pupils.
    """
    reached = _latest(panel, "tne_pupils_reached")
    attendances = _latest(panel, "tne_attendances")
    enrolled = select(panel, "college_pupils")
    rows = []
    for territory in list_territories():
        code = territory.departement
        if code not in reached.index or code not in attendances.index:
            raise MissingDataError(f"no TNE counter for {territory.name}", remedy="build tne_counters again")
        counter = reached.loc[code]
        stock, stock_year = _stock(enrolled, code, school_year(int(counter["period"])))
        years = school_year(int(counter["period"])) - _first_school_year(territory) + 1
        distinct = stock * (1 + (years - 1) / SCHOOL_YEARS)
        value = float(counter["value"])
        rows.append(
            {
                "territory": territory.id,
                "departement": code,
                "month": int(counter["period"]),
                "pupils_reached": value,
                "stock": stock,
                "stock_year": stock_year,
                "years": years,
                "distinct": distinct,
                "percent_of_stock": 100 * value / stock,
                "percent_of_distinct": 100 * value / distinct,
                "verdict": VERDICTS[(value > stock) + (value > distinct)],
                "attendances": float(attendances.loc[code, "value"]),
                "attendances_month": int(attendances.loc[code, "period"]),
                "attendances_per_100_pupils": 100 * float(attendances.loc[code, "value"]) / stock,
            }
        )
    return pd.DataFrame(rows)


def counter(panel: pd.DataFrame, inputs: Mapping) -> pd.DataFrame:
    """One column of the audit, as a formula of the catalogue: the twelve territories, at the counter's month."""
    audit = audit_counters(panel)
    return pd.DataFrame(
        {
            "unit_type": "departement",
            "unit": audit["departement"],
            "period": audit[inputs["period"]],
            "value": audit[inputs["column"]],
            "n": audit["stock"],
        }
    )


def school_year(month: int) -> int:
    """School year (its first calendar year) that holds a month written yyyymm."""
    return month // 100 if month % 100 >= 9 else month // 100 - 1


def _first_school_year(territory: Territory) -> int:
    day = territory.exposure.likely
    return school_year(day.year * 100 + day.month)


def _latest(panel: pd.DataFrame, variable: str) -> pd.DataFrame:
    rows = select(panel, variable)
    rows = rows[rows["value"].notna()].sort_values("period")
    return rows.assign(unit=rows["unit"].astype(str)).groupby("unit").tail(1).set_index("unit")


def _stock(enrolled: pd.DataFrame, code: str, year: int) -> tuple[float, int]:
    """Pupils of a département in the school year, or in the nearest one at hand."""
    own = enrolled[(enrolled["unit"] == code).to_numpy() & enrolled["value"].notna().to_numpy()]
    if own.empty:
        raise MissingDataError(f"no collège enrolment for the département {code}")
    nearest = own.iloc[(own["period"] - year).abs().to_numpy().argmin()]
    return float(nearest["value"]) * SCHOOL_YEARS / COLLEGE_YEARS, int(nearest["period"])
