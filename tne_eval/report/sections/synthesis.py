"""All territories side by side."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import get_design, get_indicator, get_territory
from tne_eval.french import listing, number, percent, phrase, points, probability, sentence, typeset
from tne_eval.indicators import compute_indicator, indicator_table
from tne_eval.maps import draw_departements
from tne_eval.plotting import draw_panels, draw_ranges
from tne_eval.report.blocks import Block, Figure, Paragraph, Table, Title, Verdict, figure_block
from tne_eval.report.facts import SynthesisFacts
from tne_eval.report.sections.counters import counters_figure, counters_table
from tne_eval.report.sections.effect import checks_table, effects_table, placebo_figure
from tne_eval.report.sections.gaps import gaps_table
from tne_eval.report.sections.robust import robustness_table
from tne_eval.report.sections.words import verdict_key, verdict_text
from tne_eval.results import Verdict as Ruling
from tne_eval.sources.periods import format_period, session_exposed


def synthesis_opening(facts: SynthesisFacts) -> tuple[Block, ...]:
    """Title and verdict over the twelve territories."""
    names = {ruling: [] for ruling in Ruling}
    for place in facts.territories:
        names[facts.primary[place.id].verdict].append(place.name)
    credible = names[Ruling.CREDIBLE]
    parts = [
        sentence(f"synthesis.count_{ruling.name.lower()}", count=number(len(places)), places=listing(places))
        for ruling, places in names.items()
        if places
    ]
    pair = sentence(
        "effect.pair",
        verdict=verdict_text(facts.pair, phrase("verdict.pair_place"), phrase("verdict.pair_locative")),
    )
    return (
        Title(sentence("synthesis.title"), level=1),
        Verdict(
            title=sentence(f"synthesis.{'some' if credible else 'none'}_title"),
            text=" ".join(parts),
            kind="uncertain",
            label=sentence("synthesis.label"),
        ),
        Paragraph(pair),
        Paragraph(sentence("verdict.absorbed")),
    )


def synthesis_table(facts: SynthesisFacts) -> tuple[Block, ...]:
    """One row per territory: result, social position, access, effect and verdict."""
    columns = {
        "dnb_success_percent": "DNB",
        "disadvantaged_percent": "Défavorisés",
        "fibre_percent": "Fibre",
    }
    values = {id: compute_indicator(id, facts.panel) for id in columns}
    shown, raw = [], []
    for place in facts.territories:
        result = facts.primary[place.id]
        row = {"Territoire": typeset(place.name), "Exposé dès": session_exposed(place.exposure.likely)}
        facts_of = {"territoire": place.id, "premiere_session": session_exposed(place.exposure.likely)}
        for id, label in columns.items():
            table = values[id].frame
            own = table[(table["unit"] == place.departement) & table["value"].notna()].sort_values("period")
            value = float(own["value"].iloc[-1]) if len(own) else None
            entry = values[id].indicator
            row[label] = percent(value) if entry.unit == "percent" else number(value, entry.decimals)
            facts_of[id] = value
        row["Effet"] = points(result.estimate)
        row["Verdict"] = sentence(f"verdict.{verdict_key(result)}_label")
        facts_of |= {"effet": result.estimate, "verdict": str(result.verdict)}
        shown.append(row)
        raw.append(facts_of)
    return (
        Table(
            "territoires",
            sentence("synthesis.table_caption"),
            pd.DataFrame(shown),
            note=sentence("synthesis.table_note"),
            data=pd.DataFrame(raw),
        ),
    )


def synthesis_map(facts: SynthesisFacts) -> tuple[Block, ...]:
    """DNB success by département, the twelve territories outlined."""
    table = indicator_table("dnb_success_percent", facts.panel)
    period = int(table.columns[-1])
    values = table[period].dropna()
    axes = draw_departements(
        values,
        outlined=[place.departement for place in facts.territories],
        legend_title=sentence("synthesis.map_legend"),
    )
    figure = figure_block(
        axes.figure,
        name="carte_dnb",
        caption=sentence("synthesis.map_caption", period=format_period(period, "exam_session")),
        alt=sentence("synthesis.map_alt", low=percent(values.min()), high=percent(values.max())),
        data=values.rename("reussite").rename_axis("departement"),
    )
    return (figure,)


def synthesis_effects(facts: SynthesisFacts) -> tuple[Block, ...]:
    """Effects on one scale, and the gap to the académie session by session."""
    rows = []
    for place in facts.territories:
        result = facts.primary[place.id]
        if result.estimate is not None and result.reference is not None:
            rows.append(
                {
                    "label": place.name,
                    "estimate": result.estimate,
                    "low": result.reference.low,
                    "high": result.reference.high,
                }
            )
    table = pd.DataFrame(rows)
    bottom, top = table.loc[table["estimate"].idxmin()], table.loc[table["estimate"].idxmax()]
    forest = figure_block(
        draw_ranges(table, unit="points").figure,
        name="effets_territoires",
        caption=sentence("synthesis.forest_caption"),
        alt=sentence(
            "synthesis.forest_alt",
            bottom=bottom["label"],
            bottom_value=points(bottom["estimate"]),
            top=top["label"],
            top_value=points(top["estimate"]),
        ),
        data=table,
        note=sentence("synthesis.forest_note"),
    )
    return (forest, _multiples(facts), placebo_figure(facts.naive_pair))


def _multiples(facts: SynthesisFacts) -> Figure:
    panels = {
        place.name: (facts.primary[place.id].events.set_index("period")["gap"], session_exposed(place.exposure.likely))
        for place in facts.territories
        if facts.primary[place.id].estimate is not None
    }
    series = {name: gap for name, (gap, _first) in panels.items()}
    periods = sorted(set().union(*(gap.index for gap in series.values())))
    return figure_block(
        draw_panels(panels, unit="points"),
        name="ecarts_academie",
        caption=sentence("synthesis.multiples_caption"),
        alt=sentence("synthesis.multiples_alt", count=number(len(panels)), periods=f"{periods[0]}-{periods[-1]}"),
        data=pd.DataFrame(series).rename_axis("session").reset_index(),
    )


def synthesis_together(facts: SynthesisFacts) -> tuple[Block, ...]:
    """The territories together, each from its own first exposed session, and what a next wave could show."""
    shown, raw = [], []
    for design, found in facts.staggered.items():
        shown.append(
            {
                "Résultat": typeset(get_indicator(get_design(design).outcome).label),
                "Effet moyen": points(found.estimate),
                "Par imputation": points(found.imputed),
                "p": probability(found.p_value),
            }
        )
        names = ("estimate", "imputed", "p_value", "smallest_p")
        held = {"territoires": len(found.territories), "ecartes": len(found.left_out)}
        raw.append({"plan": design} | {name: getattr(found, name) for name in names} | held)
    one = next(iter(facts.staggered.values()))
    left_out = listing(typeset(get_territory(name).name) for name in one.left_out)
    waves = facts.waves
    plans = pd.DataFrame(
        {
            "Résultat": [typeset(get_indicator(get_design(design).outcome).label) for design in waves],
            **{
                sentence("together.wave", count=number(size)): [points(value, sign=False) for value in waves.loc[size]]
                for size in waves.index
            },
        }
    )
    return (
        Paragraph(sentence("together.intro", count=number(len(one.territories)), left_out=left_out)),
        Table("douze_ensemble", sentence("together.caption"), pd.DataFrame(shown), note=sentence("together.note"),
              data=pd.DataFrame(raw)),
        Table("prochaine_vague", sentence("together.waves_caption"), plans, note=sentence("together.waves_note"),
              data=waves.reset_index()),
    )  # fmt: skip


def synthesis_doses(facts: SynthesisFacts) -> tuple[Block, ...]:
    """What the pair became under other methods, its gaps, and the slopes of the effect on three doses."""
    shown, raw = [], []
    for name, found in facts.doses.items():
        shown.append(
            {
                "Dose": phrase(f"dose.{name}"),
                "Territoires": number(found.n),
                "Pente": points(found.slope, 2),
                "p": probability(found.p_value),
                "Sans un": f"{points(found.low, 2)} à {points(found.high, 2)}",
            }
        )
        names = ("n", "slope", "p_value", "smallest_p", "low", "high", "correlation", "exact")
        raw.append({"dose": name} | {item: getattr(found, item) for item in names})
    pair = [facts.pair, facts.naive_pair]
    return (
        effects_table(pair),
        checks_table(pair),
        robustness_table(facts.robustness),
        gaps_table(facts.gaps),
        Paragraph(sentence("dose.intro")),
        Table(
            "doses", sentence("dose.caption"), pd.DataFrame(shown), note=sentence("dose.note"), data=pd.DataFrame(raw)
        ),
    )


def synthesis_counters(facts: SynthesisFacts) -> tuple[Block, ...]:
    """The counters of the twelve territories against the number of pupils."""
    return (counters_figure(facts.audit, None), counters_table(facts.audit))
