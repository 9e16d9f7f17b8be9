"""Influence functions and their errors against numerical derivatives, R, closed forms and published values."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from test_inequality import NAMES, REFERENCE, generated, survey

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.clusters import cluster_error
from tne_eval.indicators.inequality import concentration_index
from tne_eval.indicators.influence import (
    influence,
    influence_concentration,
    linearized_error,
    recentered_influence,
)
from tne_eval.indicators.quantiles import quantile_share
from tne_eval.indicators.statistic import as_statistic

SMOOTH = [name for name in NAMES if not name.startswith(("quantile(", "quantile_ratio", "share_ratio", "polarization"))]


def derivative(function, weight, step=1e-5):
    """(n,) central differences of `function(weight)` in each weight."""
    found = []
    for place in range(len(weight)):
        up, down = weight.copy(), weight.copy()
        up[place] += step
        down[place] -= step
        found.append((function(up) - function(down)) / (2 * step))
    return np.array(found)


@pytest.fixture
def sample():
    rng = np.random.default_rng(7)
    return 0.5 + rng.gamma(2, size=40).round(1), rng.uniform(0.5, 3, 40), rng.integers(0, 8, 40)


def errors(data: str, kind: str):
    cases = [(row["statistic"], float(row["value"])) for row in REFERENCE if (row["data"], row["kind"]) == (data, kind)]
    return pytest.mark.parametrize(("name", "expected"), cases, ids=[name for name, _ in cases])


def error_of(frame, name):
    return linearized_error(name, frame["value"], frame["weight"], frame["cluster"], frame["strata"])


@pytest.mark.parametrize("name", [*SMOOTH, "generalized_entropy(1e-7)", "generalized_entropy(0.9999999)"])
def test_influence_is_the_derivative_in_the_weight(name, sample):
    value, weight, _ = sample
    expected = derivative(lambda changed: as_statistic(name)(value, changed), weight)
    np.testing.assert_allclose(influence(name, value, weight), expected, atol=1e-8 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("correction", [None, "wagstaff", "erreygers"])
def test_influence_of_concentration_is_the_derivative_in_the_weight(correction, sample):
    value, weight, rank_by = sample
    percent = 100 * value / value.max()
    expected = derivative(
        lambda changed: concentration_index(percent, rank_by, changed, correction, (-3, 100.5)), weight
    )
    found = influence_concentration(percent, rank_by, weight, correction, (-3, 100.5))
    np.testing.assert_allclose(found, expected, atol=1e-8)


def test_influence_of_concentration_on_its_own_rank_is_that_of_the_gini(sample):
    value, weight, _ = sample
    np.testing.assert_allclose(
        influence_concentration(value, value, weight), influence("gini", value, weight), atol=1e-14
    )


def test_influence_of_the_share_ratio_is_the_derivative_of_the_ratio_of_shares():
    """Its whole units are the parts of units of `quantile_share` but for one unit at each cut: here one in 3,000."""
    value = np.random.default_rng(8).gamma(2, size=3000)
    weight = np.ones(3000)

    def ratio(changed):
        return quantile_share(value, 0.8, 1, changed) / quantile_share(value, 0, 0.2, changed)

    some = np.arange(0, 3000, 100)
    expected = [(ratio(weight + 1e-4 * (np.arange(3000) == i)) - ratio(weight)) / 1e-4 for i in some]
    found = influence("share_ratio(0.2, 0.2)", value, weight)[some]
    np.testing.assert_allclose(found, expected, atol=0.005 * np.abs(expected).max())


def test_error_of_a_mean_is_the_textbook_one():
    value = np.random.default_rng(9).normal(10, 3, 50)
    assert linearized_error("mean", value) == pytest.approx(stats.sem(value), rel=1e-12)


@pytest.mark.parametrize(
    ("share", "law"), [(0.5, stats.norm(100, 15)), (0.9, stats.norm(0, 2)), (0.25, stats.gamma(3))]
)
def test_error_of_a_quantile_of_a_large_sample(share, law):
    """√(p (1 − p) / n) / f(q), the density of the law itself."""
    value = law.rvs(20_000, random_state=np.random.default_rng(10))
    expected = np.sqrt(share * (1 - share) / 20_000) / law.pdf(law.ppf(share))
    assert linearized_error(f"quantile({share})", value) == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("name", ["quantile_ratio(0.9, 0.1)", "polarization", "share_ratio(0.2, 0.2)"])
def test_error_of_statistics_of_quantiles_against_repeated_samples(name):
    rng, statistic = np.random.default_rng(11), as_statistic(name)
    drawn = np.exp(0.5 * rng.standard_normal((600, 800)))
    linearised = np.mean([linearized_error(name, value) for value in drawn[:60]])
    assert linearised == pytest.approx(np.std([statistic(value) for value in drawn], ddof=1), rel=0.1)


@errors("generated", "taylor")
def test_errors_equal_those_of_the_package_survey(name, expected):
    assert error_of(generated(), name) == pytest.approx(expected, rel=1e-9)


@pytest.mark.opendata
@errors("eusilc", "taylor")
def test_errors_of_the_survey_equal_those_of_the_package_survey(reference_data, name, expected):
    assert error_of(survey(reference_data), name) == pytest.approx(expected, rel=1e-9)


@pytest.mark.opendata
@errors("eusilc", "jackknife")
def test_the_error_of_the_gini_is_near_the_jackknife(reference_data, name, expected):
    assert error_of(survey(reference_data), name) == pytest.approx(expected, rel=0.01)


@pytest.mark.opendata
@pytest.mark.parametrize(
    ("name", "published"),
    [
        ("gini", 0.003082456),
        ("theil_l", 0.003610045),
        ("theil_t", 0.003136702),
        ("generalized_entropy(2)", 0.004884490),
        ("atkinson(0.5)", 0.001454500),
        ("atkinson(1)", 0.003165627),
    ],
)
def test_published_errors_of_the_package_convey(reference_data, name, published):
    """convey keeps all incomes for the Gini, the three of zero included, and the positive ones for the others."""
    frame = survey(reference_data)
    if name == "gini":
        table = reference_data("laeken_eusilc.csv.gz")
        found = linearized_error(name, table["eqIncome"], table["rb050"], table["db030"], table["db040"])
    else:
        found = error_of(frame, name)
    assert found == pytest.approx(published, abs=1e-6)


@given(st.sampled_from(NAMES), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_laws(name, seed):
    """Weighted mean 0; mean of the recentred one is the statistic; order, labels, scale of weights change nothing."""
    rng = np.random.default_rng(seed)
    value, weight = np.exp(rng.normal(size=30)), rng.uniform(0.5, 3, 30)
    cluster, order = rng.integers(0, 10, 30), rng.permutation(30)
    statistic, z = as_statistic(name), influence(name, value, weight)
    size = np.abs(z).max()
    assert weight @ z == pytest.approx(0, abs=1e-10 * (1 + size))
    recentred = recentered_influence(value, name, weight)
    assert np.average(recentred, weights=weight) == pytest.approx(statistic(value, weight), rel=1e-9)
    np.testing.assert_allclose(influence(name, value[order], weight[order]), z[order], atol=1e-9 * (1 + size))
    with_zero = influence(name, np.append(value, 5), np.append(weight, 0))
    np.testing.assert_allclose(with_zero, np.append(z, 0), atol=1e-12 * (1 + size))
    expected = linearized_error(name, value, weight, cluster)
    relabelled = np.array(list("qwertyuiop"))[cluster]
    assert linearized_error(name, value, 7 * weight, relabelled) == pytest.approx(expected, rel=1e-9)
    assert linearized_error(name, value, weight, cluster, np.ones(30)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", SMOOTH)
def test_k_copies_in_a_cluster_are_a_weight_of_k(name):
    frame = generated()
    copies = frame.loc[frame.index.repeat(frame["weight"])].assign(weight=1)
    assert error_of(copies, name) == pytest.approx(error_of(frame, name), rel=1e-9)


def test_clusters_may_be_numbered_anew_in_each_stratum():
    frame = generated()
    anew = frame["cluster"] // 3
    found = linearized_error("gini", frame["value"], frame["weight"], anew, frame["strata"])
    assert found == pytest.approx(error_of(frame, "gini"), rel=1e-12)


def test_strata_without_clusters_make_each_row_one():
    frame = generated()
    columns = "gini", frame["value"], frame["weight"]
    expected = linearized_error(*columns, range(len(frame)), frame["strata"])
    assert linearized_error(*columns, strata=frame["strata"]) == pytest.approx(expected, rel=1e-12)


def test_rows_of_zero_weight_are_left_out():
    frame = generated()
    silent = frame.assign(weight=frame["weight"].where(frame["cluster"] % 4 > 0, 0))
    assert error_of(silent, "gini") == pytest.approx(error_of(silent[silent["weight"] > 0], "gini"), rel=1e-12)


def test_values_all_the_same_have_no_influence():
    for name in NAMES:
        if not name.startswith("share_ratio"):
            assert linearized_error(name, [3, 3, 3], [1, 2, 5]) == pytest.approx(0, abs=1e-15)


def test_inputs_are_not_modified():
    value, weight = np.array([3.0, 1.0, 2.0, 0.5]), np.array([1.0, 0.0, 2.0, 2.0])
    before = value.copy(), weight.copy()
    for name in NAMES:
        linearized_error(name, value, weight, [1, 2, 3, 4])
    influence_concentration(value, weight, weight)
    np.testing.assert_array_equal(value, before[0])
    np.testing.assert_array_equal(weight, before[1])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: influence("entropy", [1, 2]), UnknownNameError, "unknown statistic"),
        (lambda: influence("theil_l", [0, 2]), DesignError, "above zero"),
        (lambda: influence("atkinson(1)", [0, 2]), DesignError, "above zero"),
        (lambda: influence("gini", [-1, 2]), DesignError, "zero or more"),
        (lambda: influence("quantile(1)", [1, 2]), DesignError, "0 < share < 1"),
        (lambda: influence("quantile_ratio", [1e-99, 1e-99, 1e99]), DesignError, "magnitudes"),
        (lambda: influence("share_ratio", [2, 2]), DesignError, "too few distinct"),
        (lambda: influence("gini", [1, np.nan]), DesignError, "missing or infinite"),
        (lambda: influence("gini", [1, 2], [1]), DesignError, "shape"),
        (lambda: influence_concentration([1, 2], [1, 2], None, "wagstaff"), DesignError, "outside the bounds"),
        (lambda: recentered_influence([1, 2], "gini", [0, 0]), DesignError, "not all zero"),
        (lambda: linearized_error("gini", [1, 2], None, [1, 1]), DesignError, "two clusters"),
        (lambda: linearized_error("gini", [1]), DesignError, "two clusters"),
        (lambda: linearized_error("gini", [1, 2, 3], None, [1, 2, 2], ["a", "b", "b"]), DesignError, "stratum: a, b"),
        (lambda: linearized_error("gini", [1, 2, 3], None, [1, 2, 3], ["a", "b", "b"]), DesignError, "stratum: a"),
        (lambda: linearized_error("gini", [1, 2], None, [1]), DesignError, "cluster has shape"),
        (lambda: linearized_error("gini", [1, 2], None, [1, None]), DesignError, "cluster holds missing"),
        (lambda: linearized_error("gini", [1, 2], None, None, [1, np.nan]), DesignError, "strata holds missing"),
        (lambda: cluster_error([1, np.nan]), DesignError, "missing or infinite"),
    ],
)
def test_bad_input_is_an_error(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("labels", [["a", float("nan"), "b", "b"], ["a", None, "b", "b"]])
def test_a_missing_label_in_a_list_is_no_cluster(labels):
    with pytest.raises(DesignError, match="missing labels"):
        linearized_error("gini", [1, 2, 3, 4], None, labels)


@pytest.mark.parametrize("value", [[1, 1e80], [1e-80, 1]])
def test_magnitudes_beyond_the_machine_are_refused(value):
    with pytest.raises(DesignError, match="magnitudes"):
        linearized_error("theil_t", value)
