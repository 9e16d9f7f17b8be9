"""Cluster bootstrap: against copies of the rows, laws of resampling, refusals."""

from fractions import Fraction
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators import resample
from tne_eval.indicators.inequality import atkinson, gini
from tne_eval.indicators.influence import linearized_error
from tne_eval.indicators.resample import bootstrap
from tne_eval.indicators.statistic import as_statistic

STATISTICS = [
    "gini",
    "theil_t",
    "theil_l",
    "generalized_entropy(2)",
    "generalized_entropy(-1)",
    "generalized_entropy(0.3)",
    "generalized_entropy(0.999999999)",
    "generalized_entropy(0.000000001)",
    "atkinson(0.5)",
    "atkinson(1)",
    "atkinson(1.000000001)",
    "atkinson(2)",
    "mean",
    "variance",
    "quantile(0.9)",
    "quantile_ratio(0.9, 0.1)",
    "share_ratio(0.2, 0.2)",
]


def schools(n=400, clusters=40, seed=1):
    """Values with ties, whole weights some of which are zero, labels of clusters that do not come in order."""
    rng = np.random.default_rng(seed)
    value = np.round(rng.lognormal(size=n), 1) + 0.1
    return value, rng.integers(0, 5, n), np.array([f"0{label}A" for label in rng.integers(0, clusters, n)])


def drawn_clusters(n_clusters, seed, replicates):
    """The documented draws of the first stream, read without the module under test."""
    stream = np.random.SeedSequence(seed).spawn(1)[0]
    return np.random.default_rng(stream).integers(0, n_clusters, size=(replicates, n_clusters), dtype=np.uint32)


@pytest.fixture(params=["numpy", "numba"])
def path(request, monkeypatch):
    """Each test that asks for it runs on both paths, however small its data are."""
    if request.param == "numba":
        pytest.importorskip("numba")
    else:
        monkeypatch.setattr(resample, "kernels", lambda: None)
    monkeypatch.setattr(resample, "_WORTH_COMPILING", 0)
    return request.param


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_replicate_is_the_statistic_of_copied_rows(path, statistic):
    value, weight, cluster = schools()
    result = bootstrap(statistic, value, weight, cluster, replicates=12, seed=5)
    labels = np.unique(cluster[weight > 0])
    evaluate = as_statistic(statistic)
    for replicate, drawn in enumerate(drawn_clusters(len(labels), 5, 12)):
        rows = np.concatenate([np.flatnonzero(cluster == labels[code]) for code in drawn])
        copies = np.repeat(value[rows], weight[rows])
        assert result.draws[replicate, 0] == pytest.approx(evaluate(copies), rel=1e-10, abs=1e-13)
    assert result.estimates[0] == pytest.approx(evaluate(np.repeat(value, weight)), rel=1e-10)


def test_rows_are_clusters_where_none_are_given(path):
    value, weight, _ = schools()
    result = bootstrap("gini", value, weight, replicates=5, seed=2)
    rows = pd.DataFrame({"value": value, "weight": weight}).query("weight > 0").sort_values(["value", "weight"])
    for replicate, drawn in enumerate(drawn_clusters(len(rows), 2, 5)):
        part = rows.iloc[drawn]
        assert result.draws[replicate, 0] == pytest.approx(gini(part["value"], part["weight"]), rel=1e-12)
    assert result.n_clusters == len(rows)


def test_both_paths_agree_on_many_rows(monkeypatch):
    pytest.importorskip("numba")
    value, weight, cluster = schools(30_000, 700)
    names = ["gini", "theil_t", "atkinson(0.5)", "variance"]
    monkeypatch.setattr(resample, "_WORTH_COMPILING", 0)
    fused = bootstrap(names, value, weight, cluster, replicates=130, seed=3)
    monkeypatch.setattr(resample, "kernels", lambda: None)
    plain = bootstrap(names, value, weight, cluster, replicates=130, seed=3)
    np.testing.assert_allclose(fused.draws, plain.draws, rtol=1e-11)
    np.testing.assert_allclose(fused.estimates, plain.estimates, rtol=1e-11)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_number_of_threads_changes_no_bit(path, monkeypatch, workers):
    value, weight, cluster = schools(3000, 300)
    monkeypatch.setattr(resample.os, "cpu_count", lambda: 3)
    expected = bootstrap(STATISTICS[:9], value, weight, cluster, replicates=300)
    monkeypatch.setattr(resample.os, "cpu_count", lambda: workers)
    np.testing.assert_array_equal(
        bootstrap(STATISTICS[:9], value, weight, cluster, replicates=300).draws, expected.draws
    )


def test_a_longer_run_begins_with_the_shorter_one(path):
    value, weight, cluster = schools()
    long, short = (bootstrap(["gini", "mean"], value, weight, cluster, replicates=count) for count in (150, 70))
    np.testing.assert_allclose(long.draws[:70], short.draws, rtol=1e-13)


@pytest.mark.parametrize("clustered", [True, False])
def test_order_of_rows_and_scale_of_weights_change_nothing(path, clustered):
    value, weight, cluster = schools()
    place = np.random.default_rng(9).permutation(len(value))
    names = ["gini", "theil_l", "mean"]
    labels = [(cluster, cluster[place]) if clustered else (None, None)][0]
    one = bootstrap(names, value, weight, labels[0], replicates=40)
    other = bootstrap(names, value[place], 7.5 * weight[place], labels[1], replicates=40)
    np.testing.assert_allclose(one.draws, other.draws, rtol=1e-10)


def test_kinds_of_input_give_the_same_and_are_left_alone():
    value, weight, cluster = schools()
    kept = [array.copy() for array in (value, weight, cluster)]
    expected = bootstrap("gini", value, weight, cluster, replicates=20).draws
    series = [pd.Series(array, index=np.arange(len(value))[::-1]) for array in (value, weight, cluster)]
    np.testing.assert_array_equal(bootstrap(gini, *series, replicates=20).draws, expected)
    np.testing.assert_array_equal(
        bootstrap(["gini"], *map(list, (value, weight, cluster)), replicates=20).draws, expected
    )
    for array, copy in zip((value, weight, cluster), kept, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_errors_and_interval_are_those_of_the_draws():
    value, weight, cluster = schools()
    result = bootstrap(["gini", partial(atkinson, epsilon=0.5)], value, weight, cluster, replicates=199)
    assert result.names == ("gini", "atkinson(0.5)")
    np.testing.assert_allclose(result.errors, pd.DataFrame(result.draws).std())
    ordered = np.sort(result.draws, axis=0)
    # Quantiles .025 and .975 of 199 draws lie at places 4.95 and 193.05, counted from 0.
    low = ordered[4] + 0.95 * (ordered[5] - ordered[4])
    high = ordered[193] + 0.05 * (ordered[194] - ordered[193])
    np.testing.assert_allclose(result.interval(), np.column_stack([low, high]))
    frame = result.to_frame(level=0.9)
    assert list(frame.columns) == ["statistic", "estimate", "error", "low", "high"]
    assert (frame["low"] < frame["estimate"]).all()
    assert (frame["estimate"] < frame["high"]).all()


def test_mean_has_the_error_of_the_textbook():
    """Var* of the mean of n rows drawn from n is their variance over n; 4,000 replicates know its root to 1.1 %."""
    value = np.random.default_rng(3).normal(50, 10, 300)
    result = bootstrap("mean", value, replicates=4000, seed=1)
    assert result.errors[0] == pytest.approx(value.std() / np.sqrt(300), rel=0.04)
    assert result.draws.mean() == pytest.approx(value.mean(), abs=4 * result.errors[0] / np.sqrt(4000))


@pytest.mark.parametrize("statistic", ["gini", "theil_t", "atkinson(0.5)", "variance", "mean"])
def test_linearised_and_bootstrap_errors_agree(statistic):
    rng = np.random.default_rng(4)
    cluster = np.repeat(np.arange(800), 20)
    value = np.exp(rng.normal(0, 0.3, 800)[cluster] + rng.normal(0, 0.4, 16_000))
    weight = rng.uniform(0.5, 2, 16_000)
    drawn = bootstrap(statistic, value, weight, cluster, replicates=2000).errors[0]
    assert drawn == pytest.approx(linearized_error(statistic, value, weight, cluster), rel=0.07)


def test_any_function_of_values_and_weights():
    value, weight, cluster = schools()

    def weighted_mean(value, weight):
        assert (weight > 0).all()
        assert (np.diff(value) >= 0).all()
        return np.average(value, weights=weight)

    result = bootstrap([weighted_mean, "mean"], value, weight, cluster, replicates=30)
    assert result.names == ("weighted_mean", "mean")
    np.testing.assert_allclose(result.draws[:, 0], result.draws[:, 1], rtol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    value=st.lists(st.floats(0.01, 1e6), min_size=4, max_size=30),
    clusters=st.integers(2, 4),
    seed=st.integers(0, 2**40),
)
def test_laws(value, clusters, seed):
    """Inequality ignores the unit; its draws are never below 0; equal values give no inequality and no error."""
    cluster = np.arange(len(value)) % clusters
    names = ["gini", "theil_t", "theil_l", "atkinson(0.5)", "atkinson(1)"]
    result = bootstrap(names, value, None, cluster, replicates=20, seed=seed)
    scaled = bootstrap(names, np.multiply(value, 1000.0), None, cluster, replicates=20, seed=seed)
    np.testing.assert_allclose(result.draws, scaled.draws, rtol=1e-7, atol=1e-12)
    assert (result.draws >= 0).all()
    same = bootstrap(names, np.full(len(value), value[0]), None, cluster, replicates=20, seed=seed)
    np.testing.assert_allclose(same.draws, 0, atol=1e-14)
    np.testing.assert_allclose(same.errors, 0, atol=1e-14)


def test_values_far_apart_keep_their_digits(path):
    """One unit of n holds nearly all: the Gini of those drawn is computed here in fractions of whole numbers."""
    value = np.concatenate([np.random.default_rng(1).integers(1, 9, size=3000), [10**12]])
    cluster = np.arange(len(value)) % 9
    others = ["theil_t", "theil_l", "generalized_entropy(2)", "atkinson(0.5)", "atkinson(2)", "variance"]
    result = bootstrap(["gini", *others], value, None, cluster, replicates=10)
    for replicate, drawn in enumerate(drawn_clusters(9, 0, 10)):
        copies = np.sort(np.concatenate([value[cluster == code] for code in drawn]))
        places = [int(place) for place in 2 * np.arange(1, len(copies) + 1) - len(copies) - 1]
        pairs = sum(place * int(one) for place, one in zip(places, copies, strict=True))
        exact = Fraction(pairs, len(copies) * sum(map(int, copies)))
        assert result.draws[replicate, 0] == pytest.approx(float(exact), rel=1e-12)
        for place, name in enumerate(others, start=1):
            assert result.draws[replicate, place] == pytest.approx(as_statistic(name)(copies), rel=1e-10)


def test_clusters_of_zero_weight_are_not_drawn():
    value, weight, cluster = schools()
    weight = np.where(cluster == cluster[0], 0, weight)
    kept = cluster != cluster[0]
    one = bootstrap("gini", value, weight, cluster, replicates=20)
    other = bootstrap("gini", value[kept], weight[kept], cluster[kept], replicates=20)
    np.testing.assert_allclose(one.draws, other.draws)
    assert one.n_clusters == other.n_clusters


GOOD = {"statistics": "gini", "value": [1.0, 2, 3, 4], "cluster": ["a", "a", "b", "b"]}


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"statistics": []}, "no statistic"),
        ({"statistics": "atkinson(-1)"}, "epsilon"),
        ({"cluster": ["a"] * 4}, "two clusters"),
        ({"value": [1.0], "cluster": None}, "two clusters"),
        ({"weight": [1, 1, 0, 0]}, "two clusters"),
        ({"cluster": ["a", None, "b", "b"]}, "missing labels"),
        ({"cluster": ["a", np.nan, "b", "b"]}, "missing labels"),
        ({"cluster": [1.0, np.nan, 2, 2]}, "missing labels"),
        ({"cluster": ["a", "b"]}, "shape"),
        ({"cluster": np.array([["a", "a", "b", "b"]])}, "one label"),
        ({"cluster": [("a",), 1, "b", 2.5]}, "one label"),
        ({"value": [1.0, np.nan, 3, 4]}, "missing or infinite"),
        ({"value": [1.0, np.inf, 3, 4]}, "missing or infinite"),
        ({"value": [-1.0, 2, 3, 4]}, "zero or more"),
        ({"value": [0.0, 0, 0, 0]}, "positive mean"),
        ({"value": [0.0, 2, 3, 4], "statistics": "theil_l"}, "above zero"),
        ({"value": [0.0, 0, 3, 4], "replicates": 200}, "undefined in"),
        (
            {"value": [0.0, 0, 3, 4], "replicates": 200, "statistics": "quantile_ratio(0.9, 0.6)"},
            "undefined in a replicate",
        ),
        ({"value": [1.0, 1e9, 3, 4], "statistics": "generalized_entropy(-200)"}, "generalized_entropy|alpha"),
        ({"statistics": lambda value, weight: np.nan}, "not a number"),
        ({"weight": [0, 0, 0, 0]}, "weights"),
        ({"weight": [1, 1, 1]}, "shape"),
        ({"weight": [1, -1, 1, 1]}, "weights"),
        ({"replicates": 1}, "replicates"),
        ({"replicates": 2.5}, "replicates"),
        ({"replicates": True}, "replicates"),
        ({"seed": -1}, "seed"),
        ({"seed": None}, "seed"),
    ],
)
def test_refusals(changed, words):
    with pytest.raises(DesignError, match=words):
        bootstrap(**{**GOOD, **changed})


def test_unknown_names():
    with pytest.raises(UnknownNameError):
        bootstrap("ginni", GOOD["value"])
    with pytest.raises(UnknownNameError):
        bootstrap(5, GOOD["value"])


@pytest.mark.parametrize("level", [0, 1, -0.5, 1.5, 0.99])
def test_intervals_that_are_refused(level):
    with pytest.raises(DesignError, match=r"level|too few"):
        bootstrap(**GOOD, replicates=100).interval(level)
