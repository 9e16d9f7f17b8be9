"""Dilution, prior, cost, dose, sensitivity and specification curve: closed forms, brute force, refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import integrate, stats

from tne_eval.catalog import effect_context
from tne_eval.errors import DesignError
from tne_eval.impact.assignments import assign
from tne_eval.impact.context import cost_of_effect, standard_deviation_of_rate, update_prior
from tne_eval.impact.dilution import effect_on_treated
from tne_eval.impact.dose import dose_response
from tne_eval.impact.sensitivity import adjust_change, leave_one_out, placebo_dates
from tne_eval.impact.specification import specification_curve

RNG = np.random.default_rng(20201)


# --- dilution


def test_wald_ratio_of_simulated_pupils():
    """A constant effect on the pupils of reached schools alone: the ratio finds it again, exactly."""
    reached = np.arange(1000) < 262
    base = RNG.normal(size=1000)
    itt = (base + 0.1 * reached).mean() - base.mean()
    found = effect_on_treated(itt, 0.262, 0.262)
    assert found.estimate_low == pytest.approx(0.1, rel=1e-9) == found.estimate_high


def test_bounds_over_shares_and_interval_are_those_of_all_corners():
    low, high, shares = -2.0, 0.5, (0.25, 0.5)
    found = effect_on_treated(-1.0, *shares, low=low, high=high, mde=3.0)
    corners = [end / share for end, share in itertools.product((low, high), shares)]
    assert (found.low, found.high) == (min(corners), max(corners))
    assert (found.estimate_low, found.estimate_high) == (-4, -2)
    assert (found.mde_low, found.mde_high) == (6, 12)
    assert effect_on_treated(-1.0, *shares, low=low, high=high, lowest=-5, highest=1.5).low == -5
    assert effect_on_treated(-1.0, *shares, low=low, high=high, lowest=-5, highest=1.5).high == 1.5
    assert effect_on_treated(-1.0, 1.0, 1.0).low is None


@pytest.mark.parametrize("shares", [(0, 0.5), (0.5, 0.2), (0.5, 1.2), (-0.1, 0.5)])
def test_wrong_shares_are_refused(shares):
    with pytest.raises(DesignError, match="share"):
        effect_on_treated(1.0, *shares)
    with pytest.raises(DesignError, match="one end"):
        effect_on_treated(1.0, 0.2, 0.5, low=1.0)


# --- context


def test_posterior_is_bayes_rule_by_quadrature():
    found = update_prior(0.03, 0.06, -0.1, 0.08)

    def density(effect: float) -> float:
        return stats.norm.pdf(effect, 0.03, 0.06) * stats.norm.pdf(-0.1, effect, 0.08)

    total = integrate.quad(density, -1, 1, points=[0.0])[0]
    mean = integrate.quad(lambda effect: effect * density(effect), -1, 1, points=[0.0])[0] / total
    second = integrate.quad(lambda effect: effect**2 * density(effect), -1, 1, points=[0.0])[0] / total
    positive = integrate.quad(density, 0, 1)[0] / total
    assert found.mean == pytest.approx(mean, abs=1e-9)
    assert found.sd == pytest.approx(math.sqrt(second - mean**2), abs=1e-8)
    assert found.positive == pytest.approx(positive, abs=1e-8)
    assert found.low == pytest.approx(stats.norm.ppf(0.025, mean, found.sd), abs=1e-8)


def test_a_vague_estimate_leaves_the_prior_and_a_sharp_one_replaces_it():
    assert update_prior(0.03, 0.06, 5.0, 1e6).mean == pytest.approx(0.03, abs=1e-9)
    assert update_prior(0.03, 0.06, 5.0, 1e-9).mean == pytest.approx(5.0)
    with pytest.raises(DesignError, match="spreads"):
        update_prior(0.03, 0.0, 1.0, 1.0)


def test_spread_of_a_rate_is_that_of_the_pupils():
    pupils = np.repeat([0.0, 100.0], [16, 84])
    assert standard_deviation_of_rate(84.0) == pytest.approx(pupils.std())
    with pytest.raises(DesignError, match="no spread"):
        standard_deviation_of_rate(100.0)


def test_cost_over_all_corners_and_where_no_effect_is_sure():
    found = cost_of_effect(50, 200, 0.02, 0.10)
    corners = [cost / (effect / 0.01) for cost, effect in itertools.product((50, 200), (0.02, 0.10))]
    assert (found.low, found.high) == (pytest.approx(min(corners)), pytest.approx(max(corners)))
    assert cost_of_effect(50, 200, -0.02, 0.10).high is None
    assert cost_of_effect(50, 200, -0.02, 0.0).low is None
    with pytest.raises(DesignError, match="range"):
        cost_of_effect(200, 50, 0, 1)


def test_published_effects_are_sourced_read_and_plausible():
    context = effect_context()
    assert {"elaine_5e_oral", "sweden", "mooresville_long", "classi20"} <= {effect.id for effect in context.effect}
    for effect in context.effect:
        assert effect.flag == "V" and effect.source
        assert (effect.value is None) == (effect.low is not None and effect.high is not None)
    assert (context.prior.mean, context.prior.sd) == (0.03, 0.06)


# --- dose


def test_slope_is_that_of_least_squares_and_p_that_of_all_orders():
    dose, change = RNG.normal(size=6), RNG.normal(size=6)
    found = dose_response(change, dose)
    fitted = sm.OLS(change, sm.add_constant(dose)).fit()
    assert found.slope == pytest.approx(fitted.params[1])
    slopes = [np.polyfit(np.array(order), change, 1)[0] for order in itertools.permutations(dose)]
    assert found.p_value == pytest.approx(np.mean(np.abs(slopes) >= abs(fitted.params[1]) * (1 - 1e-9)))
    assert found.exact and found.smallest_p == 1 / 720
    assert found.correlation == pytest.approx(np.corrcoef(dose, change)[0, 1])
    outs = [np.polyfit(np.delete(dose, unit), np.delete(change, unit), 1)[0] for unit in range(6)]
    assert (found.low, found.high) == (pytest.approx(min(outs)), pytest.approx(max(outs)))


def test_many_units_draw_orders_with_a_seed():
    dose, change = RNG.normal(size=12), RNG.normal(size=12)
    first, again = dose_response(change, dose, seed=3), dose_response(change, dose, seed=3)
    assert not first.exact and len(first.placebo) == 10_000
    np.testing.assert_array_equal(first.placebo, again.placebo)
    assert dose_response(3 * dose, dose).p_value == pytest.approx(1e-4)


@pytest.mark.parametrize(
    ("change", "dose", "match"),
    [
        ([1, 2, 3], [1, 2, 3], "3 treated"),
        ([1, 2, 3, 4], [2, 2, 2, 2], "all the same"),
        ([1, 2, 3, np.nan], [1, 2, 3, 4], "missing"),
        ([1, 2, 3, 4], [1, 2, 3], "shape"),
    ],
)
def test_doses_that_say_nothing_are_refused(change, dose, match):
    with pytest.raises(DesignError, match=match):
        dose_response(change, dose)


# --- sensitivity

UNITS = [f"u{number}" for number in range(9)]
STRATA = ["a", "b", "a", "a", "a", "b", "b", "b", "c"]
TREATED = ["u0", "u1"]


def _brute(change: pd.Series, kept: list[str]) -> float:
    strata = dict(zip(UNITS, STRATA, strict=True))
    gaps = [
        change[unit]
        - np.mean([change[other] for other in kept if other not in TREATED and strata[other] == strata[unit]])
        for unit in TREATED
    ]
    return float(np.mean(gaps))


def test_leave_one_out_is_the_estimate_without_each_control():
    change = pd.Series(RNG.normal(size=9), index=UNITS)
    found = leave_one_out(change, TREATED, STRATA).set_index("left_out")["estimate"]
    assert set(found.index) == set(UNITS[2:8])
    for unit in found.index:
        assert found[unit] == pytest.approx(_brute(change, [other for other in UNITS if other != unit]))
    with pytest.raises(DesignError, match="alone"):
        leave_one_out(change[["u0", "u2"]], ["u0"], ["a", "a"])


def test_placebo_dates_are_differences_before_the_exposure():
    outcome = pd.DataFrame(RNG.normal(size=(9, 5)), index=UNITS, columns=[2016, 2017, 2018, 2019, 2021])
    assignments = assign(STRATA, np.isin(UNITS, TREATED), seed=1)
    found = placebo_dates(outcome, assignments.contrasts, [2016, 2017, 2018, 2019]).set_index("first")
    assert list(found.index) == [2017, 2018, 2019]
    change = outcome[[2018, 2019]].mean(axis=1) - outcome[[2016, 2017]].mean(axis=1)
    assert found.loc[2018, "estimate"] == pytest.approx(_brute(change, UNITS))
    with pytest.raises(DesignError, match="two periods"):
        placebo_dates(outcome, assignments.contrasts, [2016])


def test_adjustment_is_the_regression_on_controls_with_strata_effects():
    n = 30
    units = [f"u{number:02d}" for number in range(n)]
    strata = np.array(["a", "b", "c"])[np.arange(n) % 3]
    covariate = pd.DataFrame({"x": RNG.normal(size=n), "z": RNG.normal(size=n)}, index=units)
    change = pd.Series(RNG.normal(size=n), index=units) + 2 * covariate["x"] - covariate["z"]
    treated = units[:2]
    found = adjust_change(change, covariate, treated, strata)
    control = ~change.index.isin(treated)
    dummies = pd.get_dummies(pd.Series(strata, index=units), dtype=float)
    fitted = sm.OLS(change[control], pd.concat([covariate, dummies], axis=1)[control]).fit()
    expected = change - covariate @ fitted.params[["x", "z"]].to_numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # An effect on the treated moves them by itself, and nothing else.
    moved = change + 5.0 * change.index.isin(treated)
    np.testing.assert_allclose(adjust_change(moved, covariate, treated, strata) - found, moved - change, atol=1e-12)


def test_adjustment_on_too_few_controls_is_refused():
    change = pd.Series([1.0, 2.0, 3.0], index=["a", "b", "c"])
    with pytest.raises(DesignError, match="too few"):
        adjust_change(change, pd.DataFrame({"x": [1.0, 2.0, 4.0]}, index=change.index), ["a"], ["s"] * 3)
    with pytest.raises(DesignError, match="missing"):
        adjust_change(change, pd.DataFrame({"x": [1.0, 2.0, np.nan]}, index=change.index), ["a"], ["s"] * 3)
    with pytest.raises(DesignError, match="no covariate for c"):
        adjust_change(change, pd.DataFrame({"x": [1.0, 2.0]}, index=["a", "b"]), ["a"], ["s"] * 3)


# --- specification curve


def _brute_curve(table: np.ndarray, alpha: float) -> tuple[float, float, float]:
    """Joint p by loops over re-assignments."""
    draws, k = table.shape

    def facts(row: int) -> tuple[float, float, float]:
        own = table[row]
        small = [
            np.mean([abs(table[other, place]) >= abs(own[place]) * (1 - 1e-9) for other in range(draws)]) <= alpha
            for place in range(k)
        ]
        return abs(np.median(own)), max(np.mean(own > 0), np.mean(own < 0)), float(np.mean(small))

    all_facts = np.array([facts(row) for row in range(draws)])
    return tuple(np.mean(all_facts >= all_facts[0] - 1e-12, axis=0))


def test_joint_tests_are_those_of_brute_force():
    common = RNG.normal(size=(60, 1))
    table = common + 0.3 * RNG.normal(size=(60, 5))
    table[0] += 1.5
    choices = pd.DataFrame({"window": list("abcde")})
    found = specification_curve(choices, list(table.T), alpha=0.1)
    assert (found.median_p, found.same_sign_p, found.significant_p) == pytest.approx(_brute_curve(table, 0.1))
    assert found.frame["estimate"].is_monotonic_increasing
    assert found.median == np.median(table[0]) and found.high == table[0].max()


def test_under_the_null_the_joint_test_has_its_size():
    rng, hits = np.random.default_rng(20201), 0
    for _ in range(300):
        table = rng.normal(size=(100, 1)) + 0.5 * rng.normal(size=(100, 4))
        hits += specification_curve(pd.DataFrame({"x": range(4)}), list(table.T)).median_p <= 0.05
    assert 0.02 <= hits / 300 <= 0.09


def test_specifications_with_other_assignments_have_no_joint_test():
    found = specification_curve(pd.DataFrame({"pool": ["near", "far"]}), [np.array([1.0, 0.5]), np.array([2.0, 1, 0])])
    assert found.median_p is None and list(found.frame["smallest_p"]) == [1 / 2, 1 / 3]
    choices, rows = pd.DataFrame({"pool": ["near", "far"]}), [np.array([1.0, 0.5]), np.array([2.0, 1.0])]
    assert specification_curve(choices, rows).median_p is not None
    assert specification_curve(choices, rows, shared=False).median_p is None


@pytest.mark.parametrize(
    ("choices", "statistics", "match"),
    [
        ({"a": []}, [], "0 specifications"),
        ({"a": [1, 2]}, [[1.0]], "2 specifications and 1"),
        ({"a": [1, 1]}, [[1.0], [2.0]], "stand twice"),
        ({"a": [1, 2]}, [[1.0], [np.nan]], "no finite"),
    ],
)
def test_curves_without_sense_are_refused(choices, statistics, match):
    with pytest.raises(DesignError, match=match):
        specification_curve(pd.DataFrame(choices), statistics)
