"""The effect: what the comparison can show, the estimates, the assumptions, the variants."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.french import capital, number, percent, phrase, points, probability, sentence, typeset
from tne_eval.impact.inference import permutation_p
from tne_eval.plotting import draw_events, draw_placebos, draw_ranges
from tne_eval.report.blocks import Block, Figure, Note, Paragraph, Table, figure_block
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.words import span, verdict_key, verdict_text
from tne_eval.results import ImpactResult, Verdict


def effect(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Power first, then the estimates of both designs, their checks, the second reference and the variants."""
    place, primary, naive = facts.territory, facts.primary, facts.naive
    results = [primary, naive, *([facts.pair] if place.wave == 1 else [])]
    blocks: list[Block] = [*_power(primary), effects_table(results), checks_table(results)]
    if primary.estimate is not None:
        blocks.append(_events_figure(facts, primary))
        blocks += _reference(primary)
        blocks.append(_sensitivity_figure(primary))
    if naive.estimate is not None:
        blocks += [_naive_warning(naive), _events_figure(facts, naive)]
    if place.wave == 1:
        pair = phrase("verdict.pair_place")
        blocks.append(
            Paragraph(sentence("effect.pair", verdict=verdict_text(facts.pair, pair, phrase("verdict.pair_locative"))))
        )
    return tuple(blocks)


def _power(result: ImpactResult) -> list[Block]:
    if result.verdict is Verdict.REFUSED:
        return [Note(sentence("power.refused", reason=phrase(f"reason.{result.reasons['estimate']}")), kind="limit")]
    plan = result.design
    if result.smallest_p > plan.alpha:
        sequel = sentence("power.no_test", alpha=percent(100 * plan.alpha, 0))
    else:
        sequel = sentence(
            "power.mde", mde=points(result.mde, sign=False), margin=points(plan.equivalence_margin, 0, sign=False)
        )
        if len(result.treated) == 1:
            sequel += " " + sentence("power.one_treated")
    return [
        Paragraph(
            sentence(
                "power.test",
                smallest_p=probability(result.smallest_p),
                assignments=number(result.n_assignments),
                sequel=sequel,
            )
        )
    ]


def _comparison(result: ImpactResult) -> str:
    who = phrase("effect.alone") if result.territory else phrase("verdict.pair_place")
    return capital(typeset(f"{result.design.short}, {who}"))


def effects_table(results: list[ImpactResult]) -> Table:
    """One row per design: estimate, interval, p, smallest attainable p, detectable effect; reasons where none."""

    def bounds(result: ImpactResult) -> str:
        if result.low is None:
            return phrase(f"reason.{result.reasons['low']}")
        return f"{points(result.low)} à {points(result.high)}"

    def detectable(result: ImpactResult) -> str:
        return points(result.mde, sign=False) if result.mde is not None else phrase(f"reason.{result.reasons['mde']}")

    shown = [
        {
            "Comparaison": _comparison(result),
            "Effet mesuré": points(result.estimate),
            typeset("Fourchette à 95 %"): bounds(result),
            "p (minimal possible)": f"{probability(result.p_value)} ({probability(result.smallest_p)})",
            "Effet détectable": detectable(result),
            "Verdict": sentence(f"verdict.{verdict_key(result)}_label"),
        }
        for result in results
    ]
    raw = pd.concat([_with_reference(result) for result in results], ignore_index=True)
    return Table("effets", sentence("effect.table_caption"), pd.DataFrame(shown), data=raw)


def _with_reference(result: ImpactResult) -> pd.DataFrame:
    reference = result.reference
    return result.to_frame().assign(
        **{
            f"reference_{name}": None if reference is None else getattr(reference, name)
            for name in ("n_placebos", "p_value", "low", "high", "mde")
        },
        reference_academies=None if reference is None else len(reference.academies),
        excluded=" ".join(str(item.period) for item in result.design.excluded),
        alpha=result.design.alpha,
        equivalence_margin=result.design.equivalence_margin,
        slope=result.units["slope"].mean() if "slope" in result.units else None,
    )


def checks_table(results: list[ImpactResult]) -> Table:
    """Each assumption put to the test, with what was found."""
    shown, raw = [], []
    for result in results:
        for check in result.checks:
            said = {
                "pretrend": points(check.value),
                "academie_shocks": percent(None if check.value is None else 100 * check.value, 0),
            }.get(check.id, "")
            shown.append(
                {
                    "Comparaison": _comparison(result),
                    "Hypothèse": sentence(f"check.{check.id}"),
                    "Règle": phrase(f"check.{check.id}_rule", limit=_limit(check)),
                    "Constaté": said or "–",
                    "Verdict": phrase(
                        {True: "check.passed", False: "check.failed", None: "check.untested"}[check.passed]
                    ),
                }
            )
            raw.append(
                {
                    "plan": result.design.id,
                    "territoire": result.territory or "demonstrateurs",
                    "hypothese": check.id,
                    "constate": check.value,
                    "limite": check.limit,
                    "tient": check.passed,
                }
            )
    return Table("hypotheses", sentence("effect.checks_caption"), pd.DataFrame(shown), data=pd.DataFrame(raw))


def _limit(check) -> str:
    return percent(100 * check.limit, 0) if check.id == "academie_shocks" else points(check.limit, sign=False)


def _events_figure(facts: TerritoryFacts, result: ImpactResult) -> Figure:
    events = result.events
    before = events[events["period"].isin(result.pre)]["estimate"]
    after = events[events["period"] >= result.post[0]]["estimate"]
    axes = draw_events(events, unit=result.design.unit, exposed=facts.first_session)
    return figure_block(
        axes.figure,
        name=f"evenements_{result.design.id}",
        caption=sentence("effect.events_caption", design=phrase(f"effect.by_{result.design.id}")),
        alt=sentence(
            "effect.events_alt",
            place=facts.territory.in_text,
            base=str(result.pre[-1]),
            before=span(before),
            after=span(after),
        ),
        data=events,
        note=sentence("effect.events_band" if events["band_low"].notna().any() else "effect.events_no_band"),
    )


def _reference(result: ImpactResult) -> list[Block]:
    reference = result.reference
    if reference is None:
        return []
    return [
        Paragraph(
            sentence(
                "effect.reference",
                count=number(reference.n_placebos),
                academies=number(len(reference.academies)),
                p_value=probability(reference.p_value),
                low=points(reference.low),
                high=points(reference.high),
                mde=points(reference.mde, sign=False),
            )
        )
    ]


def _sensitivity_figure(result: ImpactResult) -> Figure:
    table = result.sensitivities.assign(label=[sentence(f"sensitivity.{id}") for id in result.sensitivities["id"]])
    return figure_block(
        draw_ranges(table, unit=result.design.unit).figure,
        name=f"variantes_{result.design.id}",
        caption=sentence("effect.sensitivity_caption"),
        alt=sentence(
            "effect.sensitivity_alt", low=points(table["estimate"].min()), high=points(table["estimate"].max())
        ),
        data=table,
    )


def _naive_warning(result: ImpactResult) -> Note:
    share = next(check.value for check in result.checks if check.id == "academie_shocks")
    return Note(
        sentence(
            "effect.naive_warning",
            estimate=points(result.estimate),
            p_value=probability(result.p_value),
            share=percent(100 * share, 0),
        ),
        kind="warning",
    )


def placebo_figure(result: ImpactResult) -> Figure:
    counts, edges = np.histogram(result.placebo, bins=30)
    return figure_block(
        draw_placebos(result.placebo, result.estimate, unit=result.design.unit).figure,
        name=f"placebos_{result.design.id}",
        caption=sentence("effect.placebo_caption"),
        alt=sentence(
            "effect.placebo_alt",
            count=number(len(result.placebo)),
            estimate=points(result.estimate),
            share=percent(100 * permutation_p(result.placebo), 1),
        ),
        data=pd.DataFrame({"de": edges[:-1], "a": edges[1:], "tirages": counts}),
    )
