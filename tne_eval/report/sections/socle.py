"""The call for a digital base in elementary schools: money, targeting, who applied, and what cannot be known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tne_eval.catalog import Programme, get_indicator, get_programme
from tne_eval.french import date_text, money, number, percent, phrase, points, probability, sentence, typeset
from tne_eval.impact.dose import DoseResponse
from tne_eval.impact.doses import snee_doses
from tne_eval.indicators import concentration_index
from tne_eval.indicators.snee_regions import region_table
from tne_eval.maps import draw_departements
from tne_eval.report.blocks import Block, Figure, Paragraph, Table, Title, Verdict, figure_block
from tne_eval.report.facts import TerritoryFacts, refuse_simulated
from tne_eval.report.sections.programme import figures_table
from tne_eval.report.sections.socle_schools import (
    schools_money,
    schools_take_up,
    schools_targeting,
    schools_verdict,
    tendency,
)
from tne_eval.report.sections.words import region_ranks, region_standing
from tne_eval.report.socle_facts import SchoolFacts, gather_schools
from tne_eval.sources.geography import list_departements, region_of

_MONEY = (
    "budget_announced",
    "grants_requested",
    "grants",
    "spending",
    "grant_rate",
    "files_submitted",
    "files_retained_share",
    "schools",
    "communes",
    "classes_announced",
    "rate_small",
    "rate_large",
    "ceiling_per_class",
    "rate_threshold",
    "grant_rate_small",
    "grant_rate_large",
    "survey_answers",
    "known_small",
    "known_large",
    "applied_small",
    "applied_large",
)


@dataclass(frozen=True, slots=True, eq=False)
class SocleFacts:
    """The published facts, and the regions of `region_table`; `ips`, `ifn`: concentration of euros a pupil by need.

    `schools`: what the files by convention and by school say, None where they are not at hand. `dose`: slope, by
    outcome of the national evaluations, of the change on the share of écoles granted; empty without these shares.
    """

    programme: Programme
    regions: pd.DataFrame = field(repr=False)
    ips: float
    ifn: float
    schools: SchoolFacts | None
    dose: dict[str, DoseResponse]


def gather_socle(panel: pd.DataFrame, raw_folder: str | Path | None = None) -> SocleFacts:
    """Compute the facts of the report from a panel of real figures, and from the SNEE files where the folder has them.

    Raises ContractError on SNEE files that break their contract, ReportError on a simulated panel.
    """
    refuse_simulated(panel)
    regions = region_table(panel)
    return SocleFacts(
        programme=get_programme("snee"),
        regions=regions,
        ips=concentration_index(regions["euros_per_pupil"], -regions["ips"], regions["pupils"]),
        ifn=concentration_index(regions["euros_per_pupil"], regions["ifn"], regions["pupils"]),
        schools=gather_schools(raw_folder),
        dose=snee_doses(panel),
    )


def socle_opening(facts: SocleFacts) -> tuple[Block, ...]:
    """Title, what can be said with or without the files by convention and by school, and the programme."""
    title, summary = Title(sentence("socle.title"), level=1), Paragraph(typeset(facts.programme.summary.strip()))
    if facts.schools is not None:
        return (title, schools_verdict(facts.schools), summary)
    low, high = facts.regions.iloc[0], facts.regions.iloc[-1]
    key = {"pro": "opening_totals_title", "flat": "opening_totals_flat_title", "anti": "opening_totals_anti_title"}
    return (
        title,
        Verdict(
            title=sentence(f"socle.{key[tendency(facts.ips)]}"),
            text=sentence(
                "socle.opening_totals",
                low=money(low["euros_per_pupil"]),
                high=money(high["euros_per_pupil"]),
                low_region=low.name,
                high_region=high.name,
            ),
            kind="uncertain",
            label=sentence("socle.label_totals"),
        ),
        summary,
    )


def socle_money(facts: SocleFacts) -> tuple[Block, ...]:
    """Calendar, announced against executed, and the rate by size of project."""
    figures = {figure.id: figure for figure in facts.programme.figures}
    events = pd.DataFrame(
        {
            "Date": [event.date for event in facts.programme.events],
            "Fait": [typeset(event.label) for event in facts.programme.events],
            "Fiabilité": [event.flag for event in facts.programme.events],
            "Source": [typeset(event.source) for event in facts.programme.events],
        }
    )
    text = sentence(
        "socle.money",
        low=money(figures["budget_announced"].low),
        high=money(figures["budget_announced"].high),
        grants=money(figures["grants"].value),
        spending=money(figures["spending"].value),
        rate=percent(figures["grant_rate"].value),
    )
    rates = sentence(
        "socle.rates",
        small=percent(figures["grant_rate_small"].value),
        large=percent(figures["grant_rate_large"].value),
    )
    return (
        Table(
            "calendrier",
            sentence("socle.events_caption"),
            events.assign(Date=events["Date"].map(date_text)),
            data=events,
        ),
        Paragraph(text),
        figures_table(tuple(figures[id] for id in _MONEY), caption=sentence("socle.money_caption")),
        Paragraph(rates),
        *(() if facts.schools is None else schools_money(facts.schools)),
    )


def socle_targeting(facts: SocleFacts) -> tuple[Block, ...]:
    """Euros a pupil by region beside social position and digital fragility."""
    table = facts.regions.reset_index()
    shown = pd.DataFrame(
        {
            "Région": [typeset(name) for name in table["region"]],
            "Aides": [money(value) for value in table["grants"]],
            "Par élève": [money(value) for value in table["euros_per_pupil"]],
            "Position sociale": [number(value, 1) for value in table["ips"]],
            "Fragilité numérique": [number(value, 1) for value in table["ifn"]],
        }
    )
    reading = {"pro": "pro_poor", "flat": "neutral", "anti": "pro_rich"}[tendency(facts.ips)]
    text = sentence(
        "socle.regions_text",
        ips=number(facts.ips, 3, sign=True),
        ifn=number(facts.ifn, 3, sign=True),
        reading=phrase(f"socle.{reading}"),
    )
    note = sentence("socle.regions_note")
    return (
        Table("regions", sentence("socle.regions_caption"), shown, note=note, data=table),
        Paragraph(text),
        _indices(facts),
        _map(facts),
        *(() if facts.schools is None else schools_targeting(facts.schools)),
    )


def socle_take_up(facts: SocleFacts) -> tuple[Block, ...]:
    """Who knew and who applied, as a survey of the time says."""
    figures = {figure.id: figure.value for figure in facts.programme.figures}
    names = ("known_small", "known_large", "applied_small", "applied_large")
    text = sentence(
        "socle.take_up",
        answers=number(figures["survey_answers"]),
        files=number(figures["files_submitted"]),
        retained=percent(figures["files_retained_share"], 0),
        **{name: percent(figures[name], 0) for name in names},
    )
    return (Paragraph(text), *(() if facts.schools is None else schools_take_up(facts.schools)))


def socle_effect(facts: SocleFacts) -> tuple[Block, ...]:
    """What cannot be measured, what goes with the share of écoles granted, and what would allow more."""
    blocks: list[Block] = [Paragraph(sentence("socle.effect"))]
    if facts.dose:
        shown = pd.DataFrame(
            {
                "Résultat": [typeset(get_indicator(id).label) for id in facts.dose],
                "Pente": [points(10 * found.slope, 2) for found in facts.dose.values()],
                "p": [probability(found.p_value) for found in facts.dose.values()],
            }
        )
        raw = pd.DataFrame(
            [
                {"indicateur": id, "pente": found.slope, "p": found.p_value, "n": found.n}
                for id, found in facts.dose.items()
            ]
        )
        caption, note = sentence("socle.dose_caption"), sentence("socle.dose_note")
        blocks.append(Table("dose_evaluations", caption, shown, note=note, data=raw))
    if facts.schools is None:
        blocks.append(Paragraph(sentence("socle.missing")))
    return tuple(blocks)


def socle_in_territory(facts: TerritoryFacts) -> tuple[Block, ...]:
    """The grants of the territory's region, and its rank among the metropolitan ones."""
    standing = region_standing(facts)
    if standing is None:
        return (Paragraph(sentence("socle.territory_overseas")),)
    said = sentence("socle.territory", region=region_of(facts.territory.departement), **standing)
    return (Paragraph(said), _standings_table(facts))


def _standings_table(facts: TerritoryFacts) -> Table:
    """Grants a pupil of each region, from the highest."""
    euros = facts.grants["euros_per_pupil"].sort_values(ascending=False)
    rank = region_ranks(facts)[euros.index]
    shown = pd.DataFrame(
        {
            "Région": [typeset(name) for name in euros.index],
            "Aide par élève": [money(value) for value in euros],
            "Rang": [number(value) for value in rank],
        }
    )
    data = pd.DataFrame({"region": euros.index, "euros_par_eleve": euros.to_numpy(), "rang": rank.to_numpy()})
    return Table("aides_regions", sentence("socle.standings_caption"), shown, data=data)


def _indices(facts: SocleFacts) -> Table:
    """The two concentration indices among regions."""
    shown = pd.DataFrame(
        {
            "Besoin": [phrase("need.ips"), phrase("need.ifn_region")],
            "Indice": [number(facts.ips, 3, sign=True), number(facts.ifn, 3, sign=True)],
        }
    )
    raw = pd.DataFrame({"besoin": ["ips", "ifn"], "indice": [facts.ips, facts.ifn]})
    return Table("ciblage_regions", sentence("socle.indices_caption"), shown, data=raw)


def _map(facts: SocleFacts) -> Figure:
    euros = facts.regions["euros_per_pupil"]
    values = pd.Series({code: euros.get(region_of(code)) for code in list_departements()}).dropna().astype(float)
    return figure_block(
        draw_departements(values, legend_title=sentence("socle.map_legend")).figure,
        name="carte_aides",
        caption=sentence("socle.map_caption"),
        alt=sentence("socle.map_alt", low=money(euros.min()), high=money(euros.max())),
        data=facts.regions.reset_index()[["region", "euros_per_pupil"]].rename(
            columns={"euros_per_pupil": "euros_par_eleve"}
        ),
    )
