"""Collèges by social position (IPS): gradient of results, concentration of failures, Lorenz curve."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.errors import MissingDataError
from tne_eval.french import capital, percent, sentence
from tne_eval.indicators import concentration_curve, lorenz_curve
from tne_eval.indicators.formulas import select
from tne_eval.indicators.inequality import Curve
from tne_eval.plotting import draw_curves, draw_gradient
from tne_eval.report.blocks import Block, Figure, Paragraph, figure_block
from tne_eval.report.facts import TerritoryFacts
from tne_eval.sources.periods import format_period

_RESULTS = {
    "position": "dnb_college_ips_mean",
    "value": "dnb_college_success_percent",
    "weight": "dnb_college_present",
}
_HALF = 0.5


def results_by_ips(facts: TerritoryFacts, period: str) -> tuple[Block, ...]:
    """Success by social position, then where the failures are."""
    groups = _results_by_group(facts)
    return (_gradient(facts, groups, period), *_concentration(facts, groups, period))


def _gradient(facts: TerritoryFacts, groups: pd.DataFrame, period: str) -> Figure:
    """A point for each group of collèges."""
    own = groups[groups["own"]].sort_values("position")
    return figure_block(
        draw_gradient(groups, label=facts.territory.name).figure,
        name="gradient_dnb_colleges",
        caption=sentence("social.gradient_caption", period=period),
        alt=sentence(
            "social.gradient_alt",
            place_capital=capital(facts.territory.in_text),
            low=percent(own["value"].iloc[0]),
            high=percent(own["value"].iloc[-1]),
        ),
        data=own[["group", "position", "value", "weight"]].rename(
            columns={"group": "groupe", "position": "ips_moyen", "value": "reussite", "weight": "candidats"}
        ),
        note=sentence("social.gradient_note"),
    )


def _concentration(facts: TerritoryFacts, groups: pd.DataFrame, period: str) -> tuple[Block, ...]:
    """Share of the failures in the least favoured collèges; nothing where nobody failed."""
    own = groups[groups["own"]]
    if (own["value"] == 100).all():
        return ()
    curves = [concentration_curve(100 - rows["value"], rows["position"], rows["weight"]) for rows in (own, groups)]
    figure, shares = _two_curves(facts, *curves, name="concentration_echecs", key="concentration", period=period)
    return (
        Paragraph(sentence("social.concentration", locative=facts.territory.locative, period=period, **shares)),
        figure,
    )


def lorenz(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Lorenz curve of the IPS among collèges at the latest date; nothing where it is not known here."""
    try:
        rows = select(facts.panel, "ips_college_mean")
    except MissingDataError:
        return ()
    rows = rows[rows["period"] == rows["period"].max()]
    own = rows[(rows["unit"] == facts.territory.departement).to_numpy()]
    if own.empty:
        return ()
    curves = [lorenz_curve(part["value"], part["n"]) for part in (own, rows)]
    period = format_period(int(rows["period"].iloc[0]), "school_year")
    figure, _ = _two_curves(facts, *curves, name="lorenz_ips_colleges", key="lorenz", period=period)
    return (figure,)


def _results_by_group(facts: TerritoryFacts) -> pd.DataFrame:
    """`position, value, weight` of each group of collèges, and whether it is the territory's own."""
    columns = [
        select(facts.panel, variable).set_index(["unit", "group"])["value"].rename(name)
        for name, variable in _RESULTS.items()
    ]
    groups = pd.concat(columns, axis=1).reset_index()
    groups["own"] = (groups["unit"] == facts.territory.departement).to_numpy()
    return groups


def _two_curves(
    facts: TerritoryFacts, own: Curve, france: Curve, *, name: str, key: str, period: str
) -> tuple[Figure, dict[str, str]]:
    """The curves of the territory and of France at the points of the first; what each half holds, in words."""
    at = np.union1d(own.population, _HALF)
    data = pd.DataFrame(
        {"part": at, "territoire": np.interp(at, *own), "france": np.interp(at, *france)},
    )
    half = data.loc[data["part"] == _HALF].iloc[0]
    shares = {"share": percent(100 * half["territoire"], 0), "france": percent(100 * half["france"], 0)}
    curves = {
        label: data[["part", column]].set_axis(["population_share", "value_share"], axis=1)
        for label, column in ((facts.territory.name, "territoire"), ("France", "france"))
    }
    axes = draw_curves(curves, x=sentence(f"social.{key}_x"), y=sentence(f"social.{key}_y"))
    figure = figure_block(
        axes.figure,
        name=name,
        caption=sentence(f"social.{key}_caption", period=period),
        alt=sentence(f"social.{key}_alt", place_capital=capital(facts.territory.in_text), **shares),
        data=data,
        note=sentence(f"social.{key}_note"),
    )
    return figure, shares
