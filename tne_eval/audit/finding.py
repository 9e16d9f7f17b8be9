"""What a rule of the audit gives back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

# From the gravest: figures that cannot be what their label says; figures to be read with care; facts to know.
SEVERITIES = ("impossible", "doubtful", "notice")

Fact = str | int | float


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure, column or file that breaks a rule.

    `where` is the table or file, `subject` the unit, column or period in it; `value` is what was measured and `limit`
    what the rule allows, in the rule's own unit. `facts` fill the places of the French sentence `quality.<sentence>`
    (`describe_finding`).
    """

    rule: str
    severity: str
    where: str
    subject: str
    value: float
    limit: float
    sentence: str
    facts: tuple[tuple[str, Fact], ...] = ()

    def to_dict(self) -> dict:
        return {
            "rule": self.rule,
            "severity": self.severity,
            "where": self.where,
            "subject": self.subject,
            "value": self.value,
            "limit": self.limit,
            "facts": dict(self.facts),
        }


def make_finding(
    rule: str, severity: str, where: str, subject: str, value: float, limit: float, sentence: str = "", **facts: Fact
) -> Finding:
    """A finding whose sentence is that of its rule, unless another is named."""
    plain = {name: fact.item() if hasattr(fact, "item") else fact for name, fact in facts.items()}
    return Finding(
        rule, severity, where, subject, float(value), float(limit), sentence or rule, tuple(sorted(plain.items()))
    )


def sort_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Gravest first, then by table, rule and subject."""
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.where, one.rule, one.subject))


def findings_frame(findings: Iterable[Finding]) -> pd.DataFrame:
    """One row per finding: `rule, severity, where, subject, value, limit`."""
    columns = ["rule", "severity", "where", "subject", "value", "limit"]
    return pd.DataFrame([{name: getattr(one, name) for name in columns} for one in findings], columns=columns)
