"""The doses that the catalogue and the panel know of each territory, against its own change."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd

from tne_eval.catalog import list_territories
from tne_eval.errors import DesignError
from tne_eval.impact.context import latest_total
from tne_eval.impact.dose import DoseResponse, dose_response
from tne_eval.impact.estimate import estimate_impact
from tne_eval.impact.plan import exposure_date
from tne_eval.indicators import indicator_tables
from tne_eval.indicators.panel_index import PanelIndex, index_of
from tne_eval.results import ImpactResult

EVALUATIONS = (
    "skill_cp_syllables",
    "skill_cp_numbers",
    "skill_ce1_writing",
    "skill_ce1_numbers",
    "skill_6e_fluency",
    "skill_6e_problems",
)


def territory_doses(panel: pd.DataFrame | PanelIndex) -> pd.DataFrame:
    """Doses by territory: `attendances` at training for a hundred pupils of collège level, `euros` announced a pupil of
    collège level, `years` since the likely exposure, at the latest session. Missing where it is not known."""
    index = index_of(panel)
    last = int(index.panel.loc[index.panel["period_type"] == "exam_session", "period"].max())
    rows = []
    for place in list_territories():
        pupils = latest_total(index, "college_pupils", place.departement)
        budget = next((figure for figure in place.figures if figure.id == "budget"), None)
        euros = math.nan if budget is None else budget.likely if budget.value is None else budget.value
        exposed = exposure_date(place, "", "likely")
        rows.append(
            {
                "territory": place.id,
                "attendances": 100 * latest_total(index, "tne_attendances", place.departement) / pupils,
                "euros": euros / pupils,
                "years": last + 0.5 - (exposed.year + (exposed.month - 1) / 12),
            }
        )
    return pd.DataFrame(rows).set_index("territory")


def dose_responses(
    design: str, panel: pd.DataFrame | PanelIndex, results: Mapping[str, ImpactResult] | None = None
) -> dict[str, DoseResponse]:
    """Slope of each territory's own estimate on each dose, where four territories or more have both.

    The estimates are those of `estimate_impact` territory by territory: net of the controls of each; `results` are
    these, where they are already known. Raises what it raises.
    """
    index = index_of(panel)
    if results is None:
        results = {place.id: estimate_impact(design, index, place.id) for place in list_territories()}
    doses = territory_doses(index)
    estimates = pd.Series({id: found.estimate for id, found in results.items()}, dtype=float)
    found = {}
    for name in doses:
        known = doses[name].notna() & estimates.reindex(doses.index).notna()
        try:
            found[name] = dose_response(estimates.loc[doses.index[known]], doses.loc[known, name])
        except DesignError:
            continue
    return found


def snee_doses(panel: pd.DataFrame | PanelIndex) -> dict[str, DoseResponse]:
    """Slope of the change of each national evaluation on the percentage of écoles granted by SNEE, by département.

    From the first to the last date of each of `EVALUATIONS`. Descriptive: grants have no date, and the first evaluation
    comes after the call. Empty where the panel lacks the shares. Raises MissingDataError where it lacks an evaluation.
    """
    index = index_of(panel)
    shares = index.part(["snee_schools_percent"]).dropna(subset="value")
    if shares.empty:
        return {}
    dose = shares.groupby("unit", observed=True)["value"].last()
    found = {}
    for id, table in indicator_tables(EVALUATIONS, index).items():
        table = table.dropna()
        change = table[table.columns[-1]] - table[table.columns[0]]
        common = change.index.intersection(dose.index.astype(str))
        found[id] = dose_response(change[common], dose[common])
    return found
