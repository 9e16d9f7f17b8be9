"""The rule that chooses the inference: each branch, its refusals, and that its numbers are those of the test named."""

import itertools

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, stats

from tne_eval.errors import DesignError
from tne_eval.impact.chosen import REASONS, STEEPEST_VARIANCE, infer_effect, refuse_clustered_errors, too_steep
from tne_eval.impact.few_treated import variance_exponent
from tne_eval.impact.permutation import permutation_test


def case(n, k, seed=0, effect=0.0):
    rng = np.random.default_rng(seed)
    size = np.exp(0.8 * rng.standard_normal(n))
    treated = np.zeros(n, bool)
    treated[rng.choice(n, k, replace=False)] = True
    return rng.standard_normal(n) * np.sqrt(0.2 + 0.8 / size) + effect * treated, treated, size


def test_one_treated_is_ranked():
    change, treated, size = case(24, 1)
    plain, sized = infer_effect(change, treated), infer_effect(change, treated, size=size)
    assert (plain.method, sized.method) == ("rank", "size_rescaled_rank")
    distance = [abs(change[i] - np.delete(change, i).mean()) for i in range(24)]
    own = int(np.flatnonzero(treated)[0])
    assert plain.p_value == np.mean([d >= distance[own] - 1e-12 for d in distance])
    for found in (plain, sized):
        assert (found.low, found.high, found.reasons, found.smallest_p) == (None, None, ("one_treated",), 1 / 24)
    assert list(sized.alternatives["method"]) == ["size_rescaled_rank", "rank"]


@pytest.mark.parametrize(("n", "k"), [(18, 2), (19, 3), (21, 5)])
def test_two_to_five_treated_have_the_size_rescaled_test(n, k):
    change, treated, size = case(n, k, 4)
    found = infer_effect(change, treated, size=size, max_enumeration=5_000, draws=999)
    alone = permutation_test(change, treated, size=size, max_enumeration=5_000, draws=999)
    assert (found.method, found.reasons, found.reason) == ("size_rescaled_permutation", (), None)
    for name in ("estimate", "low", "high", "p_value", "smallest_p"):
        assert getattr(found, name) == getattr(alone, name)
    table = found.alternatives.set_index("method")
    few = {"max_enumeration": 5_000, "draws": 999}
    studentized = permutation_test(change, treated, statistic="studentized", **few)
    assert table.loc["studentized_permutation", "p_value"] == studentized.p_value
    assert table.loc["studentized_permutation", "low"] == studentized.low
    assert "cr2_satterthwaite" not in table.index


def test_without_sizes_two_or_three_treated_have_no_interval_and_four_the_studentised():
    change, treated, _ = case(20, 3, 2)
    assert infer_effect(change, treated).reasons == ("size_unknown",)
    change, treated, _ = case(20, 2, 2)
    two = infer_effect(change, treated)
    assert (two.method, two.low, two.reason) == ("studentized_permutation", None, "size_unknown")
    assert two.p_value == permutation_test(change, treated, statistic="studentized").p_value
    assert two.alternatives["low"].isna().all() and (two.alternatives["reason"] == "size_unknown").all()
    change, treated, _ = case(20, 4, 2)
    four = infer_effect(change, treated)
    alone = permutation_test(change, treated, statistic="studentized")
    assert (four.reasons, four.low, four.high) == ((), alone.low, alone.high)


@pytest.mark.parametrize(("n", "k"), [(12, 6), (96, 12), (30, 20)])
def test_six_treated_and_six_controls_have_cr2(n, k):
    """Welch's error by scipy; Satterthwaite's degrees of freedom with equal variances in closed form."""
    change, treated, size = case(n, k, 3)
    found = infer_effect(change, treated, size=size, max_enumeration=10, draws=99)
    row = found.alternatives.iloc[0]
    peer = stats.ttest_ind(change[treated], change[~treated], equal_var=False)
    m = n - k
    df = (1 / k + 1 / m) ** 2 / (1 / k**2 / (k - 1) + 1 / m**2 / (m - 1))
    assert (found.method, row["method"], found.reasons) == ("cr2_satterthwaite", "cr2_satterthwaite", ())
    assert row["estimate"] / row["error"] == pytest.approx(peer.statistic, rel=1e-10)
    assert row["df"] == pytest.approx(df, rel=1e-10)
    reach = stats.t.ppf(0.975, df) * row["error"]
    assert (found.low, found.high) == pytest.approx((found.estimate - reach, found.estimate + reach))
    assert found.p_value == pytest.approx(2 * stats.t.sf(abs(peer.statistic), df))
    assert "studentized_permutation" in set(found.alternatives["method"])


def test_strata_have_permutations_within_them():
    rng = np.random.default_rng(4)
    strata = np.repeat(np.arange(8), 4)
    treated = np.arange(32) % 4 == 0
    change = rng.standard_normal(32)
    found = infer_effect(change, treated, strata, max_enumeration=100_000)
    assert found.method == "studentized_permutation" and found.low < found.estimate < found.high
    two = infer_effect(change, treated & (strata < 2), strata, size=np.arange(1.0, 33))
    assert (two.method, two.smallest_p, two.reason) == ("size_rescaled_permutation", 1 / 16, "smallest_p_above_alpha")


def test_few_controls_have_no_interval():
    change, treated, size = case(12, 8, 5)
    found = infer_effect(change, treated, size=size)
    assert (found.method, found.low, found.reasons) == ("studentized_permutation", None, ("few_controls",))
    change, treated, size = case(17, 2, 5)
    assert infer_effect(change, treated, size=size).reasons == ("few_controls",)
    change, treated, size = case(20, 5, 5)
    assert infer_effect(change, treated, size=size).reasons == ("few_controls",)
    change, treated, size = case(5, 2, 5)
    assert infer_effect(change, treated, size=size).reasons == ("smallest_p_above_alpha", "few_controls")
    one_control = infer_effect(change, ~(np.arange(5) == 2), size=size)
    assert (one_control.method, one_control.low) == ("size_rescaled_permutation", None)
    assert infer_effect(change, ~(np.arange(5) == 2)).method == "difference_permutation"


def test_a_variance_that_is_too_steep_is_refused():
    rng = np.random.default_rng(6)
    size = np.exp(0.8 * rng.standard_normal(96))
    treated = np.arange(96) < 2
    steep = infer_effect(rng.standard_normal(96) / size, treated, size=size)
    assert (steep.low, steep.reasons) == (None, ("variance_steeper_than_size",))
    assert infer_effect(rng.standard_normal(96) / np.sqrt(size), treated, size=size).reasons == ()


def test_the_exponent_is_that_of_a_gamma_regression():
    change, treated, size = case(40, 3, 7)
    residual = change - np.where(treated, change[treated].mean(), change[~treated].mean())
    square = residual**2 / (1 - np.where(treated, 1 / 3, 1 / 37))
    log_size = np.log(size)

    def deviance(coefficients):
        fitted = coefficients[0] - coefficients[1] * log_size
        return np.sum(square * np.exp(-fitted) + fitted)

    best = optimize.minimize(deviance, [0.0, 0.0], tol=1e-12).x[1]
    found = variance_exponent(change[:, None], treated, size, [np.arange(40)])[0]
    assert found == pytest.approx(best, abs=1e-4)
    glm = sm.GLM(square, sm.add_constant(log_size), family=sm.families.Gamma(sm.families.links.Log())).fit()
    assert found == pytest.approx(-glm.params[1], abs=1e-5)
    shifted = variance_exponent((change + 9 * treated)[:, None], treated, 1e5 * size, [np.arange(40)])[0]
    assert shifted == pytest.approx(found, abs=1e-9)
    labels = np.zeros(40, int)
    assert too_steep(change[:, None], treated, size, labels)[0] == (found > STEEPEST_VARIANCE)
    assert variance_exponent(change[:4, None], np.arange(4) < 2, np.ones(4), [np.arange(4)])[0] == 0
    assert variance_exponent(change[:2, None], np.arange(2) < 1, np.ones(2), [np.arange(2)])[0] == 0


def test_a_large_effect_is_found_and_moves_the_interval_with_it():
    change, treated, size = case(24, 2, 8)
    base = infer_effect(change, treated, size=size)
    for effect in (5.0, -500.0):
        moved = infer_effect(change + effect * treated, treated, size=size)
        assert moved.p_value == moved.smallest_p == 1 / 276
        assert (moved.low - effect, moved.high - effect) == pytest.approx((base.low, base.high), abs=1e-6)


def test_order_scale_and_the_data_of_the_caller():
    change, treated, size = case(24, 2, 9, effect=1.0)
    kept = change.copy(), treated.copy(), size.copy()
    base = infer_effect(change, treated, np.full(24, "a"), size)
    order = np.random.default_rng(1).permutation(24)
    moved = infer_effect(-2 * change[order] + 3, treated[order], None, 100 * size[order])
    assert moved.p_value == base.p_value
    assert (moved.low, moved.high) == pytest.approx((-2 * base.high, -2 * base.low), abs=1e-6)
    for before, after in zip(kept, (change, treated, size), strict=True):
        np.testing.assert_array_equal(before, after)
    frame = base.to_frame()
    assert len(frame) == 1 and frame.loc[0, "method"] == base.method
    assert list(base.alternatives.columns)[:2] == ["method", "estimate"]


def test_the_same_seed_gives_the_same_answer():
    change, treated, size = case(40, 5, 10)
    first, again = (infer_effect(change, treated, size=size, draws=199, seed=3) for _ in range(2))
    assert (first.p_value, first.low, first.high) == (again.p_value, again.low, again.high)


def test_clustered_errors_are_refused_under_six_treated():
    assert "third" in refuse_clustered_errors(2) and "1 treated cluster:" in refuse_clustered_errors(1)
    assert refuse_clustered_errors(5) and refuse_clustered_errors(6) is None
    for wrong in (0, -1, 2.0, True):
        with pytest.raises(DesignError, match="whole number"):
            refuse_clustered_errors(wrong)


def test_every_reason_is_a_short_code_with_a_text():
    for code, text in REASONS.items():
        assert code.isidentifier() and code.islower() and len(text) > 20


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"change": [np.nan] * 8}, "missing"),
        ({"treated": [0, 1] * 4}, "True and False"),
        ({"size": np.zeros(8)}, "zero or less"),
        ({"change": np.ones(8)}, "equal"),
    ],
)
def test_unusable_inputs_are_refused(named, words):
    with pytest.raises(DesignError, match=words):
        infer_effect(**{"change": np.arange(8.0), "treated": np.arange(8) < 2} | named)


def test_weighted_means_are_those_of_copies_and_their_p_of_every_draw():
    """Whole weights are copies of clusters; every assignment is enumerated by hand."""
    rng = np.random.default_rng(5)
    change, strata = rng.normal(size=9), np.repeat([0, 1], [5, 4])
    treated = np.isin(np.arange(9), [1, 2, 6])
    weight = rng.integers(1, 6, 9).astype(float)

    def weighted(chosen):
        flags = np.isin(np.arange(9), chosen)
        total, effect = weight[flags].sum(), 0.0
        for label in (0, 1):
            own, peers = flags & (strata == label), ~flags & (strata == label)
            copies = np.repeat(change[peers], weight[peers].astype(int))
            effect += (
                weight[own].sum() / total * (np.repeat(change[own], weight[own].astype(int)).mean() - copies.mean())
            )
        return effect

    every = [weighted((*two, one)) for two in itertools.combinations(range(5), 2) for one in range(5, 9)]
    found = infer_effect(change, treated, strata, weight=weight)
    assert found.method == "difference_permutation" and found.low is None and "weighted" in found.reasons
    assert found.estimate == pytest.approx(weighted((1, 2, 6)), rel=1e-12)
    assert found.p_value == pytest.approx(np.mean(np.abs(every) >= abs(found.estimate) - 1e-12))
    same = infer_effect(change, treated, strata, weight=np.full(9, 3.0))
    assert same.estimate == pytest.approx(infer_effect(change, treated, strata).estimate, rel=1e-12)
    with pytest.raises(DesignError, match="weight holds"):
        infer_effect(change, treated, strata, weight=-weight)
