"""Everything that a territory's report needs, computed once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tne_eval.audit import Finding, audit_programme
from tne_eval.catalog import (
    Territory,
    get_composite,
    get_design,
    get_source,
    get_territory,
    list_designs,
    list_territories,
)
from tne_eval.errors import MissingDataError, ReportError
from tne_eval.impact.context import EffectInContext, put_in_context
from tne_eval.impact.dose import DoseResponse
from tne_eval.impact.doses import dose_responses
from tne_eval.impact.estimate import estimate_impact
from tne_eval.impact.family import FamilyResult, estimate_family
from tne_eval.impact.planning import plan_wave
from tne_eval.impact.robustness import Robustness, assess_robustness, curve_of_specifications
from tne_eval.impact.specification import SpecificationCurve
from tne_eval.impact.staggered import StaggeredEffect, estimate_staggered
from tne_eval.indicators import CompositeResult, audit_counters, compute_composite, compute_indicator
from tne_eval.indicators.panel_index import PanelIndex
from tne_eval.indicators.snee_regions import region_table
from tne_eval.results import ImpactResult, IndicatorResult
from tne_eval.sources import academie_of
from tne_eval.sources.build import find_files
from tne_eval.sources.periods import session_exposed
from tne_eval.sources.read import read_table

PRIMARY_DESIGN = "dnb_within_academie"
NAIVE_DESIGN = "dnb_naive"
FALSIFICATION_DESIGN = "segregation_falsification"
GAPS, ENTRY = "gaps", "eval6e"
DIVIDE = "digital_divide"
_SHARED: dict[str, SharedFacts] = {}  # of the last panel, by its content


@dataclass(frozen=True, slots=True, eq=False)
class TerritoryFacts:
    """One territory: its effects under both designs, those of the demonstrator pair, the audit of the counters.

    `gaps`: effects on the gaps between pupils; `entry`: on scores at entry into collège, None where they were not
    fetched; `falsification`: on an outcome that the programme can hardly move.
    `robustness`: of the naive design, whose pool is large enough for it; `curve`: both designs under every choice.
    `context`: the primary effect among the published ones, None where it was refused. `divide`: the composite of the
    digital divide for all départements, with its rank intervals. `findings`: of the audit, for all territories.
    `places`: longitude, latitude and IPS (value) of the collèges, None where their files are not at hand.
    """

    territory: Territory
    academie: str
    first_session: int
    panel: pd.DataFrame
    primary: ImpactResult
    naive: ImpactResult
    pair: ImpactResult
    gaps: FamilyResult
    entry: FamilyResult | None
    falsification: ImpactResult
    robustness: Robustness
    curve: SpecificationCurve
    context: EffectInContext | None
    audit: pd.DataFrame
    findings: tuple[Finding, ...]
    divide: CompositeResult
    places: pd.DataFrame | None
    index: PanelIndex = field(repr=False)
    grants: pd.DataFrame = field(repr=False)
    _known: dict[str, IndicatorResult | None] = field(default_factory=dict, init=False, repr=False)

    def indicator(self, id: str) -> IndicatorResult | None:
        """An indicator of this territory, computed once; None where the source does not cover it."""
        if id not in self._known:
            try:
                self._known[id] = compute_indicator(id, self.index, self.territory.id)
            except MissingDataError:
                self._known[id] = None
        return self._known[id]


@dataclass(frozen=True, slots=True, eq=False)
class SharedFacts:
    """What does not depend on the territory of a report: see `TerritoryFacts`. `index`: the panel, sorted once.
    `grants`: of `region_table`."""

    pair: ImpactResult
    audit: pd.DataFrame
    findings: tuple[Finding, ...]
    divide: CompositeResult
    index: PanelIndex
    grants: pd.DataFrame


def gather_shared(panel: pd.DataFrame) -> SharedFacts:
    """The facts that all territories share, computed once for a panel of the same values."""
    values = pd.util.hash_pandas_object(panel, index=False).to_numpy()
    key = hashlib.sha256(values.tobytes() + repr((list(panel.columns), panel.attrs)).encode()).hexdigest()
    if key not in _SHARED:
        _SHARED.clear()
        index = PanelIndex(panel)
        _SHARED[key] = SharedFacts(
            pair=estimate_impact(PRIMARY_DESIGN, index),
            audit=audit_counters(panel),
            findings=tuple(audit_programme(panel)),
            divide=compute_composite(get_composite(DIVIDE), index),
            index=index,
            grants=region_table(index),
        )
    return _SHARED[key]


def gather_territory(territory: str, panel: pd.DataFrame, raw_folder: str | Path | None = None) -> TerritoryFacts:
    """Compute the facts of a territory's report from a panel of real figures; `raw_folder` may hold fetched files.

    Raises ReportError on a simulated panel, ContractError on raw files that break their contract.
    """
    refuse_simulated(panel)
    shared = gather_shared(panel)
    index, place = shared.index, get_territory(territory)
    primary = estimate_impact(PRIMARY_DESIGN, index, territory)
    robustness = assess_robustness(NAIVE_DESIGN, index, territory)
    return TerritoryFacts(
        territory=place,
        academie=academie_of(place.departement),
        first_session=session_exposed(place.exposure.likely),
        panel=panel,
        primary=primary,
        naive=estimate_impact(NAIVE_DESIGN, index, territory),
        pair=shared.pair,
        gaps=estimate_family(GAPS, index, territory),
        entry=_fetched_family(ENTRY, index, territory),
        falsification=estimate_impact(FALSIFICATION_DESIGN, index, territory),
        robustness=robustness,
        curve=curve_of_specifications((PRIMARY_DESIGN, NAIVE_DESIGN), index, territory, {NAIVE_DESIGN: robustness}),
        context=None if primary.estimate is None else put_in_context(primary, index, place),
        audit=shared.audit,
        findings=shared.findings,
        divide=shared.divide,
        index=index,
        grants=shared.grants,
        places=None if raw_folder is None else college_places(raw_folder, place.departement),
    )


def college_places(raw_folder: str | Path, departement: str) -> pd.DataFrame | None:
    """Place and latest IPS of the collèges of a département that have both, from the files of places and of IPS; None
    without these."""
    paths = {id: find_files(Path(raw_folder), get_source(id)) for id in ("geolocalisation", "ips_colleges_2022")}
    if any(len(files) != 1 for files in paths.values()):
        return None
    places, ips = (read_table(files[0], get_source(id)) for id, files in paths.items())
    ips = (
        ips[ips["code_du_departement"] == departement]
        .sort_values("rentree_scolaire")
        .drop_duplicates("uai", keep="last")
    )
    ips = ips.rename(columns={"uai": "numero_uai", "ips": "value"})
    found = places[["numero_uai", "longitude", "latitude"]].merge(ips[["numero_uai", "value"]], validate="one_to_one")
    return found.drop(columns="numero_uai").dropna().astype(float)


def _fetched_family(family: str, index: PanelIndex, territory: str) -> FamilyResult | None:
    try:
        return estimate_family(family, index, territory)
    except MissingDataError:
        return None


@dataclass(frozen=True, slots=True, eq=False)
class SynthesisFacts:
    """All territories side by side: the effect of each under the primary design, the pair, the counters.

    `gaps` and `robustness` are those of the pair; `doses`: dose-response among the twelve, by kind of dose;
    `staggered`: the twelve together, by design; `waves`: what a next wave of some size could show.
    """

    panel: pd.DataFrame
    territories: tuple[Territory, ...]
    primary: dict[str, ImpactResult]
    pair: ImpactResult
    naive_pair: ImpactResult
    gaps: FamilyResult
    robustness: Robustness
    doses: dict[str, DoseResponse]
    staggered: dict[str, StaggeredEffect]
    waves: pd.DataFrame
    audit: pd.DataFrame


def gather_synthesis(panel: pd.DataFrame) -> SynthesisFacts:
    """Compute the facts of the synthesis from a panel of real figures."""
    refuse_simulated(panel)
    shared = gather_shared(panel)
    index, places = shared.index, tuple(list_territories())
    primary = {place.id: estimate_impact(PRIMARY_DESIGN, index, place.id) for place in places}
    together = [get_design(NAIVE_DESIGN), *(plan for plan in list_designs() if plan.family == GAPS)]
    return SynthesisFacts(
        panel=panel,
        territories=places,
        primary=primary,
        pair=shared.pair,
        naive_pair=estimate_impact(NAIVE_DESIGN, index),
        gaps=estimate_family(GAPS, index),
        robustness=assess_robustness(NAIVE_DESIGN, index),
        doses=dose_responses(PRIMARY_DESIGN, index, primary),
        staggered={plan.id: estimate_staggered(plan.id, index) for plan in together},
        waves=plan_wave([plan.id for plan in together], index),
        audit=shared.audit,
    )


def refuse_simulated(panel: pd.DataFrame) -> None:
    kind = panel.attrs.get("origin", {}).get("kind")
    if kind not in ("embedded", "built"):
        raise ReportError(
            "this panel does not say that its figures are real",
            why=f"its origin is {kind!r}; no simulated figure enters a report",
            remedy="use load_panel()",
        )
