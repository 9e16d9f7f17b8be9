"""What may be said of an effect: one rule, applied in order."""

from __future__ import annotations

from collections.abc import Iterable

from tne_eval.results import Check, Reference, Verdict


def decide(
    *,
    estimate: float | None,
    low: float | None,
    high: float | None,
    p_value: float | None,
    smallest_p: float | None,
    checks: Iterable[Check],
    reference: Reference | None,
    alpha: float,
    equivalence_margin: float,
) -> Verdict:
    """The verdict, by the first line that holds:

    1. no estimate → design refused;
    2. a check of its assumptions failed → design fails;
    3. the smallest attainable p is above `alpha` → cannot be known;
    4. p at most `alpha`, 0 outside the interval where there is one, p of the second reference at most `alpha` where
       there is one → credible effect;
    5. the interval lies within ± `equivalence_margin` → effects beyond a bound excluded;
    6. otherwise → nothing detected.
    """
    if estimate is None or p_value is None or smallest_p is None:
        return Verdict.REFUSED
    if any(check.passed is False for check in checks):
        return Verdict.FAILS
    if smallest_p > alpha:
        return Verdict.UNKNOWABLE
    known = low is not None and high is not None
    if p_value <= alpha and not (known and low <= 0 <= high) and (reference is None or reference.p_value <= alpha):
        return Verdict.CREDIBLE
    if known and max(abs(low), abs(high)) <= equivalence_margin:
        return Verdict.BOUNDED
    return Verdict.NOTHING
