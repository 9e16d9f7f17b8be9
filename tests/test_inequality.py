"""Inequality statistics against published values, R, closed forms, brute force and laws."""

import csv
import math
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.inequality import (
    atkinson,
    concentration_curve,
    concentration_index,
    generalized_entropy,
    gini,
    gradient,
    lorenz_curve,
    relative_index_of_inequality,
    slope_index_of_inequality,
)
from tne_eval.indicators.moments import intraclass_correlation, mean, variance
from tne_eval.indicators.quantiles import polarization, quantile, quantile_ratio, quantile_share, share_ratio
from tne_eval.indicators.statistic import Statistic, as_statistic
from tne_eval.sources.tables.groups import weighted_quantile

# Published with the R package `ineq`: ten incomes.
VECTOR = [541, 1463, 2445, 3438, 4437, 5401, 6392, 8304, 11904, 22261]
NAMES = (
    "mean",
    "variance",
    "gini",
    "theil_t",
    "theil_l",
    "generalized_entropy(-1)",
    "generalized_entropy(0.3)",
    "generalized_entropy(2)",
    "atkinson(0.5)",
    "atkinson(1)",
    "atkinson(2)",
    "quantile(0.5)",
    "quantile_ratio(0.9, 0.1)",
    "share_ratio(0.2, 0.2)",
    "quantile_share(0.35, 0.9)",
    "polarization",
)
SCALED = {"mean": 1, "variance": 2, "quantile": 1}
TABLE = Path(__file__).parent / "reference" / "inequality.csv"
REFERENCE = list(csv.DictReader(TABLE.read_text(encoding="utf-8").splitlines()))
GENERATED = np.arange(1, 241)


def generated() -> pd.DataFrame:
    """The rows of the same name in reference/inequality.R."""
    i = GENERATED
    cluster = (i - 1) // 6
    columns = {"value": i * 7919 % 997 + 1, "weight": i * 104729 % 23 + 1, "position": i * 31 % 20}
    return pd.DataFrame(columns | {"cluster": cluster, "strata": cluster % 3})


def survey(reference_data) -> pd.DataFrame:
    names = {"eqIncome": "value", "rb050": "weight", "age": "position", "db030": "cluster", "db040": "strata"}
    table = reference_data("laeken_eusilc.csv.gz").rename(columns=names)
    return table[table["value"] > 0]


def estimate(frame: pd.DataFrame, name: str) -> float:
    if name == "concentration_index":
        return concentration_index(frame["value"], frame["position"], frame["weight"])
    if name == "slope_index_of_inequality":
        return slope_index_of_inequality(frame["value"], frame["position"], frame["weight"])
    if name == "intraclass_correlation":
        return intraclass_correlation(frame["value"], frame["strata"], frame["weight"]).icc
    return as_statistic(name)(frame["value"], frame["weight"])


def reference(data: str):
    cases = [(row["statistic"], float(row["value"])) for row in REFERENCE if row["data"] == data]
    kinds = [row["kind"] for row in REFERENCE if row["data"] == data]
    kept = [case for case, kind in zip(cases, kinds, strict=True) if kind == "estimate"]
    return pytest.mark.parametrize(("name", "expected"), kept, ids=[name for name, _ in kept])


def test_published_values_of_the_package_ineq():
    assert gini(VECTOR) == pytest.approx(0.4620911303, abs=1e-10)
    assert gini(VECTOR) * 10 / 9 == pytest.approx(0.5134346, abs=1e-7)
    assert atkinson(VECTOR, 0.5) == pytest.approx(0.179659098, abs=1e-9)
    assert generalized_entropy(VECTOR, 1) == pytest.approx(0.3623412423, abs=1e-10)


@pytest.mark.opendata
def test_published_values_of_the_package_laeken(reference_data):
    table = reference_data("laeken_eusilc.csv.gz")
    income, weight = table["eqIncome"], table["rb050"]
    assert gini(income, weight) == pytest.approx(0.2648961921, abs=1e-8)
    assert share_ratio(income, weight=weight) == pytest.approx(3.970004326, abs=1e-8)
    poor = income < 0.6 * quantile(income, 0.5, weight)
    assert 100 * mean(poor, weight) == pytest.approx(14.44421817, abs=1e-8)


@reference("generated")
def test_estimates_equal_r(name, expected):
    assert estimate(generated(), name) == pytest.approx(expected, rel=1e-10)


@pytest.mark.opendata
@reference("eusilc")
def test_estimates_of_the_survey_equal_r(reference_data, name, expected):
    assert estimate(survey(reference_data), name) == pytest.approx(expected, rel=1e-10)


def test_gini_equals_half_the_mean_relative_difference():
    rng = np.random.default_rng(1)
    value, weight = rng.integers(0, 9, 60), rng.integers(1, 6, 60)
    pairs = np.abs(np.subtract.outer(value, value)) * np.outer(weight, weight)
    expected = pairs.sum() / (2 * weight.sum() ** 2 * np.average(value, weights=weight))
    assert gini(value, weight) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("spread", [0.05, 0.7])
def test_indices_of_a_lognormal_law(spread):
    """Values at 200,000 equal steps of a lognormal law: its indices are known (Cowell 2011)."""
    steps = (np.arange(200_000) + 0.5) / 200_000
    value = np.exp(spread * stats.norm.ppf(steps))
    half = spread**2 / 2
    assert gini(value) == pytest.approx(2 * stats.norm.cdf(spread / math.sqrt(2)) - 1, rel=1e-4)
    for alpha in (0, 1):
        assert generalized_entropy(value, alpha) == pytest.approx(half, rel=2e-3)
    for alpha in (-1, 0.3, 2):
        expected = math.expm1(alpha * (alpha - 1) * half) / (alpha * (alpha - 1))
        assert generalized_entropy(value, alpha) == pytest.approx(expected, rel=2e-2 if alpha == 2 else 4e-3)
    for epsilon in (0.5, 1, 2):
        assert atkinson(value, epsilon) == pytest.approx(-math.expm1(-epsilon * half), rel=2e-3)
    assert quantile_ratio(value) == pytest.approx(math.exp(2 * spread * stats.norm.ppf(0.9)), rel=1e-3)
    top = stats.norm.sf(stats.norm.ppf(0.8) - spread)
    assert share_ratio(value) == pytest.approx(top / stats.norm.cdf(stats.norm.ppf(0.2) - spread), rel=1e-3)
    assert quantile_share(value, 0.8, 1) == pytest.approx(top, rel=1e-3)


def test_indices_of_a_uniform_law():
    """On (0, 1): Gini 1/3, Lorenz curve p², polarization 2 (2 × 1/4 − 1/3) = 1/3."""
    value = np.arange(10_000) + 0.5
    assert gini(value) == pytest.approx(1 / 3, abs=1e-7)
    assert polarization(value) == pytest.approx(1 / 3, abs=1e-7)
    curve = lorenz_curve(value)
    np.testing.assert_allclose(curve.value, curve.population**2, atol=1e-8)
    assert share_ratio(value, 0.1, 0.4) == pytest.approx(0.19 / 0.16, abs=1e-7)


@pytest.mark.parametrize("alpha", [-1e-9, 1e-9, 1 - 1e-9, 1 + 1e-9, 1e-14, 1 - 1e-14])
def test_entropy_is_continuous_at_its_limits(alpha):
    value = [1, 2, 3, 10]
    assert generalized_entropy(value, alpha) == pytest.approx(generalized_entropy(value, round(alpha)), abs=1e-8)


@pytest.mark.parametrize("epsilon", [1 - 1e-9, 1 + 1e-9])
def test_atkinson_is_continuous_at_one(epsilon):
    assert atkinson(VECTOR, epsilon) == pytest.approx(atkinson(VECTOR, 1), abs=1e-8)
    assert atkinson(VECTOR, 1) == pytest.approx(1 - stats.gmean(VECTOR) / np.mean(VECTOR), abs=1e-12)


def test_nothing_is_lost_near_equality():
    """GE(α) is half the squared coefficient of variation to second order, whatever α; direct sums would lose it."""
    value = 1 + 1e-6 * np.arange(-5, 6)
    expected = np.var(value) / 2
    for alpha in (-2, 0, 1e-7, 0.5, 1, 1 + 1e-7, 2, 5):
        assert generalized_entropy(value, alpha) == pytest.approx(expected, rel=2e-4)
    for epsilon in (0.5, 1, 2):
        assert atkinson(value, epsilon) == pytest.approx(epsilon * expected, rel=2e-4)


def test_atkinson_is_a_transformation_of_entropy():
    """For ε = 1 − α: A = 1 − (1 + α (α − 1) GE)^(1/α) (Cowell 2011)."""
    for alpha in (0.4, -1.5):
        inner = 1 + alpha * (alpha - 1) * generalized_entropy(VECTOR, alpha)
        assert atkinson(VECTOR, 1 - alpha) == pytest.approx(1 - inner ** (1 / alpha), abs=1e-12)


def test_zeros_where_they_are_allowed():
    value = [0, 1, 3]
    assert generalized_entropy(value, 1) == pytest.approx((0.75 * math.log(0.75) + 2.25 * math.log(2.25)) / 3)
    assert generalized_entropy(value, 0.25) == pytest.approx(((0.75**0.25 + 2.25**0.25) / 3 - 1) / (0.25 * -0.75))
    assert generalized_entropy(value, 0.75) == pytest.approx(((0.75**0.75 + 2.25**0.75) / 3 - 1) / (0.75 * -0.25))
    assert generalized_entropy(value, 2) == pytest.approx(np.var(value) / np.mean(value) ** 2 / 2)
    assert atkinson(value, 0.5) == pytest.approx(1 - ((math.sqrt(1) + math.sqrt(3)) / 3) ** 2 / (4 / 3))


def test_gini_is_twice_the_area_of_the_lorenz_curve():
    frame = generated()
    curve = lorenz_curve(frame["value"] % 30, frame["weight"])
    area = np.trapezoid(curve.value, curve.population)
    assert gini(frame["value"] % 30, frame["weight"]) == pytest.approx(1 - 2 * area, abs=1e-12)
    assert len(curve.value) == 1 + (frame["value"] % 30).nunique()
    assert (curve.population[0], curve.value[0], curve.population[-1], curve.value[-1]) == (0, 0, 1, pytest.approx(1))


def test_concentration_index_is_the_area_of_its_curve():
    frame = generated()
    columns = frame["value"], frame["position"], frame["weight"]
    curve = concentration_curve(*columns)
    area = np.trapezoid(curve.value, curve.population)
    assert concentration_index(*columns) == pytest.approx(1 - 2 * area, abs=1e-12)
    assert len(curve.value) == 21


def test_concentration_index_bounds():
    value = np.array([0.0, 0, 0, 1])
    assert concentration_index(value, [1, 2, 3, 4]) == pytest.approx(0.75)
    assert concentration_index(value, [4, 3, 2, 1]) == pytest.approx(-0.75)
    assert concentration_index(value, [1, 1, 1, 1]) == pytest.approx(0)


def test_corrections_of_a_bounded_outcome():
    """Where the outcome is 1 above a rank and 0 below: Wagstaff (2005), 1; Erreygers (2009), 4 mean (1 − mean)."""
    rank = np.arange(10)
    value = (rank >= 3).astype(float)
    assert concentration_index(value, rank, correction="wagstaff") == pytest.approx(1)
    assert concentration_index(1 - value, rank, correction="wagstaff") == pytest.approx(-1)
    assert concentration_index(value, rank, correction="erreygers") == pytest.approx(4 * 0.7 * 0.3)
    smooth = np.random.default_rng(5).random(10)
    plain = concentration_index(smooth, rank)
    assert concentration_index(smooth, rank, None, "wagstaff") == pytest.approx(plain / (1 - smooth.mean()))
    assert concentration_index(smooth, rank, None, "erreygers") == pytest.approx(4 * smooth.mean() * plain)
    for correction in ("wagstaff", "erreygers"):
        expected = concentration_index(smooth, rank, None, correction)
        assert concentration_index(1 - smooth, rank, None, correction) == pytest.approx(-expected)
        assert concentration_index(100 * smooth, rank, None, correction, (0, 100)) == pytest.approx(expected)
        assert concentration_index(5 + 3 * smooth, rank, None, correction, (5, 8)) == pytest.approx(expected)


def test_slope_index_equals_weighted_least_squares_and_ties_to_the_concentration_index():
    frame = generated()
    value, position, weight = frame["value"], frame["position"], frame["weight"]
    mass = frame.groupby("position")["weight"].sum()
    rank = position.map((mass.cumsum() - mass / 2) / mass.sum())
    slope = sm.WLS(value, sm.add_constant(rank), weights=weight).fit().params.iloc[1]
    assert slope_index_of_inequality(value, position, weight) == pytest.approx(slope, rel=1e-10)
    relative = relative_index_of_inequality(value, position, weight)
    assert relative == pytest.approx(slope / np.average(value, weights=weight), rel=1e-10)
    spread = np.average((rank - 0.5) ** 2, weights=weight)
    assert concentration_index(value, position, weight) == pytest.approx(2 * spread * relative, rel=1e-10)


def test_gradient_equals_weighted_least_squares():
    rng = np.random.default_rng(4)
    position, weight = rng.normal(100, 15, 50), rng.integers(1, 90, 50)
    value = 0.4 * position + rng.normal(size=50)
    fit = sm.WLS(value, sm.add_constant(position), weights=weight).fit()
    slope, r2 = gradient(value, position, weight)
    assert slope == pytest.approx(fit.params[1], rel=1e-10)
    assert r2 == pytest.approx(fit.rsquared, rel=1e-10)


def test_quantile_is_the_one_of_the_panel_and_of_numpy():
    value, weight = generated()["value"], generated()["weight"]
    shares = np.linspace(0, 1, 41)
    ours = [quantile(value, share, weight) for share in shares]
    np.testing.assert_array_equal(ours, weighted_quantile(value.to_numpy(), weight.to_numpy(), shares))
    copies = np.repeat(value, weight)
    np.testing.assert_array_equal(ours, np.quantile(copies, shares, method="inverted_cdf"))


def test_variance_parts_equal_an_analysis_of_variance():
    frame = generated()
    dummies = pd.get_dummies(frame["cluster"], dtype=float)
    fit = sm.WLS(frame["value"], dummies, weights=frame["weight"]).fit()
    parts = intraclass_correlation(frame["value"], frame["cluster"], frame["weight"])
    assert parts.within == pytest.approx(fit.ssr / frame["weight"].sum(), rel=1e-10)
    assert parts.between + parts.within == pytest.approx(variance(frame["value"], frame["weight"]), rel=1e-10)
    assert parts.icc == pytest.approx(1 - fit.ssr / fit.centered_tss, rel=1e-10)
    assert intraclass_correlation([1, 1, 4, 4], list("aabb")) == (2.25, 0, 1)
    assert intraclass_correlation([1, 4, 1, 4], list("aabb")) == (0, 2.25, 0)


def test_polarization_rises_where_the_gini_falls():
    """A transfer inside each half that brings it to its mean: less unequal, more polarised (Wolfson 1994)."""
    spread, halves = [1, 3, 5, 7], [2, 2, 6, 6]
    assert gini(halves) < gini(spread)
    assert polarization(halves) > polarization(spread)
    assert polarization([0, 0, 9, 9]) == pytest.approx(1)


@given(st.sampled_from(NAMES), st.integers(0, 2**32 - 1), st.floats(0.01, 1000))
@settings(max_examples=150, deadline=None)
def test_laws(name, seed, scale):
    """Weight k is k copies; order, scale of weights or values, population and rows of no weight change nothing."""
    rng = np.random.default_rng(seed)
    value, weight = 1 + rng.integers(0, 40, 25) / 4, rng.integers(1, 5, 25)
    value[:2] = 0.5, 20
    statistic = as_statistic(name)
    order, copies = rng.permutation(25), np.repeat(np.arange(25), weight)
    expected = statistic(value, weight)
    approx = partial(pytest.approx, rel=1e-9, abs=1e-12)
    assert statistic(value[copies]) == approx(expected)
    assert statistic(value[order], weight[order]) == approx(expected)
    assert statistic(np.tile(value, 3), np.tile(weight, 3)) == approx(expected)
    assert statistic(value, weight * scale) == approx(expected)
    assert statistic(np.append(value, 99), np.append(weight, 0)) == approx(expected)
    assert statistic(value * scale, weight) == approx(expected * scale ** SCALED.get(statistic.name, 0))


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 0.99))
@settings(max_examples=60, deadline=None)
def test_a_transfer_from_rich_to_poor_lowers_inequality(seed, part):
    value = np.random.default_rng(seed).gamma(2, size=15) + 0.1
    rich, poor = np.argmax(value), np.argmin(value)
    moved = value.copy()
    step = part * (value[rich] - value[poor]) / 2
    moved[[rich, poor]] += -step, step
    for name in NAMES:
        if name.startswith(("gini", "theil", "generalized", "atkinson")):
            assert as_statistic(name)(moved) < as_statistic(name)(value)
            assert as_statistic(name)(value) >= 0


@given(st.integers(0, 2**32 - 1), st.sampled_from([None, "wagstaff", "erreygers"]))
@settings(max_examples=60, deadline=None)
def test_laws_of_concentration(seed, correction):
    rng = np.random.default_rng(seed)
    value, rank_by, weight = rng.random(15), rng.integers(0, 6, 15), rng.integers(1, 5, 15)
    order, copies = rng.permutation(15), np.repeat(np.arange(15), weight)
    index = partial(concentration_index, correction=correction)
    expected = index(value, rank_by, weight)
    assert index(value[copies], rank_by[copies]) == pytest.approx(expected, abs=1e-10)
    assert index(value[order], rank_by[order], weight[order]) == pytest.approx(expected, abs=1e-10)
    assert index(value, np.exp(rank_by), weight) == pytest.approx(expected, abs=1e-10)
    assert index(value, -rank_by, weight) == pytest.approx(-expected, abs=1e-10)
    assert -1 - 1e-12 <= expected <= 1 + 1e-12


def test_inputs_are_not_modified():
    value, weight = np.array([3.0, 1.0, 2.0, 0.5]), np.array([1.0, 0.0, 2.0, 2.0])
    before = value.copy(), weight.copy()
    for name in NAMES:
        as_statistic(name)(value, weight)
    for function in (concentration_index, concentration_curve, gradient, slope_index_of_inequality):
        function(value, np.array([1.0, 2.0, 3.0, 3.0]), weight)
    intraclass_correlation(value, [1, 1, 2, 2], weight)
    np.testing.assert_array_equal(value, before[0])
    np.testing.assert_array_equal(weight, before[1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("value", "weight", "message"),
    [
        (["a", "b"], None, "something else than numbers"),
        ([1, np.nan], None, "missing or infinite"),
        ([1, np.inf], None, "missing or infinite"),
        ([1, 2], [0, 0], "not all zero"),
        ([1, 2], [1, -1], "zero or more"),
        ([1, 2], [1, np.nan], "missing or infinite"),
        ([1, 2], [1, 1, 1], "shape"),
        ([[1, 2]], None, "shape"),
        ([], None, "not all zero"),
    ],
)
def test_bad_arrays_are_an_error(name, value, weight, message):
    with pytest.raises(DesignError, match=message):
        as_statistic(name)(value, weight)


@pytest.mark.parametrize("name", [name for name in NAMES if as_statistic(name).name not in SCALED])
def test_values_outside_the_domain_are_an_error(name):
    with pytest.raises(DesignError, match=r"zero or more|above zero"):
        as_statistic(name)([1, -1, 8])
    with pytest.raises(DesignError, match=r"positive mean|above zero"):
        as_statistic(name)([0, 0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: generalized_entropy([0, 1], 0), "above zero"),
        (lambda: generalized_entropy([0, 1], -1), "above zero"),
        (lambda: generalized_entropy([1, 2], np.nan), "finite"),
        (lambda: generalized_entropy([1e-9, 1], 1e5), "overflows"),
        (lambda: generalized_entropy([1e-9, 1], -1e5), "overflows"),
        (lambda: atkinson([0, 1], 1), "above zero"),
        (lambda: atkinson([0, 1], 2), "above zero"),
        (lambda: atkinson([1, 2], 0), "epsilon"),
        (lambda: atkinson([1, 2], -1), "epsilon"),
        (lambda: atkinson([1, 2], 1e5), "overflows"),
        (lambda: quantile([1, 2], 1.5), "between 0 and 1"),
        (lambda: quantile_ratio([1, 2], 0.1, 0.9), "lower < upper"),
        (lambda: quantile_ratio([0, 0, 0, 1]), "is zero"),
        (lambda: share_ratio([1, 2, 3], 0.7, 0.7), "sum"),
        (lambda: share_ratio([1, 2, 3], 0, 0.2), "above 0"),
        (lambda: share_ratio([2, 2, 2]), "too few distinct"),
        (lambda: share_ratio([0, 0, 0, 0, 0, 1]), "holds nothing"),
        (lambda: quantile_share([1, 2], 0.5, 0.5), "lower < upper"),
        (lambda: polarization([0, 0, 1]), "positive median"),
        (lambda: concentration_index([1, 2], [1]), "shape"),
        (lambda: concentration_index([-1, 0], [1, 2]), "positive mean"),
        (lambda: concentration_index([1, 2], [1, 2], correction="none"), "unknown correction"),
        (lambda: concentration_index([1, 2], [1, 2], correction="wagstaff"), "outside the bounds"),
        (lambda: concentration_index([1, 2], [1, 2], None, "erreygers", (2, 1)), "lower one first"),
        (lambda: concentration_index([1, 1], [1, 2], correction="wagstaff"), "one bound"),
        (lambda: concentration_index([1, 2], [1, 2], None, "erreygers", (1, 2, 3)), "lower one first"),
        (lambda: concentration_index([1, 2], [1, 2], None, "erreygers", 100), "lower one first"),
        (lambda: atkinson([1, 2], "half"), "finite number"),
        (lambda: generalized_entropy([1, 2], None), "finite number"),
        (lambda: quantile([1, 2], "median"), "finite number"),
        (lambda: quantile_ratio([1, 2], [0.9], 0.1), "finite number"),
        (lambda: concentration_curve([-1, 0], [1, 2]), "positive mean"),
        (lambda: lorenz_curve([-1, 5]), "zero or more"),
        (lambda: slope_index_of_inequality([1, 2], [5, 5]), "vary"),
        (lambda: relative_index_of_inequality([0, 0], [1, 2]), "positive mean"),
        (lambda: gradient([1, 2], [5, 5]), "vary"),
        (lambda: intraclass_correlation([1, 2], [1, 1]), "fewer than two groups"),
        (lambda: intraclass_correlation([1, 2, 3], [1, 1, 2], [1, 1, 0]), "fewer than two groups"),
        (lambda: intraclass_correlation([1, 2], ["a", None]), "missing labels"),
        (lambda: intraclass_correlation([1, 2], [1, 2, 3]), "shape"),
        (lambda: intraclass_correlation([2, 2], [1, 2]), "do not vary"),
    ],
)
def test_bad_input_is_an_error(call, message):
    with pytest.raises(DesignError, match=message):
        call()


def test_limits():
    for value in ([7], [2, 2, 2]):
        for name in NAMES:
            if not name.startswith(("mean", "quantile", "share")):
                assert as_statistic(name)(value) == pytest.approx(0, abs=1e-15)
        assert quantile_ratio(value) == 1
        assert quantile_share(value, 0.8, 1) == pytest.approx(0.2)
    assert gini([2, 2, 2], [1, 5, 2]) == pytest.approx(0, abs=1e-15)
    assert gini(np.append(np.zeros(9999), 1)) == pytest.approx(1 - 1e-4)
    assert gradient([3, 3, 3], [1, 2, 3]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("given", "name", "parameters", "text"),
    [
        (gini, "gini", (), "gini"),
        ("gini", "gini", (), "gini"),
        ("theil_t", "generalized_entropy", (1.0,), "theil_t"),
        (partial(generalized_entropy, alpha=1), "generalized_entropy", (1.0,), "theil_t"),
        ("generalized_entropy(-0.0)", "generalized_entropy", (0.0,), "theil_l"),
        ("generalized_entropy(2)", "generalized_entropy", (2.0,), "generalized_entropy(2)"),
        (partial(atkinson, epsilon=0.5), "atkinson", (0.5,), "atkinson(0.5)"),
        ("quantile_ratio", "quantile_ratio", (0.9, 0.1), "quantile_ratio(0.9, 0.1)"),
        (quantile_ratio, "quantile_ratio", (0.9, 0.1), "quantile_ratio(0.9, 0.1)"),
        (partial(quantile_ratio, lower=0.5), "quantile_ratio", (0.9, 0.5), "quantile_ratio(0.9, 0.5)"),
        (" share_ratio( 0.1,0.4 ) ", "share_ratio", (0.1, 0.4), "share_ratio(0.1, 0.4)"),
        ("quantile_share(0.9, 1)", "quantile_share", (0.9, 1.0), "quantile_share(0.9, 1)"),
    ],
)
def test_a_statistic_is_named_one_way(given, name, parameters, text):
    statistic = as_statistic(given)
    assert statistic == Statistic(name, parameters)
    assert hash(statistic) == hash(Statistic(name, parameters))
    assert str(statistic) == text
    assert as_statistic(text) == statistic == as_statistic(statistic)


def test_a_statistic_evaluates_as_its_function():
    assert as_statistic("atkinson(0.5)")(VECTOR, range(10)) == atkinson(VECTOR, 0.5, range(10))
    assert as_statistic("quantile_ratio(0.8, 0.3)")(VECTOR) == quantile_ratio(VECTOR, 0.8, 0.3)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("ginni", UnknownNameError, "unknown statistic"),
        ("gini(", UnknownNameError, "unknown statistic"),
        ("theil_t(2)", UnknownNameError, "unknown statistic"),
        (np.mean, UnknownNameError, "unknown statistic"),
        (lambda value, weight: 1, UnknownNameError, "unknown statistic"),
        (3, UnknownNameError, "unknown statistic"),
        ("gini(1)", DesignError, "1 parameters"),
        ("atkinson", DesignError, "needs epsilon"),
        (atkinson, DesignError, "needs epsilon"),
        ("atkinson()", DesignError, "0 parameters"),
        ("atkinson(x)", DesignError, "finite number"),
        ("generalized_entropy(inf)", DesignError, "finite number"),
        ("quantile_ratio(0.9)", DesignError, "1 parameters"),
        (partial(atkinson, 0.5), DesignError, "by position"),
        (partial(atkinson, epsilon=0.5, weight=[1]), DesignError, "given weight"),
    ],
)
def test_an_unknown_statistic_is_an_error(given, error, message):
    with pytest.raises(error, match=message):
        as_statistic(given)
