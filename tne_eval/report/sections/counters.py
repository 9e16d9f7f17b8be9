"""The programme's own counters, set against the number of pupils."""

from __future__ import annotations

import pandas as pd

from tne_eval.catalog import get_territory
from tne_eval.french import amount, capital, date_text, number, percent, sentence
from tne_eval.plotting import draw_bars
from tne_eval.report.blocks import Block, Figure, Paragraph, Table, figure_block
from tne_eval.report.facts import TerritoryFacts


def counters(facts: TerritoryFacts) -> tuple[Block, ...]:
    """Pupils reached and training attendances against a stated denominator, beside the other territories."""
    row = facts.audit.set_index("territory").loc[facts.territory.id]
    return (
        Paragraph(
            sentence(
                "counter.main",
                reached=number(row["pupils_reached"]),
                locative=facts.territory.locative,
                month=_month(row["month"]),
                stock=number(row["stock"]),
                distinct=number(row["distinct"]),
                years=number(row["years"]),
                judgement=sentence(f"counter.{row['verdict']}"),
            )
        ),
        Paragraph(
            sentence(
                "counter.attendances",
                attendances=number(row["attendances"]),
                month=_month(row["attendances_month"]),
                per_100=number(row["attendances_per_100_pupils"], 1),
            )
        ),
        counters_figure(facts.audit, facts.territory.id),
    )


def _month(period: float) -> str:
    text = str(int(period))
    return date_text(f"{text[:4]}-{text[4:]}")


def counters_figure(audit: pd.DataFrame, territory: str | None) -> Figure:
    """Bars of the twelve territories, with a line at one hundred."""
    table = pd.DataFrame(
        {
            "label": [get_territory(id).name for id in audit["territory"]],
            "value": audit["percent_of_stock"],
            "strong": audit["territory"] == territory if territory else audit["verdict"] != "plausible",
        }
    ).sort_values("value", ascending=False)
    top = table.iloc[0]
    own = audit.set_index("territory")["percent_of_stock"].get(territory) if territory else None
    alt = (
        sentence("counter.alt_all", top=top["label"], top_value=percent(top["value"], 0))
        if territory is None
        else sentence(
            "counter.alt",
            top=top["label"],
            top_value=percent(top["value"], 0),
            place_capital=capital(get_territory(territory).in_text),
            value=percent(own, 0),
        )
    )
    axes = draw_bars(table, unit="ratio", limit=100, limit_label=sentence("counter.limit"))
    return figure_block(
        axes.figure,
        name="compteurs",
        caption=sentence("counter.caption"),
        alt=alt,
        data=audit,
        note=sentence("counter.note"),
    )


def counters_table(audit: pd.DataFrame) -> Table:
    """The audit of the twelve territories, in full."""
    shown = pd.DataFrame(
        {
            "Territoire": [get_territory(id).name for id in audit["territory"]],
            "Élèves « atteints »": [number(value) for value in audit["pupils_reached"]],
            "Élèves scolarisés": [number(value) for value in audit["stock"]],
            "Élèves distincts": [number(value) for value in audit["distinct"]],
            "Pour cent scolarisés": [amount(value, "ratio", 0) for value in audit["percent_of_stock"]],
            "Jugement": [sentence(f"counter.short_{verdict}") for verdict in audit["verdict"]],
            "Présences en formation": [number(value) for value in audit["attendances"]],
        }
    )
    return Table("compteurs_table", sentence("counter.table_caption"), shown, note=sentence("counter.note"), data=audit)
