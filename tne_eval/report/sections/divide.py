"""The digital divide: access first, then what pupils master."""

from __future__ import annotations

from tne_eval.french import points, sentence
from tne_eval.report.blocks import Block, Note, Paragraph
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.words import comparison_figure, indicators_table, own_and_national
from tne_eval.sources.periods import format_period

_SKILLS = (
    "skill_cp_syllables",
    "skill_cp_numbers",
    "skill_ce1_writing",
    "skill_ce1_numbers",
    "skill_6e_fluency",
    "skill_6e_problems",
)


def digital_divide(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Fibre and its lead before the programme, digital fragility, skills at two dates."""
    blocks: list[Block] = []
    fibre, lead = facts.indicator("fibre_percent"), facts.indicator("fibre_lead")
    if fibre is not None and lead is not None:
        before = _last_quarter_before(lead.series(), facts)
        said = own_and_national(fibre)
        blocks += [
            Paragraph(
                sentence(
                    "divide.fibre",
                    value=said["value"],
                    locative=facts.territory.locative,
                    period=said["period"],
                    lead=points(lead.value),
                    before=format_period(before, "quarter"),
                    lead_before=points(lead.series().get(before)),
                )
            ),
            comparison_figure(fibre, facts.territory, key="divide.fibre_alt", caption=sentence("divide.fibre_caption")),
        ]
    fragility = facts.indicator("ifn_mean")
    blocks.append(
        Paragraph(
            sentence("divide.ifn_missing")
            if fragility is None
            else sentence(
                "divide.ifn",
                locative=facts.territory.locative,
                **{name: text for name, text in own_and_national(fragility).items() if name in ("value", "france")},
            )
        )
    )
    blocks += [
        indicators_table(
            [fibre, lead, fragility, *(facts.indicator(id) for id in _SKILLS)],
            name="acces_et_competences",
            caption=sentence("divide.table_caption", place=facts.territory.in_text),
        ),
        Note(sentence("divide.skills_note"), kind="limit"),
    ]
    return tuple(blocks)


def _last_quarter_before(series, facts: TerritoryFacts) -> int:
    """Latest quarter with a figure before the likely exposure (or the first one at hand)."""
    day = facts.territory.exposure.likely
    start = day.year * 10 + (day.month - 1) // 3 + 1
    earlier = series[series.index < start]
    return int(earlier.index[-1] if len(earlier) else series.index[0])
