"""What the data are worth: what exists, what is missing, what is implausible, what to ask and whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from tne_eval.audit import (
    SEVERITIES,
    STATUSES,
    Finding,
    audit_programme,
    data_availability,
)
from tne_eval.audit.audit import read_latest
from tne_eval.audit.settings import read_settings
from tne_eval.catalog import get_territory, list_territories
from tne_eval.french import capital, number, phrase, sentence, typeset
from tne_eval.indicators import audit_counters
from tne_eval.paths import shipped
from tne_eval.report.blocks import Block, Paragraph, Table, Title, Verdict, escape_inline
from tne_eval.report.facts import refuse_simulated
from tne_eval.report.sections.counters import counters_figure
from tne_eval.report.sections.data import findings_table

_NOTHING = "–"


@dataclass(frozen=True, slots=True, eq=False)
class QualityFacts:
    """Findings of the audit, the missing-data register, the reconciliation of sources, the counters."""

    findings: tuple[Finding, ...]
    raw_tables: tuple[str, ...]
    register: pd.DataFrame = field(repr=False)
    reconciliation: pd.DataFrame = field(repr=False)
    counters: pd.DataFrame = field(repr=False)


def gather_quality(
    panel: pd.DataFrame, folder: str | Path | None = None, raw: str | Path | None = None
) -> QualityFacts:
    """Compute all that the report on data says, from a panel of real figures.

    `folder` is where the panel came from (None: the shipped figures); its reconciliation.csv is read. `raw` holds the
    fetched or imported files, where there are some.
    """
    refuse_simulated(panel)
    settings = read_settings()
    table = (shipped("embedded") if folder is None else Path(folder)) / "reconciliation.csv"
    return QualityFacts(
        findings=tuple(audit_programme(panel, raw)),
        raw_tables=tuple(table.name for table in read_latest(raw, settings.folders, settings)),
        register=data_availability(panel, raw),
        reconciliation=pd.read_csv(table) if table.is_file() else pd.DataFrame(),
        counters=audit_counters(panel),
    )


def quality_opening(facts: QualityFacts) -> tuple[Block, ...]:
    """Title, and in one card how much can be computed and how much cannot be believed; then the count by status."""
    best = facts.register.assign(rank=facts.register["status"].map(STATUSES.index)).groupby("need")["rank"].min()
    counts = {status: int((best == place).sum()) for place, status in enumerate(STATUSES)}
    impossible = sum(one.severity == SEVERITIES[0] for one in facts.findings)
    to_ask = counts["restricted"] + counts["nowhere"]
    return (
        Title(sentence("quality.title"), level=1),
        Verdict(
            title=sentence("quality.opening_title" if to_ask else "quality.opening_clean_title"),
            text=sentence(
                "quality.opening",
                needs=number(len(best)),
                computable=number(counts["computable"]),
                fetch=number(counts["after_fetch"]),
                restricted=number(counts["restricted"]),
                nowhere=number(counts["nowhere"]),
                findings=_counted("findings", len(facts.findings)),
                impossible=_counted("impossible", impossible),
            ),
            kind="uncertain",
            label=sentence("quality.label"),
        ),
        _balance(counts),
    )


def _balance(counts: dict[str, int]) -> Table:
    """How many pieces of information have each status, at best, in one territory and year."""
    table = pd.Series({**counts, "all": sum(counts.values())}, name="informations").rename_axis("statut")
    words = [capital(phrase(f"quality.status_{status}")) for status in table.index]
    return Table(
        "bilan",
        sentence("quality.balance_caption"),
        pd.DataFrame({"Statut": words, "Informations": [number(value) for value in table]}),
        data=table.reset_index(),
    )


def _counted(key: str, count: int) -> str:
    if count == 0:
        return phrase(f"quality.{key}_none")
    return phrase(f"quality.{key}_one") if count == 1 else phrase(f"quality.{key}_many", count=number(count))


def quality_available(facts: QualityFacts) -> tuple[Block, ...]:
    """Each piece of information × year for the twelve, in words; then the register by territory."""
    shipped_rows = facts.register["indicator"] != ""
    return (
        _heat(facts.register[shipped_rows], "disponibilite_indicateurs", "shipped"),
        _heat(facts.register[~shipped_rows], "disponibilite_autres", "outcomes"),
        _by_territory(facts.register),
    )


def _heat(register: pd.DataFrame, name: str, key: str) -> Table:
    total = len(list_territories())
    years = sorted(register["year"].unique())
    shown = []
    for _need, rows in register.groupby("need", sort=False):
        cells = {str(year): _cell(rows[rows["year"] == year], total) for year in years}
        shown.append({"Information": typeset(rows["label"].iloc[0]), **cells})
    return Table(
        name,
        sentence(f"quality.{key}_caption"),
        pd.DataFrame(shown),
        note=sentence("quality.heat_note", total=number(total)),
        data=register.groupby(["need", "year", "status"], sort=False).size().rename("territories").reset_index(),
    )


def _cell(rows: pd.DataFrame, total: int) -> str:
    if rows.empty:
        return _NOTHING
    computable = int((rows["status"] == "computable").sum())
    if computable == total:
        return phrase("quality.cell_computable")
    if computable:
        return phrase("quality.cell_part", count=number(computable), total=number(total))
    best = min(rows["status"], key=STATUSES.index)
    return phrase(f"quality.cell_{best}")


def _by_territory(register: pd.DataFrame) -> Table:
    counts = register.groupby(["territory", "status"]).size().unstack(fill_value=0).reindex(columns=list(STATUSES))
    counts = counts.fillna(0).astype(int).reindex([place.id for place in list_territories()])
    shown = pd.DataFrame({"Territoire": [typeset(get_territory(id).name) for id in counts.index]})
    for status in STATUSES:
        shown[capital(phrase(f"quality.status_{status}"))] = [number(value) for value in counts[status]]
    return Table(
        "registre",
        sentence("quality.register_caption"),
        shown,
        note=sentence("quality.register_note"),
        data=register.drop(columns=["label", "indicator", "departement"]),
    )


def quality_findings(facts: QualityFacts) -> tuple[Block, ...]:
    """What the audit found, in French, gravest first; then the counters as bars."""
    said = sentence("quality.raw_none")
    if facts.raw_tables:
        said = sentence("quality.raw_some", tables=escape_inline(", ".join(facts.raw_tables)))
    blocks: list[Block] = [Paragraph(said)]
    if not facts.findings:
        return (*blocks, Paragraph(sentence("quality.findings_none")))
    return (*blocks, findings_table(facts.findings), counters_figure(facts.counters, None))


def quality_reconciliation(facts: QualityFacts) -> tuple[Block, ...]:
    """Sources that describe the same thing, side by side; nothing where the figures come without it."""
    table = facts.reconciliation
    if table.empty:
        return ()
    compared = table[table["compared"] > 0]
    shown = pd.DataFrame(
        {
            "Rapprochement": [typeset(text) for text in compared["comparison"]],
            "Sources": [typeset(f"{left} / {right}") for left, right in _pairs(compared)],
            "Écart": [number(value, _decimals(value), sign=True) for value in compared["difference"]],
            "Unités qui diffèrent": [
                typeset(f"{number(some)} sur {number(total)}")
                for some, total in zip(compared["differing"], compared["compared"], strict=True)
            ],
            "Plus grand écart": [number(value, _decimals(value)) for value in compared["largest_difference"]],
        }
    )
    return (
        Paragraph(
            sentence(
                "quality.reconciliation",
                agree=number(int((compared["differing"] == 0).sum())),
                total=number(len(compared)),
            )
        ),
        Table(
            "rapprochement",
            sentence("quality.reconciliation_caption"),
            shown,
            note=sentence("quality.reconciliation_note"),
            data=table,
        ),
    )


def _pairs(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(table["left_source"], table["right_source"], strict=True))


def _decimals(value: float) -> int:
    return 0 if pd.isna(value) or float(value).is_integer() else 2
