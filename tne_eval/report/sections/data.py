"""The figures used, and what the audit finds in those on a territory."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from tne_eval.audit import Finding, describe_finding, findings_frame, severity_word
from tne_eval.catalog import get_source
from tne_eval.errors import UnknownNameError
from tne_eval.french import listing, sentence, typeset
from tne_eval.report.blocks import Block, Paragraph, Table
from tne_eval.report.facts import TerritoryFacts
from tne_eval.sources import describe_panel


def sources(panel: pd.DataFrame) -> tuple[Block, ...]:
    """Every source of the figures used, with the years that its tables cover; the file of values has the tables."""
    described = describe_panel(panel)
    used = described.assign(source=described["source"].str.split("+")).explode("source")
    rows = [
        {
            "Source": typeset(_label(id)),
            "Années": listing(sorted(set(tables["vintage"]))),
            "Licence": listing(dict.fromkeys(tables["licence"])),
        }
        for id, tables in used.groupby("source", sort=False)
    ]
    labels = [" ; ".join(map(_label, text.split("+"))) for text in described["source"]]
    return (Table("sources", sentence("sources.caption"), pd.DataFrame(rows), data=described.assign(label=labels)),)


def data_checks(facts: TerritoryFacts) -> tuple[Block, ...]:
    """What the audit finds in the figures on the territory."""
    own = [one for one in facts.findings if one.subject.partition(",")[0] == facts.territory.name]
    if not own:
        return (Paragraph(sentence("data.nothing_found")),)
    return (Paragraph(sentence("data.found")), findings_table(own))


def findings_table(findings: Iterable[Finding]) -> Table:
    """One row a finding, in French; the numbers that it says go to the file of values."""
    found = list(findings)
    shown = pd.DataFrame(
        {
            "Gravité": [severity_word(one) for one in found],
            "Constat": [describe_finding(one) for one in found],
            "Table": [one.where for one in found],
        }
    )
    said = ["; ".join(f"{name}: {value}" for name, value in one.facts) for one in found]
    return Table(
        "constats",
        sentence("quality.findings_caption"),
        shown,
        note=sentence("quality.findings_note"),
        row_header=False,
        data=findings_frame(found).assign(facts=said),
    )


def _label(id: str) -> str:
    try:
        source = get_source(id)
    except UnknownNameError:
        return id
    return f"{source.producer} : {source.label}"
