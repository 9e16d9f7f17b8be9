"""Everything that a territory's report needs, computed once."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from tne_eval.catalog import Territory, get_composite, get_territory, list_territories
from tne_eval.errors import MissingDataError, ReportError
from tne_eval.impact import estimate_impact
from tne_eval.indicators import CompositeResult, audit_counters, compute_composite, compute_indicator
from tne_eval.results import ImpactResult, IndicatorResult
from tne_eval.sources import academie_of
from tne_eval.sources.periods import session_exposed

PRIMARY_DESIGN = "dnb_within_academie"
NAIVE_DESIGN = "dnb_naive"
DIVIDE = "digital_divide"


@dataclass(frozen=True, slots=True, eq=False)
class TerritoryFacts:
    """One territory: its effects under both designs, those of the demonstrator pair, the audit of the counters.

    `divide` is the composite of the digital divide for all départements, with its rank intervals.
    """

    territory: Territory
    academie: str
    first_session: int
    panel: pd.DataFrame
    primary: ImpactResult
    naive: ImpactResult
    pair: ImpactResult
    audit: pd.DataFrame
    divide: CompositeResult

    def indicator(self, id: str) -> IndicatorResult | None:
        """An indicator of this territory; None where the source does not cover it."""
        try:
            return compute_indicator(id, self.panel, self.territory.id)
        except MissingDataError:
            return None


def gather_territory(territory: str, panel: pd.DataFrame) -> TerritoryFacts:
    """Compute the facts of a territory's report from a panel of real figures."""
    refuse_simulated(panel)
    place = get_territory(territory)
    return TerritoryFacts(
        territory=place,
        academie=academie_of(place.departement),
        first_session=session_exposed(place.exposure.likely),
        panel=panel,
        primary=estimate_impact(PRIMARY_DESIGN, panel, territory),
        naive=estimate_impact(NAIVE_DESIGN, panel, territory),
        pair=estimate_impact(PRIMARY_DESIGN, panel),
        audit=audit_counters(panel),
        divide=compute_composite(get_composite(DIVIDE), panel),
    )


@dataclass(frozen=True, slots=True, eq=False)
class SynthesisFacts:
    """All territories side by side: the effect of each under the primary design, the pair, the counters."""

    panel: pd.DataFrame
    territories: tuple[Territory, ...]
    primary: dict[str, ImpactResult]
    pair: ImpactResult
    naive_pair: ImpactResult
    audit: pd.DataFrame


def gather_synthesis(panel: pd.DataFrame) -> SynthesisFacts:
    """Compute the facts of the synthesis from a panel of real figures."""
    refuse_simulated(panel)
    places = tuple(list_territories())
    return SynthesisFacts(
        panel=panel,
        territories=places,
        primary={place.id: estimate_impact(PRIMARY_DESIGN, panel, place.id) for place in places},
        pair=estimate_impact(PRIMARY_DESIGN, panel),
        naive_pair=estimate_impact(NAIVE_DESIGN, panel),
        audit=audit_counters(panel),
    )


def refuse_simulated(panel: pd.DataFrame) -> None:
    kind = panel.attrs.get("origin", {}).get("kind")
    if kind not in ("embedded", "built"):
        raise ReportError(
            "this panel does not say that its figures are real",
            why=f"its origin is {kind!r}; no simulated figure enters a report",
            remedy="use load_panel()",
        )
