"""Findings in French."""

from __future__ import annotations

from tne_eval.audit.finding import Fact, Finding
from tne_eval.french import number, phrase, sentence


def describe_finding(finding: Finding) -> str:
    """One French sentence: what was found, where, and what follows from it."""
    facts = {name: _said(fact) for name, fact in finding.facts}
    return sentence(f"quality.{finding.sentence}", where=finding.where, **facts)


def severity_word(finding: Finding) -> str:
    """`impossible`, `à lire avec prudence` or `à savoir`."""
    return phrase(f"quality.severity_{finding.severity}")


def _said(fact: Fact) -> str:
    if isinstance(fact, str):
        return fact
    return number(fact, 0 if isinstance(fact, int) else 1)
