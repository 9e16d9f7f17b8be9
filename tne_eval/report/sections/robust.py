"""What the effect becomes under other methods, controls and trends, and under every combination of choices."""

from __future__ import annotations

import pandas as pd

from tne_eval.french import number, percent, phrase, points, probability, sentence
from tne_eval.impact.robustness import Robustness
from tne_eval.impact.specification import SpecificationCurve
from tne_eval.plotting import draw_specifications
from tne_eval.report.blocks import Block, Figure, Paragraph, Table, figure_block
from tne_eval.report.facts import PRIMARY_DESIGN, TerritoryFacts
from tne_eval.results import ImpactResult


def robustness(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Methods and pools, trends, earlier dates, then the whole curve."""
    return (
        Paragraph(sentence("robust.intro")),
        robustness_table(facts.robustness, earlier=facts.primary.placebo_dates),
        *_trends(facts.robustness),
        Paragraph(" ".join([*_leave_one_out(facts.robustness), *_honest(facts.robustness), *_dates(facts.primary)])),
        Paragraph(_curve_text(facts.curve)),
        _curve_figure(facts.curve),
    )


def robustness_table(found: Robustness, *, earlier: pd.DataFrame | None = None) -> Table:
    """One row a method, then one a pool; the plain difference-in-differences opens both and is shown once.

    `earlier`: what the main comparison finds at dates before the programme, for the file of values alone.
    """
    methods = found.estimators.rename(columns={"estimator": "id"})
    table = pd.concat([methods, found.pools[found.pools["id"] != "main"]], ignore_index=True)
    shown = pd.DataFrame(
        {
            "Calcul": [phrase(f"robust.{name}") for name in table["id"]],
            "Effet mesuré": [points(value) for value in table["estimate"]],
            "p (minimal possible)": [
                f"{probability(own)} ({probability(least)})"
                for own, least in zip(table["p_value"], table["smallest_p"], strict=True)
            ],
        }
    )
    return Table(
        "robustesse",
        sentence("robust.estimators_caption"),
        shown,
        note=sentence("robust.estimators_note"),
        data=pd.concat(
            [table[["id", "estimate", "p_value", "smallest_p"]], _extremes(found), _earlier(earlier)], ignore_index=True
        ),
    )


def _extremes(found: Robustness) -> pd.DataFrame:
    """Lowest and highest estimate when a control is left out, as rows of the file of values."""
    if found.leave_one_out is None:
        return pd.DataFrame()
    ends = found.leave_one_out.iloc[[0, -1]]
    return pd.DataFrame({"id": [f"without_{unit}" for unit in ends["left_out"]], "estimate": ends["estimate"]})


def _earlier(dates: pd.DataFrame | None) -> pd.DataFrame:
    """What is found as if the programme had begun earlier, as rows of the file of values."""
    if dates is None or dates.empty:
        return pd.DataFrame()
    named = dates.assign(id=[f"from_{first}" for first in dates["first"]])
    return named[["id", "estimate", "p_value"]]


def _trends(found: Robustness) -> tuple[Block, ...]:
    """The effect if trends moved apart after by so many times their largest move before."""
    if found.honest is None:
        return ()
    shown = pd.DataFrame(
        {
            "Écart des tendances après, en fois celui d'avant": [number(value, 1) for value in found.honest["bound"]],
            "Au moins": [points(value) for value in found.honest["low"]],
            "Au plus": [points(value) for value in found.honest["high"]],
        }
    )
    note = sentence("robust.trends_note")
    data = found.honest.assign(breakdown=found.breakdown)
    return (Table("tendances", sentence("robust.trends_caption"), shown, note=note, data=data),)


def _leave_one_out(found: Robustness) -> list[str]:
    if found.leave_one_out is None:
        return []
    ends = found.leave_one_out["estimate"]
    return [sentence("robust.leave_one_out", low=points(ends.min()), high=points(ends.max()))]


def _honest(found: Robustness) -> list[str]:
    if found.honest is None:
        return []
    if found.breakdown is not None and found.breakdown >= 1:
        return [sentence("robust.honest_strong", breakdown=number(found.breakdown, 1))]
    same = found.honest.loc[found.honest["bound"] == 1].iloc[0]
    key = "robust.honest_zero" if found.breakdown is None else "robust.honest_fragile"
    return [sentence(key, low=points(same["low"]), high=points(same["high"]))]


def _dates(result: ImpactResult) -> list[str]:
    if result.placebo_dates.empty:
        return []
    ends = result.placebo_dates["estimate"]
    return [sentence("robust.dates", low=points(ends.min()), high=points(ends.max()))]


def _curve_text(curve: SpecificationCurve) -> str:
    return sentence(
        "robust.curve_text",
        count=number(len(curve.frame)),
        low=points(curve.low),
        high=points(curve.high),
        median=points(curve.median),
        significant=number(int((curve.frame["p_value"] <= curve.alpha).sum())),
    )


def _curve_figure(curve: SpecificationCurve) -> Figure:
    table = curve.frame.assign(near=curve.frame["design"] == PRIMARY_DESIGN)
    return figure_block(
        draw_specifications(table, alpha=curve.alpha, unit="points").figure,
        name="combinaisons",
        caption=sentence("robust.curve_caption"),
        alt=sentence(
            "robust.curve_alt",
            count=number(len(table)),
            low=points(curve.low),
            high=points(curve.high),
            median=points(curve.median),
            share=percent(100 * curve.same_sign, 0),
        ),
        data=table.drop(columns="near"),
        note=sentence("robust.curve_note"),
    )
