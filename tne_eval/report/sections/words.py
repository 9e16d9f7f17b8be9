"""Wording shared by the sections: how a result is said."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.catalog import Design, Indicator, Territory, get_indicator
from tne_eval.french import (
    HARD,
    amount,
    capital,
    listing,
    money,
    number,
    of,
    percent,
    phrase,
    points,
    probability,
    sentence,
    typeset,
)
from tne_eval.report.blocks import Figure, Table, figure_block
from tne_eval.report.facts import TerritoryFacts
from tne_eval.results import ImpactResult, IndicatorResult, Verdict
from tne_eval.sources import academie_of
from tne_eval.sources.geography import region_of
from tne_eval.sources.periods import format_period


def verdict_key(result: ImpactResult) -> str:
    """The name of a verdict in the catalogue's sentences."""
    return result.verdict.name.lower()


def own_and_national(result: IndicatorResult, period: int | None = None) -> dict[str, str]:
    """Value of the territory, France and académie at a period (by default the latest), in words."""
    own = result.series()
    period = int(own.index[-1]) if period is None else period
    entry = result.indicator

    def said(unit_type: str) -> str:
        series = result.series(unit_type)
        return amount(series.get(period), entry.unit, entry.decimals)

    return {
        "value": said("departement"),
        "france": said("france"),
        "academie": said("academie"),
        "period": format_period(period, entry.period_type),
    }


def comparison_figure(
    result: IndicatorResult, territory: Territory, *, key: str, caption: str, note: str = ""
) -> Figure:
    """Curve of an indicator beside académie and France, with its values in words; `key` names the alternative text."""
    entry = result.indicator
    own, france, academie = (result.series(kind) for kind in ("departement", "france", "academie"))

    def said(series: pd.Series, place: int) -> str:
        return amount(None if series.empty else series.iloc[place], entry.unit, entry.decimals)

    alt = sentence(
        key,
        place_capital=capital(territory.in_text),
        first=format_period(int(own.index[0]), entry.period_type),
        last=format_period(int(own.index[-1]), entry.period_type),
        first_value=said(own, 0),
        value=said(own, -1),
        france_first=said(france, 0),
        france=said(france, -1),
        academie_first=said(academie, 0),
        academie=said(academie, -1),
    )
    data = result.frame[["label", "period", "value"]].rename(
        columns={"label": "territoire", "period": "periode", "value": "valeur"}
    )
    return figure_block(
        result.plot().figure, name=entry.id, caption=typeset(caption), alt=alt, data=data, note=typeset(note)
    )


def indicators_table(results: list[IndicatorResult | None], *, name: str, caption: str, note: str = "") -> Table:
    """Indicators in rows: territory, académie, France at the latest period of each; at every one in the data.

    Where a producer advises not to read gaps below some size, the note says so.
    """
    shown, raw, advice = [], [], {}
    for result in results:
        if result is None or result.series().empty:
            continue
        entry, said = result.indicator, own_and_national(result)
        shown.append(
            {
                "Indicateur": typeset(entry.label),
                "Période": said["period"],
                "Territoire": said["value"],
                "Académie": said["academie"],
                "France": said["france"],
            }
        )
        if entry.smallest_readable_gap:
            advice[gap_advice(entry)] = None
        raw.append(_every_period(result))
    note = " ".join([typeset(note), *advice]).strip()
    data = {column: np.concatenate([one[column] for one in raw]) for column in (raw[0] if raw else ())}
    return Table(name, typeset(caption), pd.DataFrame(shown), note=note, data=pd.DataFrame(data))


def _every_period(result: IndicatorResult) -> dict[str, np.ndarray]:
    """The territory, its académie, France and the gaps to them, at each period of the territory."""
    own, entry = result.series(), result.indicator
    known = {name: result.series(name).to_dict() for name in ("academie", "france")}
    period, value = own.index.to_numpy(), own.to_numpy()
    columns = {"indicateur": np.full(len(own), entry.id, dtype=object)}
    columns |= {"unite": np.full(len(own), entry.unit, dtype=object), "periode": period, "territoire": value}
    for name, values in known.items():
        columns[name] = np.array([values.get(one, np.nan) for one in period.tolist()])
        columns[f"ecart_{name}"] = value - columns[name]
    columns["plus_petit_ecart_lisible"] = np.full(len(own), entry.smallest_readable_gap or np.nan)
    return columns


def gap_advice(entry: Indicator) -> str:
    """What the producer of an indicator says of its small gaps."""
    return sentence("social.ips_advice", limit=amount(entry.smallest_readable_gap, entry.unit, 0))


def peers(result: ImpactResult) -> str:
    """The comparison group, as a reader calls it."""
    if result.design.strata != "academie":
        return phrase("verdict.peers_national", count=number(len(result.controls)))
    names = list(dict.fromkeys(academie_of(unit) for unit in result.treated))
    if len(names) == 1:
        key = "verdict.peer_academie" if len(result.controls) == 1 else "verdict.peers_academie"
        return phrase(key, of_academie=of(names[0]))
    return phrase("verdict.peers_academies")


def span(values: pd.Series) -> str:
    """`de −0,6 point à +0,7 point`, or the one value."""
    low, high = points(values.min()), points(values.max())
    return low if low == high else phrase("effect.span", low=low, high=high)


def said(value: float | None, design: Design, *, sign: bool = True) -> str:
    """An effect in the unit of the outcome of its design."""
    if design.unit == "points":
        return points(value, sign=sign)
    return number(value, get_indicator(design.outcome).decimals, sign=sign)


def verdict_text(result: ImpactResult, place: str, locative: str) -> str:
    """What was measured, and why it may or may not be believed: one or two sentences, by the verdict."""
    if result.verdict is Verdict.REFUSED:
        return refusal_text(result, place, locative)
    measured = sentence(
        "verdict.measured",
        first=str(result.post[0]),
        place=place,
        peers=peers(result),
        estimate=points(result.estimate),
    )
    return f"{measured} {why_text(result)}"


def refusal_text(result: ImpactResult, place: str, locative: str) -> str:
    """Why nothing could be compared."""
    return sentence(
        f"verdict.refused_{result.reasons['estimate']}",
        of_academie=of(academie_of(result.treated[0])),
        place=place,
        locative=locative,
    )


def why_text(result: ImpactResult) -> str:
    """Why an effect may or may not be believed, by the verdict."""
    design, verdict = result.design, result.verdict
    if verdict is Verdict.FAILS:
        failed = next(check for check in result.checks if check.passed is False)
        return sentence(
            f"verdict.fails_{failed.id}",
            slope=said(float(result.units["slope"].mean()), design),
            carried=said(failed.value, design),
            share=percent(None if failed.value is None else 100 * failed.value, 0),
            breaks=listing(str(item.period) for item in design.breaks),
        )
    if verdict is Verdict.UNKNOWABLE:
        count = len(result.controls)
        controls = "verdict.controls_one" if count == 1 else "verdict.controls_many"
        return sentence(
            "verdict.unknowable",
            controls=phrase(controls, **({} if count == 1 else {"count": number(count)})),
            odds=phrase("verdict.one_in", count=number(round(1 / result.smallest_p))),
            alpha=percent(100 * design.alpha, 0),
        )
    name = verdict_key(result)
    if verdict is Verdict.UNDERPOWERED and result.mde is None:
        name = "underpowered_unknown"
    elif verdict is Verdict.CREDIBLE and result.low is None:
        name = "credible_one" if len(result.treated) == 1 else "credible_no_range"
    bound = None if result.low is None else max(abs(result.low), abs(result.high))
    return sentence(
        f"verdict.{name}",
        low=said(result.low, design),
        high=said(result.high, design),
        mde=said(result.mde, design, sign=False),
        bound=said(bound, design, sign=False),
    )


def region_standing(facts: TerritoryFacts) -> dict[str, str] | None:
    """Grants a pupil of the territory's region, its rank among the regions whose grants are published and their count,
    in words; None where those of its region are not."""
    euros = facts.grants["euros_per_pupil"]
    region = region_of(facts.territory.departement)
    if region not in euros:
        return None
    rank = region_ranks(facts)[region]
    return {"euros": money(euros[region]), "rank": number(rank), "count": number(len(euros))}


def region_ranks(facts: TerritoryFacts) -> pd.Series:
    """Rank of each region by its grants a pupil, from the highest."""
    return facts.grants["euros_per_pupil"].rank(ascending=False, method="min").astype(int)


def money_range(low: float, high: float) -> str:
    return money(low) if low == high else f"{money(low)} à {money(high)}"


def p_text(value: float | None) -> str:
    return f"p{HARD}={HARD}{probability(value)}" if value is not None else "n.d."
