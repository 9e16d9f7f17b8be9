"""Inequality statistics against published values, brute force and laws."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from tne_eval.errors import DesignError
from tne_eval.indicators import concentration_index, gini, gradient

# Gini of these ten incomes, without correction, as computed by the R package `ineq`.
VECTOR = [541, 1463, 2445, 3438, 4437, 5401, 6392, 8304, 11904, 22261]


def test_gini_equals_the_published_value():
    assert gini(VECTOR) == pytest.approx(0.4620911303, abs=1e-10)


def test_gini_equals_half_the_mean_relative_difference():
    value = np.random.default_rng(1).gamma(2, size=60)
    weight = np.random.default_rng(2).integers(1, 6, size=60)
    pairs = np.abs(np.subtract.outer(value, value)) * np.outer(weight, weight)
    expected = pairs.sum() / (2 * weight.sum() ** 2 * np.average(value, weights=weight))
    assert gini(value, weight) == pytest.approx(expected, abs=1e-12)


@pytest.mark.opendata
def test_weighted_gini_of_the_laeken_survey(reference_data):
    survey = reference_data("laeken_eusilc.csv.gz")
    assert gini(survey["eqIncome"].clip(lower=0), survey["rb050"]) == pytest.approx(0.2648961921, abs=1e-8)


def test_concentration_index_by_brute_force():
    """Twice the area between the diagonal and the concentration curve, drawn rank by rank (no tie, weights 1)."""
    rng = np.random.default_rng(3)
    value, rank_by = rng.gamma(2, size=40), rng.normal(size=40)
    order = np.argsort(rank_by)
    curve = np.concatenate([[0], np.cumsum(value[order]) / value.sum()])
    area = np.trapezoid(curve, np.linspace(0, 1, 41))
    assert concentration_index(value, rank_by) == pytest.approx(1 - 2 * area, abs=1e-12)


def test_concentration_index_bounds():
    value = np.array([0.0, 0, 0, 1])
    assert concentration_index(value, [1, 2, 3, 4]) == pytest.approx(0.75)
    assert concentration_index(value, [4, 3, 2, 1]) == pytest.approx(-0.75)
    assert concentration_index(value, [1, 1, 1, 1]) == pytest.approx(0)


def test_gradient_equals_weighted_least_squares():
    rng = np.random.default_rng(4)
    position, weight = rng.normal(100, 15, 50), rng.integers(1, 90, 50)
    value = 0.4 * position + rng.normal(size=50)
    fit = sm.WLS(value, sm.add_constant(position), weights=weight).fit()
    slope, r2 = gradient(value, position, weight)
    assert slope == pytest.approx(fit.params[1], rel=1e-10)
    assert r2 == pytest.approx(fit.rsquared, rel=1e-10)


@given(st.integers(0, 2**32 - 1), st.floats(0.01, 1000))
@settings(max_examples=60, deadline=None)
def test_laws(seed, scale):
    """Weight k is k copies; order and scale are irrelevant; a transfer from rich to poor lowers the Gini."""
    rng = np.random.default_rng(seed)
    value, rank_by = rng.gamma(2, size=15), rng.integers(0, 6, 15)
    weight = rng.integers(1, 5, 15)
    order = rng.permutation(15)
    for statistic in (lambda v, r, w: gini(v, w), lambda v, r, w: concentration_index(v, r, w)):
        expected = statistic(value, rank_by, weight)
        copies = np.repeat(np.arange(15), weight)
        assert statistic(value[copies], rank_by[copies], None) == pytest.approx(expected, abs=1e-10)
        assert statistic(value[order], rank_by[order], weight[order]) == pytest.approx(expected, abs=1e-10)
        assert statistic(value * scale, rank_by, weight) == pytest.approx(expected, abs=1e-10)
    rich, poor = np.argmax(value), np.argmin(value)
    moved = value.copy()
    step = (value[rich] - value[poor]) / 4
    moved[rich] -= step
    moved[poor] += step
    assert gini(moved) < gini(value)


def test_inputs_are_not_modified():
    value, weight = np.array([3.0, 1.0, 2.0]), np.array([1.0, 0.0, 2.0])
    before = value.copy(), weight.copy()
    gini(value, weight)
    concentration_index(value, value, weight)
    gradient(value, [1.0, 2.0, 3.0], weight)
    np.testing.assert_array_equal(value, before[0])
    np.testing.assert_array_equal(weight, before[1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gini([1, -1]), "zero or more"),
        (lambda: gini([0, 0]), "positive mean"),
        (lambda: gini([1, np.nan]), "missing or infinite"),
        (lambda: gini([1, np.inf]), "missing or infinite"),
        (lambda: gini([1, 2], [0, 0]), "not all zero"),
        (lambda: gini([1, 2], [1, -1]), "zero or more"),
        (lambda: gini([1, 2], [1, 1, 1]), "shape"),
        (lambda: gini([[1, 2]]), "shape"),
        (lambda: concentration_index([1, 2], [1]), "shape"),
        (lambda: gradient([1, 2], [5, 5]), "vary"),
    ],
)
def test_bad_input_is_an_error(call, message):
    with pytest.raises(DesignError, match=message):
        call()


def test_limits():
    assert gini([7]) == pytest.approx(0)
    assert gini([2, 2, 2], [1, 5, 2]) == pytest.approx(0)
    assert gradient([3, 3, 3], [1, 2, 3]) == (0.0, 0.0)
