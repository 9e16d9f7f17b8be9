"""Several outcomes at once: the designs of one family, with p-values that allow for their number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from tne_eval.catalog import list_designs
from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.impact.estimate import effect_of
from tne_eval.impact.multiple import adjust_familywise
from tne_eval.impact.plan import assignments_of, change_of, compare, refusal_of, restrict
from tne_eval.indicators.panel_index import PanelIndex, index_of
from tne_eval.results import ImpactResult, frame_html


@dataclass(frozen=True, slots=True, eq=False)
class FamilyResult:
    """Effects on the outcomes of one family.

    results : by design, in the order of the catalogue. frame : one row per outcome that could be estimated: design,
    outcome, estimate, p_value (plain permutation), romano_wolf, westfall_young (adjusted for the family).
    n_assignments : re-assignments, the same for all outcomes, of the départements that have every one of them.
    """

    family: str
    territory: str | None
    results: tuple[ImpactResult, ...]
    frame: pd.DataFrame = field(repr=False)
    n_assignments: int

    def to_frame(self) -> pd.DataFrame:
        return self.frame.copy()

    def _repr_html_(self) -> str:
        return frame_html(self)


def estimate_family(family: str, panel: pd.DataFrame | PanelIndex, territory: str | None = None) -> FamilyResult:
    """Effect of the programme on each outcome of a family of designs, with adjusted p-values.

    Statistics are divided by the spread of their own placebos, then adjusted by the largest of them (Romano and Wolf
    2005) and by the smallest p (Westfall and Young 1993), over the same re-assignments. Parameters as in
    `estimate_impact`. Raises UnknownNameError on a family without designs, DesignError where its designs do not share
    their strata or where none can be applied, MissingDataError.
    """
    plans = [plan for plan in list_designs() if plan.family == family]
    if not plans:
        raise UnknownNameError("family", family, sorted({plan.family for plan in list_designs() if plan.family}))
    if len({(plan.strata, plan.treated) for plan in plans}) > 1:
        why = "their re-assignments must be the same"
        raise DesignError(f"the designs of {family!r} have other strata or other territories", why=why)
    index = index_of(panel)
    comparisons = [compare(plan.id, index, territory) for plan in plans]
    held = [item for item in comparisons if not refusal_of(item)]
    if not held:
        raise DesignError(f"no design of {family!r} can be applied", where=territory or "pair")
    common = [unit for unit in held[0].table.index if all(unit in item.table.index for item in held)]
    contrasts = assignments_of(restrict(held[0], common)).contrasts
    statistics = np.column_stack([contrasts @ change_of(item).loc[common].to_numpy() for item in held])
    adjusted = adjust_familywise(statistics / statistics.std(axis=0))
    frame = pd.DataFrame(
        {
            "design": [item.plan.id for item in held],
            "outcome": [item.plan.outcome for item in held],
            "estimate": statistics[0],
            "p_value": adjusted.p_value,
            "romano_wolf": adjusted.romano_wolf,
            "westfall_young": adjusted.westfall_young,
        }
    )
    return FamilyResult(family, territory, tuple(map(effect_of, comparisons)), frame, len(contrasts))
