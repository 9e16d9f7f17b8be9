"""How the numbers are made and checked: published values computed again, measured coverage of the intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from tne_eval.catalog import impact_coverage, list_indicators, precision_rule
from tne_eval.french import listing, number, percent, phrase, sentence, typeset
from tne_eval.impact import check_published_estimates
from tne_eval.indicators import check_published_values
from tne_eval.report.blocks import Block, Bullets, Note, Paragraph, Table, Title, Verdict

QUANTITIES = ("level", "change", "difference")


@dataclass(frozen=True, slots=True, eq=False)
class MethodsFacts:
    """Published values beside ours, and the measured coverage of the intervals."""

    values: pd.DataFrame = field(repr=False)
    coverage: pd.DataFrame = field(repr=False)


def gather_methods(reference_folder: str | Path | None = None) -> MethodsFacts:
    """Compute the published values again; those of a data file only where `reference_folder` holds it."""
    values = pd.concat(
        [check_published_values(reference_folder), check_published_estimates(reference_folder)], ignore_index=True
    )
    return MethodsFacts(values, _coverage_frame(precision_rule()))


def methods_opening(facts: MethodsFacts) -> tuple[Block, ...]:
    """How many published values were computed again here, and how many agree."""
    counts = facts.values["status"].value_counts()
    agrees, differs, absent = (int(counts.get(status, 0)) for status in ("agrees", "differs", "no_data"))
    return (
        Title(sentence("methods.title"), level=1),
        Verdict(
            title=sentence("methods.differs_title" if differs else "methods.agrees_title"),
            text=sentence(
                "methods.opening",
                agrees=number(agrees),
                computed=number(agrees + differs),
                absent=number(absent),
            ),
            kind="negative" if differs else "positive",
            label=phrase("methods.differs_label" if differs else "methods.agrees_label"),
        ),
    )


def methods_values(facts: MethodsFacts, family: str) -> tuple[Block, ...]:
    """One family: each published value, the same value computed here, and the difference."""
    rows = facts.values[facts.values["family"] == family]
    shown = pd.DataFrame(
        {
            "Mesure": [typeset(label) for label in rows["label"]],
            "Valeur publiée": [_digits(value) for value in rows["published"]],
            "Calculée ici": [_digits(value) for value in rows["computed"]],
            "Accord": [phrase(f"methods.status_{status}") for status in rows["status"]],
            "Origine": [typeset(source) for source in rows["source"]],
        }
    )
    caption = sentence("methods.values_caption", family=phrase(f"methods.family_{family}"))
    return (Table(f"valeurs_{family}", caption, shown, data=rows),)


def methods_coverage(facts: MethodsFacts) -> tuple[Block, ...]:
    """Share of ninety-five percent intervals that hold the true value, by number of schools."""
    blocks: list[Block] = []
    for (quantity, method), rows in facts.coverage.groupby(["quantity", "method"], sort=False):
        tried = sorted(rows["schools"].unique())
        shown = [
            {
                "Mesure": _statistic_name(statistic),
                **{number(schools): number(100 * own["coverage"].get(schools, np.nan), 1) for schools in tried},
                "Tient dès": _holds_from(own["holds_from"].iloc[0]),
            }
            for statistic, own in rows.set_index("schools").groupby("statistic", sort=False)
        ]
        caption = sentence(
            "methods.coverage_caption",
            quantity=phrase(f"methods.quantity_{quantity}"),
            method=phrase(f"methods.method_{method}"),
        )
        blocks.append(Table(f"couverture_{quantity}_{method}", caption, pd.DataFrame(shown), data=rows))
    meanings = Bullets(tuple(sentence(f"interval.{meaning}") for meaning in ("superpopulation", "sample", "none")))
    note = Note(sentence("methods.coverage_note"), kind="limit")
    return (Paragraph(sentence("methods.coverage")), *blocks, note, Paragraph(sentence("methods.meanings")), meanings)


def _holds_from(schools: float) -> str:
    return phrase("methods.never_holds") if pd.isna(schools) else number(schools)


def _coverage_frame(rule: Mapping) -> pd.DataFrame:
    """The measured rule, one row per quantity, method, statistic and number of schools."""
    return pd.DataFrame(
        [
            (quantity, method, statistic, schools, coverage, entry.get("holds_from"))
            for quantity in QUANTITIES
            for method, entries in rule.get(quantity, {}).items()
            for statistic, entry in entries.items()
            for schools, coverage in zip(entry["clusters"], entry["coverage"], strict=True)
        ],
        columns=["quantity", "method", "statistic", "schools", "coverage", "holds_from"],
    )


def methods_inference() -> tuple[Block, ...]:
    """Size and coverage of the inference chosen by the number of treated départements, as measured."""
    table = pd.DataFrame(impact_coverage())
    shown = pd.DataFrame(
        {
            "Traités": [number(value) for value in table["n_treated"]],
            "Départements": [number(value) for value in table["n_units"]],
            "Hasard": [phrase(f"errors.{name}") for name in table["errors"]],
            "Méthode": [phrase(f"inference.{name}") for name in table["method"]],
            "Rejets à tort": [percent(100 * value) for value in table["size"]],
            "Couverture": [percent(None if pd.isna(value) else 100 * value) for value in table["coverage"]],
            "Refus": [percent(100 * value, 0) for value in table["refused"]],
        }
    )
    caption = sentence("methods.inference_caption")
    return (
        Paragraph(sentence("methods.inference")),
        Table("couverture_effets", caption, shown, note=sentence("methods.inference_note"), data=table),
    )


def methods_catalogue() -> tuple[Block, ...]:
    """Every indicator, what it means and who defined it."""
    entries = list_indicators()
    shown = pd.DataFrame(
        {
            "Indicateur": [typeset(entry.label) for entry in entries],
            "Lecture": [typeset(entry.reading) for entry in entries],
            "Définition": [typeset(entry.reference) for entry in entries],
        }
    )
    return (Table("catalogue", sentence("methods.catalogue_caption", count=number(len(entries))), shown),)


def _digits(value: float) -> str:
    return number(value, 8)


def _statistic_name(text: str) -> str:
    """`atkinson(0.5)` as a reader calls it, its parameters in French form."""
    name, _, rest = text.partition("(")
    parameters = listing(number(float(part), 1) for part in rest.rstrip(")").split(",")) if rest else ""
    return phrase(f"statistic.{name}", parameters=parameters)
