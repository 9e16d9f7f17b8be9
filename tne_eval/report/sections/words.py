"""Wording shared by the sections: how a result is said."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import Indicator, Territory
from tne_eval.french import (
    HARD,
    amount,
    capital,
    listing,
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
from tne_eval.results import ImpactResult, IndicatorResult, Verdict
from tne_eval.sources import academie_of
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
    return Table(name, typeset(caption), pd.DataFrame(shown), note=note, data=pd.concat(raw) if raw else pd.DataFrame())


def _every_period(result: IndicatorResult) -> pd.DataFrame:
    """The territory, its académie, France and the gaps to them, at each period of the territory."""
    own, entry = result.series(), result.indicator
    frame = pd.DataFrame({"territoire": own})
    for name in ("academie", "france"):
        frame[name] = result.series(name).reindex(own.index)
        frame[f"ecart_{name}"] = own - frame[name]
    frame = frame.rename_axis("periode").reset_index()
    return frame.assign(indicateur=entry.id, unite=entry.unit)[["indicateur", "unite", *frame.columns]]


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


def verdict_text(result: ImpactResult, place: str, locative: str) -> str:
    """What was measured, and why it may or may not be believed: one or two sentences, by the verdict."""
    key = verdict_key(result)
    if result.verdict is Verdict.REFUSED:
        return sentence(
            f"verdict.refused_{result.reasons['estimate']}",
            of_academie=of(academie_of(result.treated[0])),
            place=place,
            locative=locative,
        )
    measured = sentence(
        "verdict.measured",
        first=str(result.post[0]),
        place=place,
        peers=peers(result),
        estimate=points(result.estimate),
    )
    if result.verdict is Verdict.FAILS:
        failed = next(check for check in result.checks if check.passed is False)
        why = sentence(
            f"verdict.fails_{failed.id}",
            slope=points(_slope(result)),
            carried=points(failed.value),
            share=percent(100 * failed.value if failed.value is not None else None, 0),
            breaks=listing(str(period.period) for period in result.design.breaks),
        )
    elif result.verdict is Verdict.UNKNOWABLE:
        count = len(result.controls)
        controls = "verdict.controls_one" if count == 1 else "verdict.controls_many"
        why = sentence(
            "verdict.unknowable",
            controls=phrase(controls, **({} if count == 1 else {"count": number(count)})),
            odds=phrase("verdict.one_in", count=number(round(1 / result.smallest_p))),
            alpha=percent(100 * result.design.alpha, 0),
        )
    elif result.verdict is Verdict.NOTHING and result.mde is None:
        why = sentence("verdict.nothing_plain")
    elif result.verdict is Verdict.CREDIBLE and result.low is None:
        why = sentence("verdict.credible_one")
    else:
        bound = None if result.low is None else max(abs(result.low), abs(result.high))
        why = sentence(
            f"verdict.{key}",
            low=points(result.low),
            high=points(result.high),
            mde=points(result.mde, sign=False),
            bound=points(bound, sign=False),
        )
    return f"{measured} {why}"


def _slope(result: ImpactResult) -> float:
    return float(result.units["slope"].mean())


def p_text(value: float | None) -> str:
    return f"p{HARD}={HARD}{probability(value)}" if value is not None else "n.d."
