"""DNB results and social inequality between schools."""

from __future__ import annotations

from tne_eval.french import listing, number, phrase, points, sentence, years
from tne_eval.maps import draw_schools
from tne_eval.report.blocks import Block, Note, Paragraph, Table, figure_block
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.by_ips import lorenz, results_by_ips
from tne_eval.report.sections.words import comparison_figure, gap_advice, indicators_table, own_and_national
from tne_eval.results import IndicatorResult

# Collèges below which none is mapped.
_MAPPED = 12


def dnb_results(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Level of the success rate, its curve, and the gaps between girls and boys, on time and late."""
    result = facts.indicator("dnb_success_percent")
    said = own_and_national(result)
    periods = [int(period) for period in result.series().index]
    alone = "_alone" if result.series("academie").empty else ""
    return (
        Paragraph(
            sentence(
                f"dnb.level{alone}",
                locative=facts.territory.locative,
                gap_france=points(result.gap("france")),
                gap_academie=points(result.gap("academie")),
                **said,
            )
        ),
        comparison_figure(
            result,
            facts.territory,
            key=f"dnb.figure_alt{alone}",
            caption=sentence("dnb.figure_caption", periods=years(periods)),
            note=sentence(
                "dnb.figure_note",
                excluded=listing(str(item.period) for item in facts.primary.design.excluded),
                breaks=listing(str(item.period) for item in facts.primary.design.breaks),
            ),
        ),
        indicators_table(
            [
                facts.indicator(id)
                for id in ("dnb_success_percent", "dnb_honours_percent", "dnb_girls_boys_gap", "dnb_late_gap")
            ],
            name="dnb_ecarts",
            caption=sentence("dnb.gaps_caption", locative=facts.territory.locative, period=said["period"]),
        ),
    )


def social_inequality(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Social segregation between collèges, and how results follow social position."""
    place = facts.territory
    entropy = facts.indicator("segregation_entropy")
    blocks: list[Block] = []
    if entropy is not None:
        periods = [int(period) for period in entropy.series().index]
        poor = own_and_national(facts.indicator("disadvantaged_percent"))
        index = own_and_national(entropy)
        blocks += [
            Paragraph(
                sentence(
                    "social.segregation",
                    value=poor["value"],
                    locative=place.locative,
                    france=poor["france"],
                    index=index["value"],
                    index_france=index["france"],
                    comparison=phrase(f"social.segregation_{_compared(entropy)}"),
                )
            ),
            comparison_figure(
                entropy,
                place,
                key="social.segregation_figure_alt",
                caption=sentence(
                    "social.segregation_figure_caption", periods=f"{years([periods[0]])}-{years([periods[-1] + 1])}"
                ),
            ),
        ]
    gradient = facts.indicator("gradient_dnb_colleges")
    if gradient is not None and gradient.value is not None:
        period = own_and_national(gradient)["period"]
        blocks += [
            Paragraph(
                sentence(
                    "social.gradient",
                    locative=place.locative,
                    value=points(gradient.value, sign=False),
                    france=points(gradient.series("france").iloc[-1], sign=False),
                    period=period,
                )
            ),
            *results_by_ips(facts, period),
        ]
    return (
        *blocks,
        *_quarters(facts),
        _schools_table(facts),
        *lorenz(facts),
        _results_table(facts),
        *_places(facts),
        Note(sentence("social.census_note")),
    )


def _quarters(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Results and IPS of the most and the least favoured quarters, with the producer's word on small gaps of IPS."""
    results, ips = (facts.indicator(id) for id in ("quartile_gap_dnb_colleges", "quartile_gap_ips_colleges"))
    if results is None or ips is None or results.value is None or ips.value is None:
        return ()
    gap = own_and_national(results)
    text = sentence(
        "social.quarters",
        locative=facts.territory.locative,
        value=gap["value"].lstrip("+"),
        france=gap["france"].lstrip("+"),
        period=gap["period"],
    )
    return (Paragraph(text), Paragraph(_ips_gap(facts, ips)))


def _ips_gap(facts: TerritoryFacts, ips: IndicatorResult) -> str:
    said = own_and_national(ips)
    names = ("value", "france", "period")
    difference = sentence("social.ips_gap", locative=facts.territory.locative, **{name: said[name] for name in names})
    reading = "readable" if ips.gap_is_readable() else "unreadable"
    return f"{difference} {gap_advice(ips.indicator)} {sentence(f'social.ips_gap_{reading}')}"


def _places(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Map of the collèges by IPS, where their files are at hand; few of them would each be known by its place."""
    if facts.places is None or len(facts.places) < _MAPPED:
        return ()
    ips = facts.places["value"]
    figure = figure_block(
        draw_schools(facts.places, facts.territory.departement, legend_title=phrase("social.places_legend")).figure,
        name="carte_colleges",
        caption=sentence("social.places_caption", locative=facts.territory.locative),
        alt=sentence("social.places_alt", count=number(len(ips)), low=number(ips.min()), high=number(ips.max())),
        data=ips.describe().rename("ips").rename_axis("mesure").reset_index(),
    )
    return (figure,)


def _compared(result: IndicatorResult) -> str:
    """Above, below or near France: near within a tenth of the French value."""
    own, france = result.series().iloc[-1], result.series("france").iloc[-1]
    return "same" if abs(own - france) <= 0.1 * france else "more" if own > france else "less"


def _schools_table(facts: TerritoryFacts) -> Table:
    ids = (
        "disadvantaged_percent",
        "very_advantaged_percent",
        "private_percent",
        "rep_colleges_percent",
        "segregation_entropy",
        "segregation_public",
        "segregation_private",
        "segregation_between_sectors_percent",
        "quartile_gap_ips_ecoles",
        "quartile_gap_ips_colleges",
        "rep_gap_ips_colleges",
        "rural_gap_ips_ecoles",
        "gini_ips_ecoles",
        "gini_ips_colleges",
        "theil_ips_colleges",
    )
    return indicators_table(
        [facts.indicator(id) for id in ids],
        name="inegalites",
        caption=sentence("social.table_caption", place=facts.territory.in_text),
        note=sentence("social.table_note"),
    )


def _results_table(facts: TerritoryFacts) -> Table:
    measures = ("quartile_gap", "slope_index", "relative_index", "gradient", "gradient_strength", "erreygers")
    ids = [f"{measure}_{source}_colleges" for source in ("dnb", "ivac") for measure in (*measures, "rep_gap")]
    ids.append("rural_gap_dnb_colleges")
    return indicators_table(
        [facts.indicator(id) for id in ids],
        name="resultats_selon_ips",
        caption=sentence("social.results_caption", locative=facts.territory.locative),
    )
