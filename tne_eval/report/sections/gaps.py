"""Effects on the gaps between pupils, and on an outcome that the programme can hardly move."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import get_indicator
from tne_eval.french import listing, number, phrase, probability, sentence, typeset
from tne_eval.impact.family import FamilyResult
from tne_eval.report.blocks import Block, Note, Paragraph, Table
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.words import said, verdict_key
from tne_eval.results import ImpactResult


def effect_on_gaps(facts: TerritoryFacts) -> tuple[Block, ...]:
    """What the gaps became, adjusted for their number, and the falsification test."""
    return (
        Paragraph(sentence("gaps.intro")),
        Paragraph(_conclusion(facts.gaps, facts.territory.locative)),
        gaps_table(facts.gaps, also=facts.falsification),
        *_entry(facts),
        Paragraph(_falsification(facts.falsification)),
    )


def _entry(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Scores at entry into collège, where they were fetched; else what they would bring."""
    if facts.entry is None:
        return (Note(sentence("gaps.entry_missing"), kind="limit"),)
    return (
        Paragraph(sentence("gaps.entry_intro")),
        Paragraph(_conclusion(facts.entry, facts.territory.locative, "entry_conclusion")),
        gaps_table(facts.entry, name="effets_sixieme", words="entry"),
    )


def gaps_table(
    family: FamilyResult,
    *,
    name: str = "effets_ecarts",
    words: str = "gaps",
    also: ImpactResult | None = None,
) -> Table:
    """One row an outcome: effect, interval or the reason why there is none, p and adjusted p, verdict.

    `words`: gaps, or entry, for outcomes that are not gaps. `also` joins the file of values, without a row of its own.
    """
    adjusted = family.frame.set_index("design")
    shown, raw = [], []
    for result in family.results:
        if result.estimate is None:
            continue
        row = adjusted.loc[result.design.id]
        bounds = (
            phrase(f"reason.{result.reasons['low']}")
            if result.low is None
            else f"{said(result.low, result.design)} à {said(result.high, result.design)}"
        )
        shown.append(
            {
                sentence(f"gaps.column_{words}"): typeset(get_indicator(result.design.outcome).label),
                "Effet mesuré": said(result.estimate, result.design),
                typeset("Fourchette à 95 %"): bounds,
                "p (ajusté)": f"{probability(row['p_value'])} ({probability(row['romano_wolf'])})",
                "Verdict": sentence(f"verdict.{verdict_key(result)}_label"),
            }
        )
        adjusted_p = {name: row[name] for name in ("romano_wolf", "westfall_young")}
        raw.append(result.to_frame().assign(p_plain=row["p_value"], **adjusted_p))
    if also is not None and also.estimate is not None:
        raw.append(also.to_frame())
    return Table(
        name,
        sentence(f"gaps.caption_{words}"),
        pd.DataFrame(shown),
        note=sentence(f"gaps.note_{words}"),
        data=pd.concat(raw, ignore_index=True),
    )


def _conclusion(family: FamilyResult, locative: str, key: str = "conclusion") -> str:
    alpha = family.results[0].design.alpha
    loud = family.frame[family.frame["romano_wolf"] <= alpha]
    count = number(len(family.frame))
    if loud.empty:
        return sentence(f"gaps.{key}_none", locative=locative, count=count)
    names = listing(get_indicator(name).label.lower() for name in loud["outcome"])
    return sentence(f"gaps.{key}_some", names=names, count=count)


def _falsification(result: ImpactResult) -> str:
    if result.estimate is None:
        return sentence("gaps.falsification_refused")
    loud = "loud" if result.p_value <= result.design.alpha else "quiet"
    return sentence(
        "gaps.falsification",
        estimate=said(result.estimate, result.design),
        p_value=probability(result.p_value),
        conclusion=sentence(f"gaps.falsification_{loud}"),
    )
