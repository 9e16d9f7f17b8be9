"""The digital base from the files by convention and by school: targeting, who was left out, take-up, money."""

from __future__ import annotations

import numpy as np
import pandas as pd

from tne_eval.french import money, number, percent, phrase, probability, sentence, typeset
from tne_eval.maps import draw_departements
from tne_eval.plotting import draw_curves
from tne_eval.report.blocks import Block, Figure, Note, Paragraph, Table, Verdict, figure_block
from tne_eval.report.socle_facts import SchoolFacts

# A concentration index nearer to 0 than this is no tendency.
_TENDENCY = 0.01
# Points of the curve in its file of data.
_POINTS = 200


def tendency(index: float) -> str:
    """Whether money follows need by its concentration index: `pro`, `anti` or `flat`."""
    return "flat" if abs(index) <= _TENDENCY else "pro" if index > 0 else "anti"


def schools_verdict(found: SchoolFacts) -> Verdict:
    """Where the money went, in a sentence."""
    index = found.reached["ips"].index
    return Verdict(
        title=sentence(f"socle.opening_files_title_{tendency(index)}"),
        text=sentence(
            "socle.opening_files",
            share=percent(100 * found.reached["ips"].top_share),
            left_out=percent(100 * found.forgotten.rows_share),
        ),
        kind="uncertain",
        label=sentence("socle.label_files"),
    )


def schools_money(found: SchoolFacts) -> tuple[Block, ...]:
    """Control totals, defects, rates by size, leverage, costs with what cannot be tied bounded."""
    rates = found.rates.replace({"high": {np.inf: None}})
    shown = pd.DataFrame(
        {
            "Dépense du projet": [_size(low, high) for low, high in zip(rates["low"], rates["high"], strict=True)],
            "Conventions": [number(value) for value in rates["conventions"]],
            "Aides": [money(value) for value in rates["grant"]],
            "Part de l'aide": [percent(None if value is None else 100 * value) for value in rates["rate"]],
        }
    )
    costs = found.costs[found.costs["amount"] == "grant"]
    bounds = pd.DataFrame(
        {
            "Pour": [phrase(f"unit.{name}") for name in costs["unit"]],
            "Au moins": [money(value) for value in costs["low"]],
            "Au plus": [money(value) for value in costs["high"]],
            "Quand le montant est connu": [money(value) for value in costs["tied"]],
        }
    )
    return (
        Table("taux_par_taille", sentence("socle.rates_caption"), shown, data=rates),
        Paragraph(sentence("socle.leverage", leverage=number(found.leverage, 2))),
        Table("couts_bornes", sentence("socle.costs_caption"), bounds, note=sentence("socle.costs_note"), data=costs),
        _defects(found),
        _totals(found),
    )


def schools_targeting(found: SchoolFacts) -> tuple[Block, ...]:
    """Concentration by several needs, the rule of the poorest first, and who was left out."""
    rows = [
        {
            "Besoin": phrase(f"need.{name}"),
            "Indice": number(one.index, 3, sign=True),
            typeset("Fourchette à 95 %"): f"{number(one.low, 3, sign=True)} à {number(one.high, 3, sign=True)}",
            "Part du quart au plus grand besoin": percent(100 * one.top_share),
        }
        for name, one in found.reached.items()
    ]
    raw = pd.concat([one.to_frame().assign(besoin=name) for name, one in found.reached.items()], ignore_index=True)
    bounds, rule = found.bounds, found.poorest_first
    return (
        Table("ciblage", sentence("socle.targeting_caption"), pd.DataFrame(rows), note=sentence("socle.targeting_note"),
              data=raw),
        Paragraph(sentence("socle.bounds", low=number(bounds.index_low, 3, sign=True),
                           high=number(bounds.index_high, 3, sign=True))),
        _curve(found),
        Paragraph(sentence("socle.poorest_first", overlap=percent(100 * rule.overlap_amount, 0))),
        Paragraph(sentence("socle.equity", between=percent(found.fairness.within_percent, 0))),
        _forgotten(found),
    )  # fmt: skip


def schools_take_up(found: SchoolFacts) -> tuple[Block, ...]:
    """The selection model: average marginal effects on being granted."""
    if found.take_up is None:
        return (Note(sentence("socle.take_up_refused"), kind="limit"),)
    effects = found.take_up.effects
    shown = pd.DataFrame(
        {
            "Caractéristique": [_term(row.covariate, row.level) for row in effects.itertuples()],
            "Effet": [percent(100 * value) for value in effects["estimate"]],
            typeset("Fourchette à 95 %"): [
                f"{percent(100 * low)} à {percent(100 * high)}"
                for low, high in zip(effects["low"], effects["high"], strict=True)
            ],
            "p": [probability(value) for value in effects["p"]],
        }
    )
    note = sentence("socle.take_up_note", dropped=number(found.dropped), auc=number(found.take_up.auc, 2))
    return (Table("candidature", sentence("socle.take_up_caption"), shown, note=note, data=effects),)


def _term(covariate: str, level: object) -> str:
    label = phrase(f"covariate.{covariate}")
    return label if level is None or level is True or pd.isna(level) else f"{label} : {phrase(f'level.{level}')}"


def _size(low: float, high: float) -> str:
    if pd.isna(high):
        return sentence("socle.size_from", low=money(low))
    return sentence("socle.size_between", low=money(low), high=money(high))


def _defects(found: SchoolFacts) -> Table:
    table = found.files.defects
    shown = pd.DataFrame(
        {
            "Défaut": [phrase(f"defect.{name}") for name in table["kind"]],
            "Nombre": [number(value) for value in table["count"]],
        }
    )
    return Table("defauts", sentence("socle.defects_caption"), shown, data=table)


def _totals(found: SchoolFacts) -> Table:
    table = found.files.disagreements
    shown = pd.DataFrame(
        {
            "Total publié": [typeset(label) for label in table["label"]],
            "Publié": [number(value, 2) for value in table["published"]],
            "Dans les fichiers": [number(value, 2) for value in table["found"]],
        }
    )
    note = "" if len(table) else sentence("socle.totals_agree")
    return Table("totaux", sentence("socle.totals_caption"), shown, note=note, data=table)


def _curve(found: SchoolFacts) -> Figure:
    one = found.reached["ips"]
    curve = pd.DataFrame({"population_share": one.curve.population, "value_share": one.curve.value})
    words = sentence("socle.curve_x"), sentence("socle.curve_y")
    return figure_block(
        draw_curves({phrase("need.ips"): curve}, x=words[0], y=words[1]).figure,
        name="concentration_aides",
        caption=sentence("socle.curve_caption"),
        alt=sentence("socle.curve_alt", share=percent(100 * one.top_share)),
        data=curve.iloc[:: max(1, len(curve) // _POINTS)].rename(
            columns={"population_share": "part_des_eleves", "value_share": "part_des_aides"}
        ),
    )


def _forgotten(found: SchoolFacts) -> Figure:
    table = found.forgotten.frame
    share = 100 * table.set_index("area")["share"].dropna().astype(float)
    return figure_block(
        draw_departements(share, legend_title=sentence("socle.left_out_legend")).figure,
        name="carte_oubliees",
        caption=sentence("socle.left_out_caption"),
        alt=sentence("socle.left_out_alt", low=percent(share.min()), high=percent(share.max())),
        data=table.rename(columns={"area": "departement"}),
    )
