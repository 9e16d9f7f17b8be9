"""What may be said of an effect: the rules of the catalogue, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from tne_eval.catalog import verdict_rules
from tne_eval.results import Check, Reference, Verdict


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that a verdict depends on.

    mde : smallest effect that the test would most likely have seen. variants : estimates of the defensible variants.
    placebo_p : smallest p of the dates before the programme. The other names are those of `ImpactResult`.
    """

    estimate: float | None
    low: float | None
    high: float | None
    p_value: float | None
    smallest_p: float | None
    checks: tuple[Check, ...]
    reference: Reference | None
    alpha: float
    equivalence_margin: float
    mde: float | None = None
    variants: tuple[float, ...] = ()
    placebo_p: float | None = None


def _stands_out(facts: Evidence) -> bool:
    """p at most alpha, and 0 outside the interval where there is one."""
    known = facts.low is not None and facts.high is not None
    return facts.p_value <= facts.alpha and not (known and facts.low <= 0 <= facts.high)


def _within_margin(facts: Evidence) -> bool:
    known = facts.low is not None and facts.high is not None
    return known and max(abs(facts.low), abs(facts.high)) <= facts.equivalence_margin


def _reverses(facts: Evidence) -> bool:
    """A variant is on the other side of 0, or a date before the programme stands out as well."""
    opposite = any(variant * facts.estimate < 0 for variant in facts.variants)
    return opposite or (facts.placebo_p is not None and facts.placebo_p <= facts.alpha)


_FACTS: dict[str, Callable[[Evidence], bool]] = {
    "no_estimate": lambda facts: facts.estimate is None or facts.p_value is None or facts.smallest_p is None,
    "check_failed": lambda facts: any(check.passed is False for check in facts.checks),
    "no_test_at_level": lambda facts: facts.smallest_p > facts.alpha,
    "stands_out": _stands_out,
    "reference_agrees": lambda facts: facts.reference is None or facts.reference.p_value <= facts.alpha,
    "variant_reverses": _reverses,
    "interval_within_margin": _within_margin,
    "margin_detectable": lambda facts: facts.mde is not None and facts.mde <= facts.equivalence_margin,
}


def decide(facts: Evidence) -> Verdict:
    """The verdict of the first rule of `catalog/verdicts.toml` whose facts all hold."""
    for rule in verdict_rules():
        if all(_holds(name, facts) for name in rule.when):
            return Verdict[rule.verdict]
    raise AssertionError("the last rule holds without a condition")


def named_facts() -> Iterable[str]:
    """What a rule may name."""
    return _FACTS.keys()


def _holds(name: str, facts: Evidence) -> bool:
    return not _FACTS[name.removeprefix("not ")](facts) if name.startswith("not ") else _FACTS[name](facts)
