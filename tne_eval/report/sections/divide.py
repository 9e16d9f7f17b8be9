"""The digital divide: access first, then what pupils master."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import get_composite, list_territories
from tne_eval.french import capital, number, percent, phrase, points, sentence, typeset
from tne_eval.plotting import draw_rank_intervals
from tne_eval.report.blocks import Block, Figure, Note, Paragraph, Table, figure_block
from tne_eval.report.facts import DIVIDE, TerritoryFacts
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
# Of fetched sources: rows that are there only where the panel was built with them.
_USES = (
    "mobile_4g_fixed_percent",
    "illectronisme_percent",
    "ent_use_pupils",
    "ent_use_parents",
    "ent_use_teachers",
    "ent_smartphone_percent",
    "pix_participation_percent",
    "pix_certified_percent",
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
            [fibre, lead, fragility, *(facts.indicator(id) for id in (*_USES, *_SKILLS))],
            name="acces_et_competences",
            caption=sentence("divide.table_caption", place=facts.territory.in_text),
        ),
        Note(sentence("divide.skills_note"), kind="limit"),
        *_composite(facts),
    ]
    return tuple(blocks)


def _composite(facts: TerritoryFacts) -> tuple[Block, ...]:
    """The composite and the interval of its ranks; never one without the other."""
    place, result = facts.territory, facts.divide
    frame = result.to_frame()
    caveats = Note(typeset(" ".join(get_composite(DIVIDE).caveats)), kind="limit")
    if place.departement not in frame.index:
        missing = Paragraph(sentence("divide.composite_missing"))
        return (missing, _ranks_figure(facts, frame), _choices_table(facts), caveats)
    own = frame.loc[place.departement]
    shares = result.shift_shares["total"]
    said = sentence(
        "divide.composite",
        count=number(len(result.components)),
        locative_capital=capital(place.locative),
        rank=number(own["rank"]),
        low=number(own["rank_low"]),
        high=number(own["rank_high"]),
        total=number(len(frame)),
        combinations=number(len(result.combinations)),
        conclusion=phrase(f"divide.composite_{_standing(own, len(frame))}"),
        choice=phrase(f"divide.choice_{shares.idxmax()}"),
        share=percent(100 * shares.max(), 0),
    )
    return (Paragraph(said), _ranks_figure(facts, frame), _choices_table(facts), caveats)


def _choices_table(facts: TerritoryFacts) -> Table:
    """How much of the movement of ranks is due to each choice; how many measures and combinations, for the file."""
    result = facts.divide
    shares = 100 * result.shift_shares["total"]
    shown = pd.DataFrame(
        {
            "Choix": [capital(phrase(f"divide.choice_{name}")) for name in shares.index],
            "Part de la variation": [percent(value, 0) for value in shares],
        }
    )
    counts = {"mesures": len(result.components), "combinaisons": len(result.combinations)}
    counts |= {"departements": len(result.ranks)}
    data = pd.concat([shares, pd.Series(counts)]).rename_axis("choix").rename("valeur").reset_index()
    note = sentence("divide.choices_note")
    return Table("fracture_numerique_choix", sentence("divide.choices_caption"), shown, note=note, data=data)


def _standing(own: pd.Series, count: int) -> str:
    """Where the whole interval lies: in the first or last quarter, above or below the middle, or across it."""
    if own["rank_high"] <= count / 4:
        return "first_quarter"
    if own["rank_low"] > 3 * count / 4:
        return "last_quarter"
    if own["rank_high"] <= count / 2:
        return "above"
    return "below" if own["rank_low"] > count / 2 else "across"


def _ranks_figure(facts: TerritoryFacts, frame: pd.DataFrame) -> Figure:
    places = [place for place in list_territories() if place.departement in frame.index]
    table = frame.loc[[place.departement for place in places], ["rank", "rank_low", "rank_high", "score"]]
    table.insert(0, "label", [typeset(place.name) for place in places])
    table["strong"] = [place.id == facts.territory.id for place in places]
    table = table.sort_values("rank", kind="stable")
    first, last = table.iloc[0], table.iloc[-1]
    return figure_block(
        draw_rank_intervals(table, count=len(frame)).figure,
        name="fracture_numerique_rangs",
        caption=sentence("divide.ranks_caption"),
        alt=sentence(
            "divide.ranks_alt",
            count=number(len(table)),
            total=number(len(frame)),
            first=first["label"],
            first_low=number(first["rank_low"]),
            first_high=number(first["rank_high"]),
            last=last["label"],
            last_low=number(last["rank_low"]),
            last_high=number(last["rank_high"]),
        ),
        data=table.drop(columns="strong").rename(
            columns={"label": "territoire", "rank": "rang", "rank_low": "rang_bas", "rank_high": "rang_haut"}
        ),
        note=sentence("divide.ranks_note"),
    )


def _last_quarter_before(series, facts: TerritoryFacts) -> int:
    """Latest quarter with a figure before the likely exposure (or the first one at hand)."""
    day = facts.territory.exposure.likely
    start = day.year * 10 + (day.month - 1) // 3 + 1
    earlier = series[series.index < start]
    return int(earlier.index[-1] if len(earlier) else series.index[0])
