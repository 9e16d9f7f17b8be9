"""Permutation inference against brute force, closed forms and a live regression."""

import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from hypothesis import given, settings
from hypothesis import strategies as st

from tne_eval.catalog import verdict_rules
from tne_eval.errors import DesignError
from tne_eval.impact.assignments import assign
from tne_eval.impact.did import change_between, cluster_share, trend_carried
from tne_eval.impact.inference import (
    invert_interval,
    minimum_detectable_effect,
    permutation_p,
    placebo_reference,
)
from tne_eval.impact.verdict import Evidence, decide, named_facts
from tne_eval.results import Check, Reference, Verdict


def statistic(change, chosen, strata):
    """Mean over the chosen of own change less the mean of the unchosen of the stratum: the definition, by hand."""
    parts = []
    for unit in chosen:
        peers = [other for other in range(len(change)) if strata[other] == strata[unit] and other not in chosen]
        parts.append(change[unit] - np.mean([change[other] for other in peers]))
    return np.mean(parts)


def every_choice(treated, strata):
    groups = {}
    for unit in treated:
        groups.setdefault(strata[unit], []).append(unit)
    pools = [
        itertools.combinations([u for u in range(len(strata)) if strata[u] == label], len(units))
        for label, units in groups.items()
    ]
    return [tuple(itertools.chain(*choice)) for choice in itertools.product(*pools)]


CASES = {
    "pair in one pool": (["all"] * 9, [0, 1]),
    "one alone": (["all"] * 8, [0]),
    "pair in two strata": (list("aaabbbb"), [0, 3]),
    "three in two strata": (list("aaaaabbbb"), [0, 1, 5]),
}


@pytest.mark.parametrize("case", CASES)
def test_assignments_and_p_equal_brute_force(case):
    strata, treated = CASES[case]
    change = np.random.default_rng(3).normal(size=len(strata))
    mask = np.isin(np.arange(len(strata)), treated)
    found = assign(strata, mask, seed=1)
    by_hand = [statistic(change, chosen, strata) for chosen in every_choice(treated, strata)]
    assert found.exact and found.total == len(by_hand) == len(found.contrasts)
    np.testing.assert_allclose(np.sort(found.contrasts @ change), np.sort(by_hand), atol=1e-12)
    observed = statistic(change, treated, strata)
    assert (found.contrasts @ change)[0] == pytest.approx(observed, abs=1e-12)
    assert permutation_p(found.contrasts @ change) == np.mean(np.abs(by_hand) >= abs(observed) - 1e-12)


@pytest.mark.parametrize("case", CASES)
def test_interval_is_the_set_of_effects_that_the_test_keeps(case):
    strata, treated = CASES[case]
    change = np.random.default_rng(11).normal(size=len(strata))
    mask = np.isin(np.arange(len(strata)), treated)
    contrasts = assign(strata, mask, seed=1).contrasts
    alpha = 0.2
    low, high = invert_interval(contrasts, change, mask, alpha)

    def kept(effect):
        return permutation_p(contrasts @ (change - effect * mask)) > alpha

    centre = (contrasts @ change)[0]
    grid = np.concatenate(
        [
            np.linspace(centre - 12, centre + 12, 4001),
            low + np.array([-1e-6, 1e-6]),
            high + np.array([-1e-6, 1e-6]),
        ]
    )
    for effect in grid:
        if min(abs(effect - low), abs(effect - high)) > 1e-7:
            assert kept(effect) == (low < effect < high), effect


def test_interval_is_infinite_where_nothing_can_be_rejected():
    contrasts = assign(list("aaabbbb"), np.isin(np.arange(7), [0, 3]), seed=1).contrasts
    low, high = invert_interval(contrasts, np.arange(7.0), np.isin(np.arange(7), [0, 3]), alpha=0.05)
    assert (low, high) == (-np.inf, np.inf)


def test_minimum_detectable_effect_is_what_brute_force_detects():
    rng = np.random.default_rng(5)
    change, n = rng.normal(size=12), 12
    contrasts = assign(["all"] * n, np.arange(n) < 2, seed=1).contrasts
    alpha, power = 0.1, 0.8
    mde = minimum_detectable_effect(contrasts, change, alpha=alpha, power=power)

    def detected(effect):
        """Share of placebo pairs on which an added effect is rejected, every p computed afresh."""
        hits = 0
        for row in contrasts:
            moved = contrasts @ (change + effect * (row > 0))
            own = row @ (change + effect * (row > 0))
            hits += np.mean(np.abs(moved) >= abs(own) - 1e-12) <= alpha
        return hits / len(contrasts)

    assert min(detected(mde + 1e-6), detected(-mde - 1e-6)) >= power
    assert min(detected(mde - 1e-6), detected(-mde + 1e-6)) < power


def test_minimum_detectable_effect_nears_the_normal_formula():
    # 2.80 standard deviations (1.96 + 0.84) for one treated among many, normal changes.
    n = 1200
    change = np.random.default_rng(8).normal(size=n)
    contrasts = assign(["all"] * n, np.arange(n) < 1, seed=1).contrasts
    assert minimum_detectable_effect(contrasts, change) == pytest.approx(2.80, abs=0.2)


def test_no_minimum_detectable_effect_where_no_test_exists():
    contrasts = assign(["all"] * 6, np.arange(6) < 1, seed=1).contrasts
    assert minimum_detectable_effect(contrasts, np.arange(6.0)) is None


def test_drawn_assignments_are_the_same_for_the_same_seed_and_near_the_exact_p():
    change = np.random.default_rng(2).normal(size=40)
    mask = np.arange(40) < 2
    exact = permutation_p(assign(["all"] * 40, mask, seed=1).contrasts @ change)
    first, second = (assign(["all"] * 40, mask, max_enumeration=10, draws=9_999, seed=7) for _ in range(2))
    np.testing.assert_array_equal(first.contrasts, second.contrasts)
    assert not first.exact and first.total == 780 and len(first.contrasts) == 10_000
    assert permutation_p(first.contrasts @ change) == pytest.approx(exact, abs=4 * np.sqrt(exact / 1e4))


def test_a_stratum_without_control_is_refused():
    with pytest.raises(DesignError, match="no control"):
        assign(list("aab"), np.array([True, False, True]), seed=1)


def test_placebo_reference_by_brute_force():
    rng = np.random.default_rng(4)
    placebos, estimate, alpha = rng.normal(size=60), 1.7, 0.05
    p_value, low, high, mde = placebo_reference(placebos, estimate, alpha=alpha)

    def p_of(effect):
        return (1 + np.sum(np.abs(placebos) >= abs(estimate - effect))) / 61

    assert p_value == p_of(0)
    for effect in np.linspace(-6, 8, 5001):
        if min(abs(effect - low), abs(effect - high)) > 1e-6:
            assert (p_of(effect) > alpha) == (low < effect < high)
    # The band is 1 + count > 0.05 × 61 placebos beyond: an effect is seen beyond it, on 80 % of placebos.
    reach = estimate - low
    for sign in (1, -1):
        assert np.mean(np.abs(placebos + sign * (mde + 1e-9)) > reach) >= 0.8
    assert placebo_reference(placebos[:10], estimate, alpha=alpha)[1:] == (-np.inf, np.inf, None)


def test_estimate_equals_the_two_way_fixed_effects_regression():
    rng = np.random.default_rng(9)
    outcome = pd.DataFrame(rng.normal(size=(12, 6)), index=[f"u{i}" for i in range(12)], columns=range(2016, 2022))
    mask = np.arange(12) < 2
    change = change_between(outcome, [2016, 2017, 2018], [2019, 2020, 2021])
    estimate = assign(["all"] * 12, mask, seed=1).contrasts[0] @ change
    long = outcome.stack().rename("y").rename_axis(["unit", "period"]).reset_index()
    long["d"] = (long["unit"].isin(["u0", "u1"]) & (long["period"] >= 2019)).astype(int)
    fit = smf.ols("y ~ d + C(unit) + C(period)", long).fit()
    assert estimate == pytest.approx(fit.params["d"], abs=1e-10)


def test_trend_is_the_regression_slope_and_what_it_carries():
    gap = pd.Series([1.0, 0.7, -0.1, -0.4, 9, 9, 9], index=[2016, 2017, 2018, 2019, 2021, 2022, 2023])
    slope, carried = trend_carried(gap, [2016, 2017, 2018, 2019], [2021, 2022, 2023])
    fit = smf.ols("y ~ x", pd.DataFrame({"y": gap.iloc[:4], "x": [2016, 2017, 2018, 2019]})).fit()
    assert slope == pytest.approx(fit.params["x"])
    assert carried == pytest.approx(fit.params["x"] * 4.5)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.8])
def test_cluster_share_finds_the_share_that_was_put_in(share):
    rng = np.random.default_rng(12)
    clusters = pd.Series(np.repeat(np.arange(60), 5), index=range(300))
    common = rng.normal(size=(60, 40))[clusters] * np.sqrt(share)
    outcome = pd.DataFrame(common + rng.normal(size=(300, 40)) * np.sqrt(1 - share) + rng.normal(size=(300, 1)))
    assert cluster_share(outcome, clusters) == pytest.approx(share, abs=0.03)


@given(st.floats(-50, 50), st.floats(0.1, 20), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_laws_of_the_estimate(shift, scale, seed):
    """A shift common to all changes nothing; a scale scales; the order of controls is irrelevant."""
    rng = np.random.default_rng(seed)
    strata, mask = list("aaabbbb"), np.isin(np.arange(7), [0, 3])
    change = rng.normal(size=7)
    contrasts = assign(strata, mask, seed=1).contrasts
    first = contrasts @ change
    np.testing.assert_allclose(contrasts @ (change + shift), first, atol=1e-9)
    np.testing.assert_allclose(contrasts @ (change * scale), first * scale, atol=1e-9)
    order = np.array([0, 2, 1, 3, 6, 4, 5])
    assert permutation_p(contrasts @ change[order]) == permutation_p(first)


@pytest.mark.parametrize("draw", range(3))
def test_size_under_the_null_is_the_nominal_one(draw):
    """Exchangeable units: the exact test rejects at most 5 %, and nearly that (2 of 20: 190 assignments)."""
    rng = np.random.default_rng(100 + draw)
    contrasts = assign(["all"] * 20, np.arange(20) < 2, seed=1).contrasts
    values = np.abs(contrasts @ rng.standard_t(5, size=(20, 4000)))
    p = (values >= values[0] * (1 - 1e-12)).mean(axis=0)
    assert 0.035 <= (p <= 0.05).mean() <= 0.06


def test_intervals_cover_the_truth_at_the_nominal_rate():
    """1,000 worlds of 30 exchangeable units, 2 treated, heavy tails: 95 % intervals (3 standard errors: 2.1 points)."""
    mask = np.arange(30) < 2
    contrasts = assign(["all"] * 30, mask, seed=1).contrasts
    rng = np.random.default_rng(77)
    covered = 0
    for _ in range(1000):
        low, high = invert_interval(contrasts, rng.standard_t(5, size=30) + 1.5 * mask, mask)
        covered += low <= 1.5 <= high
    assert 0.929 <= covered / 1000 <= 0.971


PASSED = (Check("pretrend", True, 0.1, 1.0, ""),)
FAILED = Check("x", False, None, None, "")
SURE = Reference(("x",), 800, 0.01, -3.0, -1.0, 1.0)
DOUBTFUL = Reference(("x",), 800, 0.2, -3.0, 1.0, 1.0)
BASE = {
    "estimate": -2.0,
    "low": -3.0,
    "high": -1.0,
    "p_value": 0.01,
    "smallest_p": 0.001,
    "checks": PASSED,
    "reference": SURE,
    "alpha": 0.05,
    "equivalence_margin": 1.0,
    "mde": 0.9,
    "variants": (-2.0, -1.5, -2.2),
    "placebo_p": 0.4,
}
QUIET = {"estimate": 0.1, "p_value": 0.7, "low": -1.8, "high": 1.9}


@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        ({}, Verdict.CREDIBLE),
        ({"reference": None}, Verdict.CREDIBLE),
        ({"low": None, "high": None}, Verdict.CREDIBLE),
        ({"placebo_p": None}, Verdict.CREDIBLE),
        ({"variants": ()}, Verdict.CREDIBLE),
        ({"estimate": None, "p_value": None, "smallest_p": None}, Verdict.REFUSED),
        ({"checks": (*PASSED, FAILED)}, Verdict.FAILS),
        ({"checks": (*PASSED, Check("x", None, None, None, ""))}, Verdict.CREDIBLE),
        ({"smallest_p": 0.083, "p_value": 0.083}, Verdict.UNKNOWABLE),
        ({"checks": (FAILED,), "smallest_p": 0.5}, Verdict.FAILS),
        ({"variants": (-2.0, 0.1)}, Verdict.FRAGILE),
        ({"placebo_p": 0.05}, Verdict.FRAGILE),
        ({"variants": (-2.0, 0.1), "reference": DOUBTFUL}, Verdict.NOTHING),
        ({"reference": DOUBTFUL}, Verdict.NOTHING),
        ({"reference": DOUBTFUL, "mde": 1.1}, Verdict.UNDERPOWERED),
        ({"p_value": 0.06, "low": -3.0, "high": 0.2}, Verdict.NOTHING),
        ({"p_value": 0.05, "low": -3.0, "high": 0.0}, Verdict.NOTHING),
        (QUIET, Verdict.NOTHING),
        (QUIET | {"mde": 1.1}, Verdict.UNDERPOWERED),
        (QUIET | {"mde": None}, Verdict.UNDERPOWERED),
        (QUIET | {"low": -0.8, "high": 0.9}, Verdict.BOUNDED),
        (QUIET | {"low": -0.8, "high": 0.9, "mde": 5.0}, Verdict.BOUNDED),
    ],
)
def test_every_branch_of_the_verdict(change, verdict):
    assert decide(Evidence(**{**BASE, **change})) is verdict


def test_the_rules_of_the_catalogue_are_complete():
    """Every verdict has a rule, every fact of a rule is computed, and the last rule holds whatever the facts."""
    rules = verdict_rules()
    assert [rule.verdict for rule in rules if rule.when == ()] == [rules[-1].verdict]
    assert {rule.verdict for rule in rules} == {verdict.name for verdict in Verdict}
    used = {name.removeprefix("not ") for rule in rules for name in rule.when}
    assert used == set(named_facts())


def test_a_rule_that_comes_first_wins():
    """Facts that satisfy several rules take the first of the catalogue."""
    everything = {"checks": (FAILED,), "smallest_p": 0.5, "variants": (3.0,), "low": -0.5, "high": 0.5}
    assert decide(Evidence(**{**BASE, **everything})) is Verdict.FAILS
    assert decide(Evidence(**{**BASE, **everything, "checks": PASSED})) is Verdict.UNKNOWABLE
