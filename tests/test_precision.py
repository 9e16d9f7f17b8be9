"""Errors, intervals and tests of change: against R, t tests in closed form, the bootstrap, and laws."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from tne_eval.catalog import precision_rule
from tne_eval.errors import DesignError
from tne_eval.indicators.change import Sample, change_over_time, covariance_over_periods, difference_between
from tne_eval.indicators.clusters import cluster_error, cluster_totals
from tne_eval.indicators.inequality import concentration_index, gradient
from tne_eval.indicators.influence import influence, influence_concentration, influence_gradient, linearized_error
from tne_eval.indicators.precision import (
    MEANINGS,
    bound,
    confidence_interval,
    interval_around,
    measured_coverage,
)
from tne_eval.indicators.statistic import as_statistic

REFERENCE = Path(__file__).parent / "reference"
POSITIVE = ("gini", "theil_t", "theil_l", "atkinson(0.5)", "quantile_ratio(0.9, 0.1)", "share_ratio(0.2, 0.2)")


def schools(count=60, seed=1, spread=0.3):
    """Pupils of some schools: values, weights, schools."""
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(count), rng.integers(10, 40, count))
    value = np.exp(spread * rng.standard_normal(count)[school] + 0.4 * rng.standard_normal(len(school)))
    return value, rng.uniform(0.5, 2, len(school)), school


@pytest.fixture(scope="module")
def survey():
    rows = pd.read_csv(REFERENCE / "precision_survey_data.csv")
    found = pd.read_csv(REFERENCE / "precision_survey.csv").set_index(["name", "population"])
    return dict(list(rows.groupby("design"))), found


# ---- against R's survey


def test_errors_of_samples_of_a_finite_population_are_those_of_r(survey):
    designs, found = survey
    for name, part in designs.items():
        strata = part["stratum"] if name == "stratified" else None
        sizes = part.groupby("stratum")["population"].first().to_dict()
        population = sizes if name == "stratified" else int(part["population"].iloc[0])
        for meaning, size in (("finite", population), ("endless", None)):
            got = confidence_interval(
                "mean",
                part["api00"],
                part["weight"],
                part["cluster"],
                strata,
                population=size,
                below="show",
            )
            assert got.estimate == pytest.approx(found.loc[(name, meaning), "estimate"], rel=1e-10)
            assert got.error == pytest.approx(found.loc[(name, meaning), "error"], rel=1e-10)
            assert got.meaning == ("superpopulation" if size is None else "sample")


def test_the_change_of_the_same_schools_is_that_of_r(survey):
    designs, found = survey
    part = designs["clustered"]
    value = np.concatenate([part["api99"], part["api00"]])
    period = np.repeat([1999, 2000], len(part))
    cluster, weight = np.tile(part["cluster"], 2), np.tile(part["weight"], 2)
    got = change_over_time("mean", value, period, cluster, weight, below="show")
    assert got.estimate == pytest.approx(found.loc[("change", "endless"), "estimate"], rel=1e-10)
    assert got.error == pytest.approx(found.loc[("change", "endless"), "error"], rel=1e-10)
    known = covariance_over_periods("mean", value, period, cluster, weight)
    assert known.covariance[0, 1] == pytest.approx(found.loc[("covariance", "endless"), "estimate"], rel=1e-10)


# ---- against closed forms


def test_a_change_of_means_is_the_paired_t_test():
    rng = np.random.default_rng(3)
    before = rng.normal(100, 10, 30)
    after = before + rng.normal(2, 5, 30)
    order = rng.permutation(60)
    value = np.concatenate([before, after])[order]
    got = change_over_time(
        "mean", value, np.repeat([2022, 2023], 30)[order], np.tile(np.arange(30), 2)[order], below="show"
    )
    known = stats.ttest_rel(after, before)
    interval = known.confidence_interval(0.95)
    assert (got.t, got.p_value, got.df) == pytest.approx((known.statistic, known.pvalue, known.df))
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high))
    assert got.correlation == pytest.approx(np.corrcoef(before, after)[0, 1])


def test_a_difference_of_means_is_welch_s_t_test():
    rng = np.random.default_rng(4)
    first, second = rng.normal(100, 10, 25), rng.normal(104, 18, 40)
    got = difference_between("mean", (first,), (second,), below="show")
    known = stats.ttest_ind(second, first, equal_var=False)
    interval = known.confidence_interval(0.95)
    assert (got.t, got.p_value, got.df) == pytest.approx((known.statistic, known.pvalue, known.df))
    assert (got.low, got.high) == pytest.approx((interval.low, interval.high))
    assert got.correlation == 0


def test_schools_that_never_meet_are_compared_as_independent():
    one, two = schools(30, 5), schools(40, 6)
    parts = [np.concatenate(pair) for pair in zip(one, (two[0], two[1], two[2] + 1000), strict=True)]
    period = np.repeat([1, 2], [len(one[0]), len(two[0])])
    change = change_over_time("gini", parts[0], period, parts[2], parts[1], below="show")
    apart = difference_between("gini", Sample(*one), Sample(two[0], two[1], two[2] + 1000), below="show")
    assert change.error == pytest.approx(apart.error)
    assert change.correlation == 0
    assert change.df <= apart.df


def test_a_mean_of_rows_has_the_error_of_the_textbook():
    value = np.random.default_rng(2).normal(50, 8, 40)
    got = confidence_interval("mean", value, below="show")
    assert got.error == pytest.approx(stats.sem(value))
    assert got.df <= 39
    assert (got.high - got.low) / 2 == pytest.approx(stats.t.ppf(0.975, got.df) * got.error)


def test_few_degrees_of_freedom_where_few_schools_make_the_variance():
    """Var(s²) = σ⁴ (k − (n−3)/(n−1)) / n with kurtosis k: 9 for an exponential law, so df tends to n / 4."""
    value = -np.log((np.arange(200_000) + 0.5) / 200_000)
    got = confidence_interval("mean", value, below="show")
    assert got.df / len(value) == pytest.approx(2 / 8, rel=0.01)
    normal = stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000)
    assert confidence_interval("mean", normal, below="show").df / len(value) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("name", ["mean", *POSITIVE])
def test_the_error_is_the_linearized_error(name):
    value, weight, school = schools()
    strata = school // 15
    for layers in (None, strata):
        got = confidence_interval(name, value, weight, school, layers, below="show")
        assert got.error == pytest.approx(linearized_error(name, value, weight, school, layers), rel=1e-9)


@pytest.mark.parametrize("name", ["mean", *POSITIVE])
def test_both_methods_agree(name):
    """999 replicates know an error to 2.2 %: four times that, and a little for the second order."""
    value, weight, school = schools(160, 8)
    linearized = confidence_interval(name, value, weight, school, below="show")
    drawn = confidence_interval(name, value, weight, school, method="bootstrap", below="show", seed=11)
    assert drawn.error == pytest.approx(linearized.error, rel=0.1)
    assert drawn.low == pytest.approx(linearized.low, abs=0.5 * linearized.error)
    assert drawn.high == pytest.approx(linearized.high, abs=0.5 * linearized.error)


def test_the_change_has_the_error_of_resampled_schools():
    """Schools redrawn with both their years, by brute force."""
    rng = np.random.default_rng(9)
    count = 80
    effect = rng.normal(0, 0.3, count)
    first = np.exp(effect + 0.1 * rng.standard_normal(count))
    second = np.exp(1.2 * effect + 0.1 * rng.standard_normal(count))
    got = change_over_time(
        "gini", np.concatenate([first, second]), np.repeat([1, 2], count), np.tile(np.arange(count), 2), below="show"
    )
    gini = as_statistic("gini")
    draws = rng.integers(0, count, (1500, count))
    changes = [gini(second[draw]) - gini(first[draw]) for draw in draws]
    assert got.error == pytest.approx(np.std(changes) * np.sqrt(count / (count - 1)), rel=0.1)
    assert got.correlation > 0.7


@pytest.mark.opendata
@pytest.mark.parametrize("name", ["mean", *POSITIVE])
def test_both_methods_agree_on_the_households_of_eu_silc(reference_data, name):
    table = reference_data("laeken_eusilc.csv.gz")
    table = table[table["eqIncome"] > 0]
    columns = (table["eqIncome"], table["rb050"], table["db030"])
    linearized = confidence_interval(name, *columns, below="show")
    drawn = confidence_interval(name, *columns, method="bootstrap", below="show", replicates=499)
    assert linearized.n_clusters == table["db030"].nunique()
    assert drawn.error == pytest.approx(linearized.error, rel=0.13)


# ---- estimates along a social position


def positions(count=60, seed=1):
    rng = np.random.default_rng(seed)
    school = np.repeat(np.arange(count), 8)
    position = 105 + 17 * rng.standard_normal(count)[school] + 5 * rng.standard_normal(len(school))
    result = 250 + 1.5 * (position - 105) + 10 * rng.standard_normal(count)[school]
    return result, position, rng.uniform(0.5, 2, len(school)), school


def test_the_gradient_has_the_clustered_error_of_weighted_least_squares():
    """statsmodels' clustered covariance, less its factor (N − 1) / (N − 2)."""
    import statsmodels.api as sm

    result, position, weight, school = positions()
    fit = sm.WLS(result, sm.add_constant(position), weight).fit(cov_type="cluster", cov_kwds={"groups": school})
    z = influence_gradient(result, position, weight)
    estimate = gradient(result, position, weight).slope
    got = interval_around("gradient", estimate, cluster_totals(z, weight, school), below="show")
    size = len(result)
    assert got.estimate == pytest.approx(fit.params[1])
    assert got.error == pytest.approx(fit.bse[1] / np.sqrt((size - 1) / (size - 2)))
    assert got.error == pytest.approx(cluster_error(z, weight, school))
    assert (got.low + got.high) / 2 == pytest.approx(estimate)
    assert np.abs(weight @ z) < 1e-12


def test_the_concentration_index_has_an_interval():
    result, position, weight, school = positions()
    z = influence_concentration(result, position, weight)
    totals = cluster_totals(z, weight, school)
    got = interval_around("concentration_index", concentration_index(result, position, weight), totals, below="show")
    assert got.error == pytest.approx(cluster_error(z, weight, school))
    assert got.low < got.estimate < got.high


def test_a_row_of_zero_weight_has_no_influence_on_the_gradient():
    result, position, weight, school = positions()
    weight[:8] = 0
    z = influence_gradient(result, position, weight)
    assert (z[:8] == 0).all()
    np.testing.assert_allclose(z[8:], influence_gradient(result[8:], position[8:], weight[8:]))
    assert len(cluster_totals(z, weight, school).total) == 59


# ---- several years


def test_the_covariance_over_years_is_that_of_every_pair():
    rng = np.random.default_rng(12)
    tables = []
    for year in (2021, 2022, 2023):
        value, weight, school = schools(50, year)
        keep = np.isin(school, rng.choice(50, 40, replace=False))
        tables.append(pd.DataFrame({"y": value, "w": weight, "s": school, "t": year})[keep])
    table = pd.concat(tables).sample(frac=1, random_state=1)
    known = covariance_over_periods("gini", table["y"], table["t"], table["s"], table["w"])
    assert known.period.tolist() == [2021, 2022, 2023]
    assert np.linalg.eigvalsh(known.covariance).min() >= -1e-18
    for place, year in enumerate(known.period):
        part = table[table["t"] == year]
        assert known.error[place] == pytest.approx(linearized_error("gini", part["y"], part["w"], part["s"]))
    pair = table[table["t"] != 2022]
    two = change_over_time("gini", pair["y"], pair["t"], pair["s"], pair["w"], below="show")
    all_three = change_over_time("gini", table["y"], table["t"], table["s"], table["w"], below="show")
    assert two == all_three
    variance = known.covariance[0, 0] + known.covariance[2, 2] - 2 * known.covariance[0, 2]
    assert two.error == pytest.approx(np.sqrt(variance))
    assert known.to_frame()["n_clusters"].tolist() == [40, 40, 40]
    assert np.diag(known.correlation).tolist() == [1, 1, 1]


# ---- finite populations


def test_the_interval_narrows_to_nothing_as_the_sample_becomes_a_census():
    value, weight, school = schools(60)
    endless = confidence_interval("gini", value, weight, school, below="show")
    for population in (10_000, 120, 61):
        got = confidence_interval("gini", value, weight, school, population=population, below="show")
        assert got.error == pytest.approx(endless.error * np.sqrt(1 - 60 / population))
        assert got.meaning == "sample"
    census = confidence_interval("gini", value, weight, school, population=60)
    assert (census.error, census.low, census.high) == (0, census.estimate, census.estimate)
    assert census.meaning == "none" and census.coverage is None
    assert "without sampling error" in census.sentence
    assert endless.meaning == "superpopulation" and "could have been" in endless.sentence


def test_every_meaning_is_a_sentence():
    assert set(MEANINGS) == {"superpopulation", "sample", "none"}
    assert all(text.endswith(".") for text in MEANINGS.values())


def test_a_census_of_one_stratum_leaves_the_other():
    value, weight, school = schools(40)
    strata = np.where(school < 20, "a", "b")
    both = confidence_interval("mean", value, weight, school, strata, population={"a": 20, "b": 10**9}, below="show")
    totals = cluster_totals(influence("mean", value, weight), weight, school)
    part = totals.total[20:]
    assert both.error == pytest.approx(np.sqrt(20 * np.var(part, ddof=1)), rel=1e-6)
    assert both.df <= 19


# ---- the measured rule


def rule_entries():
    """The rule, flat."""
    rule = precision_rule()
    return [
        (quantity, method, name, entry)
        for quantity in ("level", "change", "difference")
        for method, entries in rule[quantity].items()
        for name, entry in entries.items()
    ]


ENOUGH = [
    (name, entry["holds_from"], entry["coverage"][entry["clusters"].index(entry["holds_from"])])
    for quantity, method, name, entry in rule_entries()
    if (quantity, method) == ("level", "linearized")
    and entry.get("holds_from", 10) > 10
    and name not in ("gradient", "concentration_index")
]


@pytest.mark.parametrize(("name", "number", "coverage"), ENOUGH, ids=[name for name, _, _ in ENOUGH])
def test_an_interval_is_refused_below_its_number_of_schools_and_shown_on_demand(name, number, coverage):
    value, weight, school = schools(number, 3)
    assert confidence_interval(name, value, weight, school).coverage == coverage
    few = school < number - 1
    with pytest.raises(DesignError, match=f"from {number - 1} clusters") as refused:
        confidence_interval(name, value[few], weight[few], school[few])
    shown = confidence_interval(name, value[few], weight[few], school[few], below="show")
    assert f"{100 * shown.coverage:.1f} %" in refused.value.why
    assert f"from {number} clusters" in refused.value.why


def test_every_family_says_from_how_many_schools_its_interval_holds():
    held = {(quantity, method, name): entry.get("holds_from") for quantity, method, name, entry in rule_entries()}
    for name in ("mean", "gini", "theil_l", "atkinson(0.5)"):
        assert held[("level", "linearized", name)]
        assert held[("level", "bootstrap", name)]


def test_fewer_clusters_than_were_ever_tried_have_no_coverage():
    assert confidence_interval("gini", *schools(9), below="show").coverage is None


def test_what_was_never_measured_is_refused_and_shown_without_coverage():
    value, weight, school = schools(60)
    assert measured_coverage("level", "generalized_entropy(3)", "linearized", 60) == (None, None)
    with pytest.raises(DesignError, match="no 95 % interval") as refused:
        confidence_interval("generalized_entropy(3)", value, weight, school)
    assert "never measured" in refused.value.why
    shown = confidence_interval("generalized_entropy(3)", value, weight, school, below="show")
    assert shown.coverage is None and shown.low < shown.estimate < shown.high


def test_a_coverage_is_given_at_the_level_where_it_was_measured():
    value, weight, school = schools(60)
    narrow = confidence_interval("gini", value, weight, school, level=0.8, below="show")
    wide = confidence_interval("gini", value, weight, school, below="show")
    assert narrow.coverage is None and wide.coverage is not None
    assert wide.low < narrow.low < narrow.high < wide.high


def test_a_change_below_its_number_is_refused():
    first, second = schools(6, 1), schools(6, 2)
    value, weight, school = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    period = np.repeat([1, 2], [len(first[0]), len(second[0])])
    with pytest.raises(DesignError, match="from 6 clusters"):
        change_over_time("gini", value, period, school, weight)
    with pytest.raises(DesignError, match="from 6 clusters"):
        difference_between("gini", first, (second[0], second[1], second[2] + 10))


# ---- limits and laws


def test_equal_values_have_an_error_of_zero():
    got = confidence_interval("gini", np.full(40, 3.0), below="show")
    assert (got.estimate, got.error) == pytest.approx((0, 0), abs=1e-12)
    assert got.low == pytest.approx(got.high, abs=1e-12)


def test_an_index_that_ends_at_one_is_not_exceeded():
    value = np.r_[np.full(9, 1e-6), 1.0]
    assert confidence_interval("gini", value, below="show").high == 1


cases = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(seed=cases, scale=st.floats(0.01, 100), name=st.sampled_from(["gini", "theil_t", "atkinson(0.5)"]))
def test_laws_of_the_interval(seed, scale, name):
    """Unit of the value, of the weight, order of rows, labels of schools, rows of zero weight: nothing changes."""
    value, weight, school = schools(12, seed)
    copies = [array.copy() for array in (value, weight, school)]
    base = confidence_interval(name, value, weight, school, below="show")
    order = np.random.default_rng(seed).permutation(len(value))
    labels = np.array([f"UAI{number % 7}{number}" for number in range(12)])
    others = [
        confidence_interval(name, scale * value, weight, school, below="show"),
        confidence_interval(name, value, scale * weight, school, below="show"),
        confidence_interval(name, value[order], weight[order], school[order], below="show"),
        confidence_interval(name, value, weight, labels[school], below="show"),
        confidence_interval(name, np.r_[value, 7.0], np.r_[weight, 0.0], np.r_[school, 99], below="show"),
    ]
    for other in others:
        assert (other.low, other.estimate, other.high, other.df) == pytest.approx(
            (base.low, base.estimate, base.high, base.df), rel=1e-7
        )
    assert base.low <= base.estimate <= base.high
    for array, copy in zip((value, weight, school), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@settings(max_examples=15, deadline=None)
@given(seed=cases)
def test_turning_the_years_round_turns_the_sign(seed):
    first, second = schools(10, seed), schools(10, seed + 1)
    value, weight, school = (np.concatenate(pair) for pair in zip(first, second, strict=True))
    period = np.repeat([1, 2], [len(first[0]), len(second[0])])
    one = change_over_time("gini", value, period, school, weight, below="show")
    other = change_over_time("gini", value, 3 - period, school, weight, below="show")
    assert (one.estimate, one.p_value, one.low) == pytest.approx((-other.estimate, other.p_value, -other.high))
    assert -1 <= one.correlation <= 1


def test_the_bootstrap_is_repeated_by_its_seed():
    value, weight, school = schools(30)
    options = {"method": "bootstrap", "replicates": 99, "below": "show"}
    one = confidence_interval("gini", value, weight, school, seed=5, **options)
    assert one == confidence_interval("gini", value, weight, school, seed=5, **options)
    assert one != confidence_interval("gini", value, weight, school, seed=6, **options)


# ---- refusals

ROWS = np.arange(1.0, 13)
HALVES = np.repeat([1, 2], 6)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: confidence_interval("gini", ROWS, method="jackknife"), "unknown method"),
        (lambda: confidence_interval("gini", ROWS, level=95), "level"),
        (lambda: confidence_interval("gini", ROWS, below="hide"), "below"),
        (lambda: confidence_interval("gini", ROWS, cluster=np.ones(12), below="show"), "two clusters"),
        (lambda: confidence_interval("gini", ROWS, strata=np.r_[1, np.ones(11) * 2], below="show"), "two clusters"),
        (lambda: confidence_interval("gini", ROWS, cluster=np.arange(5)), "cluster has shape"),
        (lambda: confidence_interval("gini", ROWS, cluster=np.r_[np.nan, np.arange(11)]), "missing labels"),
        (lambda: confidence_interval("gini", ROWS, population=5), "fewer clusters exist"),
        (lambda: confidence_interval("gini", ROWS, population=float("nan")), "fewer clusters exist"),
        (lambda: confidence_interval("gini", ROWS, strata=HALVES, population=50), "several strata"),
        (lambda: confidence_interval("gini", ROWS, strata=HALVES, population={1: 9}), "population and strata"),
        (lambda: confidence_interval("gini", ROWS, strata=HALVES, method="bootstrap"), "no strata"),
        (lambda: confidence_interval("gini", np.r_[np.nan, ROWS]), "missing or infinite"),
        (lambda: confidence_interval("gini", ROWS, np.zeros(12)), "weights"),
        (lambda: confidence_interval("theil_t", -ROWS), "needs values"),
        (lambda: confidence_interval("gini", [5.0], below="show"), "two clusters"),
        (lambda: confidence_interval("gini", []), "weights"),
        (lambda: change_over_time("mean", ROWS, np.ones(12), np.arange(12)), "two periods"),
        (lambda: change_over_time("mean", ROWS, np.ones(5), np.arange(12)), "period has shape"),
        (lambda: change_over_time("mean", ROWS, HALVES, np.arange(5)), "cluster has shape"),
        (lambda: change_over_time("mean", ROWS, HALVES, np.arange(12), np.ones(3)), "weight has shape"),
        (lambda: change_over_time("mean", ROWS, np.r_[np.nan, np.ones(11)], np.arange(12)), "period holds missing"),
        (lambda: change_over_time("mean", ROWS, HALVES, np.r_[np.nan, np.ones(11)]), "cluster holds missing"),
        (lambda: change_over_time("mean", np.ones(12), HALVES, np.tile(np.arange(6), 2), below="show"), "no sampling"),
        (lambda: change_over_time("mean", ROWS, HALVES, HALVES, below="show"), "two clusters"),
        (lambda: change_over_time("mean", ROWS, HALVES, np.arange(12), level=0, below="show"), "level"),
        (lambda: difference_between("mean", (ROWS, None, HALVES), (ROWS, None, HALVES), below="show"), "same clusters"),
        (lambda: difference_between("mean", (np.ones(5),), (np.ones(5),), below="show"), "no sampling"),
        (lambda: difference_between("mean", ([1.0],), (ROWS,), below="show"), "two clusters"),
        (lambda: bound("gini", 0.3, cluster_totals(influence("gini", ROWS)), drawn=np.zeros(9)), "replicate"),
    ],
)
def test_what_cannot_be_told_is_refused(call, words):
    with pytest.raises(DesignError, match=words):
        call()
