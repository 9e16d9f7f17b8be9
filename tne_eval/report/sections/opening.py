"""The opening page: the verdict, then a few key figures."""

from __future__ import annotations

from tne_eval.french import number, phrase, sentence, typeset
from tne_eval.report.blocks import Block, Cards, Paragraph, Title, Verdict
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.words import own_and_national, verdict_key, verdict_text
from tne_eval.results import ImpactResult
from tne_eval.results import Verdict as Ruling

_LOOK = {
    Ruling.REFUSED: "unavailable",
    Ruling.FAILS: "uncertain",
    Ruling.UNKNOWABLE: "unavailable",
    Ruling.FRAGILE: "uncertain",
    Ruling.UNDERPOWERED: "uncertain",
    Ruling.NOTHING: "null",
    Ruling.BOUNDED: "null",
}


def opening(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Title, verdict by rule, the limit that goes with it, and four key figures."""
    place = facts.territory
    return (
        Title(typeset(place.name), level=1),
        verdict_card(facts.primary, place.in_text, place.locative),
        Paragraph(sentence("verdict.absorbed")),
        Cards(tuple(_cards(facts))),
    )


def verdict_card(result: ImpactResult, place: str, locative: str) -> Verdict:
    key = verdict_key(result)
    if result.verdict is Ruling.CREDIBLE:
        look = "positive" if result.estimate > 0 else "negative"
    else:
        look = _LOOK[result.verdict]
    return Verdict(
        title=sentence(f"verdict.{key}_title"),
        text=verdict_text(result, place, locative),
        kind=look,
        label=sentence(f"verdict.{key}_label"),
    )


def _cards(facts: TerritoryFacts):
    dnb = own_and_national(facts.indicator("dnb_success_percent"))
    yield (
        dnb["value"],
        phrase("card.dnb", period=dnb["period"]),
        sentence("card.dnb_comment", france=dnb["france"], academie=dnb["academie"]),
    )
    for id, key in (("disadvantaged_percent", "disadvantaged"), ("fibre_percent", "fibre")):
        result = facts.indicator(id)
        if result is not None:
            said = own_and_national(result)
            yield (
                said["value"],
                phrase(f"card.{key}", period=said["period"]),
                sentence(f"card.{key}_comment", france=said["france"]),
            )
    row = facts.audit.set_index("territory").loc[facts.territory.id]
    yield number(row["percent_of_stock"]), phrase("card.reached"), sentence(f"card.reached_{row['verdict']}")
