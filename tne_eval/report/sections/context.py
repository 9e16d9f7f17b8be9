"""The effect among published ones: in standard deviations, diluted, against what was believed, and for its cost."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import effect_context
from tne_eval.french import money, number, percent, sentence, typeset
from tne_eval.impact.context import EffectInContext, Posterior
from tne_eval.plotting import draw_forest
from tne_eval.report.blocks import Block, Figure, Paragraph, Table, figure_block
from tne_eval.report.facts import TerritoryFacts
from tne_eval.report.sections.words import money_range
from tne_eval.results import Verdict

# Share of the data in the posterior mean from which they change what was believed.
_CHANGES = 0.5


def in_context(facts: TerritoryFacts) -> tuple[Block, ...]:
    """The published effects and, where a comparison could be made, ours beside them, what it changes and costs."""
    found, place = facts.context, facts.territory
    if found is None:
        return (_forest(facts, None),)
    # A comparison that does not hold revises nothing.
    posteriors = () if facts.primary.verdict is Verdict.FAILS else found.posteriors
    blocks: list[Block] = [
        Paragraph(
            " ".join(
                [
                    sentence(
                        "context.intro",
                        point=number(1 / found.sd, 3),
                        locative=place.locative,
                        itt=number(found.itt, 2, sign=True),
                    ),
                    _diluted(found),
                ]
            )
        ),
        _forest(facts, found),
        Paragraph(_prior(posteriors)),
        Paragraph(_cost(found)),
        _values(found, posteriors),
    ]
    return tuple(blocks)


def _values(found: EffectInContext, posteriors: tuple[Posterior, ...]) -> Table:
    """What the sentences above say, in figures."""
    costs = {} if found.cost_a_pupil is None else dict(zip(("low", "high"), found.cost_a_pupil, strict=True))
    rows = [
        ("itt", (found.itt, found.itt_low, found.itt_high), 2),
        ("treated", (None, found.treated.estimate_low, found.treated.estimate_high), 2),
        ("prior", (effect_context().prior.mean, None, None), 2),
        ("posterior", (None, *(sorted(one.mean for one in posteriors) or (None, None))), 2),
        ("cost_a_pupil", (None, costs.get("low"), costs.get("high")), 0),
        ("cost", (None, found.cost and found.cost.low, found.cost and found.cost.high), 0),
    ]
    shown = pd.DataFrame(
        {
            "Mesure": [sentence(f"context.row_{name}") for name, _, _ in rows],
            "Valeur": [number(values[0], decimals) for _, values, decimals in rows],
            "Au moins": [number(values[1], decimals) for _, values, decimals in rows],
            "Au plus": [number(values[2], decimals) for _, values, decimals in rows],
        }
    )
    raw = pd.DataFrame([{"mesure": name, "valeur": v[0], "bas": v[1], "haut": v[2]} for name, v, _ in rows])
    extra = {"prior_sd": effect_context().prior.sd, "point": 1 / found.sd}
    extra |= {"share": found.share.low, "share_high": found.share.high}
    extra |= {f"weight_{place}": one.weight_of_data for place, one in enumerate(posteriors)}
    raw = pd.concat([raw, pd.DataFrame({"mesure": list(extra), "valeur": list(extra.values())})], ignore_index=True)
    return Table("contexte", sentence("context.values_caption"), shown, data=raw)


def _diluted(found: EffectInContext) -> str:
    return sentence(
        f"context.diluted_{'known' if found.share_known else 'unknown'}",
        low=percent(100 * found.share.low, 0),
        high=percent(100 * found.share.high, 0),
        treated_low=number(found.treated.estimate_low, 2, sign=True),
        treated_high=number(found.treated.estimate_high, 2, sign=True),
    )


def _prior(posteriors: tuple[Posterior, ...]) -> str:
    if not posteriors:
        return sentence("context.prior_refused")
    belief = effect_context().prior
    means = sorted(posterior.mean for posterior in posteriors)
    weights = sorted(posterior.weight_of_data for posterior in posteriors)
    return sentence(
        "context.prior",
        prior=number(belief.mean, 2, sign=True),
        prior_sd=number(belief.sd, 2),
        low=number(means[0], 2, sign=True),
        high=number(means[-1], 2, sign=True),
        weight_low=percent(100 * weights[0], 0),
        weight_high=percent(100 * weights[-1], 0),
        conclusion=sentence("context.prior_strong" if weights[0] >= _CHANGES else "context.prior_weak"),
    )


def _cost(found: EffectInContext) -> str:
    if found.cost_a_pupil is None:
        return sentence("context.cost_unknown")
    said = money_range(*found.cost_a_pupil)
    if found.cost is None or found.cost.low is None:
        sequel = sentence("context.cost_none")
    elif found.cost.high is None:
        sequel = sentence("context.cost_floor", low=money(found.cost.low))
    else:
        sequel = sentence("context.cost_bounded", low=money(found.cost.low), high=money(found.cost.high))
    return sentence("context.cost", cost=said, sequel=sequel)


def _forest(facts: TerritoryFacts, found: EffectInContext | None) -> Figure:
    rows = [
        {
            "label": f"{effect.study}, {effect.outcome.lower()}",
            "estimate": effect.value if effect.value is not None else (effect.low + effect.high) / 2,
            "low": effect.low,
            "high": effect.high,
            "own": False,
            "source": effect.source,
        }
        for effect in effect_context().effect
    ]
    published = [end for row in rows for end in (row["low"], row["high"], row["estimate"]) if end is not None]
    if found is not None:
        own = sentence("context.own", place=facts.territory.in_text)
        rows.append(
            {
                "label": own,
                "estimate": found.itt,
                "low": found.itt_low,
                "high": found.itt_high,
                "own": True,
                "source": facts.primary.design.id,
            }
        )
    table = pd.DataFrame(rows)
    table["label"] = [typeset(label) for label in table["label"]]
    return figure_block(
        draw_forest(table).figure,
        name="effets_publies",
        caption=sentence("context.caption"),
        alt=sentence(
            "context.alt",
            low=number(min(published), 2, sign=True),
            high=number(max(published), 2, sign=True),
            own=number(None if found is None else found.itt, 2, sign=True),
        ),
        data=table.drop(columns="own"),
        note=sentence("context.note"),
    )
