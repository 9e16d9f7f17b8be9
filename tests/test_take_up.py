"""Take-up model against R, numerical derivatives, brute force and closed forms, and what it refuses."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from tne_eval.errors import DesignError
from tne_eval.impact.take_up import area_under_curve, rates_by_group, take_up

REFERENCE = pd.read_csv(Path(__file__).parent / "reference" / "take_up.csv").fillna({"term": ""})
TERMS = {
    "(constant)": "(Intercept)",
    "need": "zneed",
    "size": "zsize",
    "rural True": "ruralTRUE",
    "kind b": "kindb",
    "kind c": "kindc",
}


def generated():
    """The data of reference/take_up.R: outcome, covariates, clusters, weights."""
    i = np.arange(1, 641)
    frame = pd.DataFrame({"need": (i * 7919) % 997 / 100, "size": (i * 31) % 53 * 20.0, "rural": (i * 17) % 5 < 2})
    frame["kind"] = np.array(["a", "b", "c"])[(i * 13) % 7 // 3]
    g = (i * i) % 23
    granted = (i * 6421) % 631 / 631 < expit((frame["need"] - 5) / 4 - 0.4 * frame["rural"] + (g - 11) / 30)
    return granted.to_numpy(), frame, g, (i * 104729) % 5 + 1.0


def fit(case="plain"):
    granted, frame, g, weight = generated()
    return take_up(granted, frame, g, weight if case == "weighted" else None)


def by_term(table):
    level = table["level"].map(lambda one: "" if one is None else f" {one}")
    return table.set_index((table["covariate"] + level).map(TERMS))


@pytest.mark.parametrize("case", ["plain", "weighted"])
@pytest.mark.parametrize("what", ["coefficient", "effect"])
def test_coefficients_effects_and_errors_are_those_of_r(case, what):
    found = fit(case)
    table = by_term(found.coefficients if what == "coefficient" else found.effects)
    expected = REFERENCE[(REFERENCE["case"] == case) & (REFERENCE["what"] == what)].set_index("term")
    assert set(table.index) == set(expected.index)
    table = table.loc[expected.index]
    np.testing.assert_allclose(table["estimate"], expected["estimate"], rtol=1e-8)
    np.testing.assert_allclose(table["error"], expected["error"], rtol=1e-6)


@pytest.mark.parametrize("case", ["plain", "weighted"])
def test_the_area_under_the_curve_is_that_of_r(case):
    expected = REFERENCE[(REFERENCE["case"] == case) & (REFERENCE["what"] == "auc")]["estimate"].item()
    assert fit(case).auc == pytest.approx(expected, abs=1e-12)


def test_the_area_under_the_curve_counts_pairs():
    rng = np.random.default_rng(3)
    outcome, score, weight = rng.random(60) < 0.4, rng.integers(0, 9, 60).astype(float), rng.integers(1, 5, 60) * 1.0
    pairs = np.multiply.outer(weight[outcome], weight[~outcome])
    wins = np.sign(np.subtract.outer(score[outcome], score[~outcome])) / 2 + 0.5
    assert area_under_curve(outcome, score, weight) == pytest.approx((pairs * wins).sum() / pairs.sum(), abs=1e-12)
    plain = stats.mannwhitneyu(score[outcome], score[~outcome]).statistic / (outcome.sum() * (~outcome).sum())
    assert area_under_curve(outcome, score, np.ones(60)) == pytest.approx(plain, abs=1e-12)


def test_effects_and_their_errors_are_numerical_derivatives():
    granted, frame, g, weight = generated()
    found = take_up(granted, frame, g, weight)
    beta, share = found.coefficients["estimate"].to_numpy(), weight / weight.sum()
    z = {row.covariate: (frame[row.covariate] - row.mean) / row.sd for row in found.scales.itertuples()}

    def rate(beta, rural=None, kind=None, add=0.0):
        rural = frame["rural"] if rural is None else rural
        kind = frame["kind"] if kind is None else np.full(len(frame), kind)
        score = beta[0] + beta[1] * (z["need"] + add) + beta[2] * z["size"] + beta[3] * rural
        return share @ expit(score + beta[4] * (kind == "b") + beta[5] * (kind == "c"))

    functions = {
        0: lambda b: (rate(b, add=1e-4) - rate(b, add=-1e-4)) / 2e-4,
        2: lambda b: rate(b, rural=1) - rate(b, rural=0),
        4: lambda b: rate(b, kind="c") - rate(b, kind="a"),
    }
    for place, one in functions.items():
        steps = np.eye(6) * 1e-4
        slope = np.array([(one(beta + step) - one(beta - step)) / 2e-4 for step in steps])
        row = found.effects.iloc[place]
        assert row["estimate"] == pytest.approx(one(beta), rel=1e-6)
        assert row["error"] == pytest.approx(np.sqrt(slope @ found.covariance @ slope), rel=1e-5)


def test_one_binary_covariate_is_the_two_by_two_table():
    granted = np.repeat([True, False, True, False], [30, 20, 12, 38])
    group = pd.DataFrame({"rural": np.repeat([True, False], 50)})
    found = take_up(granted, group, np.arange(100))
    odds = np.log(30 / 20) - np.log(12 / 38)
    assert found.coefficients["estimate"].to_numpy() == pytest.approx([np.log(12 / 38), odds], abs=1e-10)
    # Each row its own cluster: the robust error of log odds is Woolf's, times the factor.
    assert found.coefficients["error"].iloc[1] == pytest.approx(
        np.sqrt((1 / 30 + 1 / 20 + 1 / 12 + 1 / 38) * 100 / 99), rel=1e-8
    )
    assert found.effects["estimate"].item() == pytest.approx(0.6 - 0.24, abs=1e-10)
    assert found.auc == pytest.approx(0.5 + (0.6 - 0.24) / 2 * 0.5 * 0.5 / (0.42 * 0.58), abs=1e-10)
    rate = 0.42
    null = 100 * (rate * np.log(rate) + (1 - rate) * np.log(1 - rate))
    full = sum(k * np.log(k / 50) for k in (30, 20, 12, 38))
    assert found.log_likelihood == pytest.approx(full, abs=1e-9)
    assert found.pseudo_r2 == pytest.approx(1 - full / null, abs=1e-9)


def test_calibration_keeps_the_totals():
    for case in ("plain", "weighted"):
        found = fit(case)
        table = found.calibration
        assert table["rows"].sum() == found.n == 640 and len(table) == 10
        for column in ("fitted", "observed"):
            assert np.average(table[column], weights=table["weight"]) == pytest.approx(found.rate, abs=1e-9)
        assert table["fitted"].is_monotonic_increasing


def test_a_weight_of_k_is_k_copies():
    granted, frame, g, weight = generated()
    copies = np.repeat(np.arange(640), weight.astype(int))
    one = take_up(granted, frame, g, weight)
    many = take_up(granted[copies], frame.iloc[copies], g[copies])
    for name in ("coefficients", "effects"):
        columns = ["estimate", "error", "df", "p", "low", "high"]
        np.testing.assert_allclose(getattr(one, name)[columns], getattr(many, name)[columns], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(one.calibration.drop(columns="rows"), many.calibration.drop(columns="rows"), rtol=1e-9)
    assert one.auc == pytest.approx(many.auc, abs=1e-12)


def test_order_units_and_labels_do_not_matter():
    granted, frame, g, weight = generated()
    order = np.random.default_rng(1).permutation(640)
    one = take_up(granted, frame, g, weight)
    changed = frame.assign(size=frame["size"] * 1000 + 7)
    other = take_up(granted[order], changed.iloc[order], np.array([f"c{x}" for x in g])[order], 3 * weight[order])
    columns = ["estimate", "error", "df", "p", "low", "high"]
    np.testing.assert_allclose(one.to_frame()[columns], other.to_frame()[columns], rtol=1e-7, atol=1e-10)
    np.testing.assert_allclose(one.fitted[order], other.fitted, atol=1e-10)


def test_the_reference_is_the_first_category():
    granted, frame, g, _ = generated()
    kind = pd.Categorical(frame["kind"], categories=["c", "unused", "a", "b"])
    found = take_up(granted, frame.assign(kind=kind), g)
    plain = take_up(granted, frame, g)
    rows = found.coefficients[found.coefficients["covariate"] == "kind"]
    assert rows["level"].tolist() == ["a", "b"] and set(rows["reference"]) == {"c"}
    expected = plain.coefficients.set_index("level")["estimate"]
    assert rows["estimate"].tolist() == pytest.approx([-expected["c"], expected["b"] - expected["c"]], abs=1e-9)
    np.testing.assert_allclose(found.fitted, plain.fitted, atol=1e-10)


def test_data_are_left_as_they_were():
    granted, frame, g, weight = generated()
    before = granted.copy(), frame.copy(), g.copy(), weight.copy()
    take_up(granted, frame, g, weight)
    rates_by_group(granted, g, weight)
    pd.testing.assert_frame_equal(frame, before[1])
    for one, other in zip((granted, g, weight), (before[0], before[2], before[3]), strict=True):
        np.testing.assert_array_equal(one, other)


def changed(**columns):
    granted, frame, g, _ = generated()
    return granted, frame.assign(**columns), g


def test_separation_is_refused_and_named():
    granted, frame, _, _ = generated()
    with pytest.raises(DesignError, match="perfect prediction by kind = d \\(all granted\\)"):
        kind = frame["kind"].where(~(granted & (frame["need"] > 9)), "d")
        take_up(*changed(kind=kind))
    with pytest.raises(DesignError, match="perfect prediction by score \\(a threshold"):
        take_up(*changed(score=np.where(granted, 3.0, 1.0) + frame["need"] / 10))
    # Neither alone predicts, their difference does.
    noise = np.random.default_rng(2).normal(size=640) * 20
    first = noise + np.where(granted, 1, -1)
    with pytest.raises(DesignError) as caught:
        take_up(*changed(first=first, second=noise))
    assert caught.value.what == "perfect prediction by first, second"


def test_quasi_separation_by_two_covariates_is_refused_and_named():
    """In one cell of two covariates all are granted; elsewhere both happen, and no single covariate separates."""
    rng = np.random.default_rng(4)
    a, b = rng.random(400) < 0.5, rng.random(400) < 0.5
    frame = pd.DataFrame({"a": a, "b": b, "both": a & b, "x": rng.normal(size=400)})
    granted = (rng.random(400) < 0.5) | (a & b)
    with pytest.raises(DesignError, match="both = True"):
        take_up(granted, frame, np.arange(400) % 20)
    frame = pd.DataFrame({"a": a * 1.0, "b": b * 1.0, "product": a * b + 0.0, "x": frame["x"]})
    with pytest.raises(DesignError, match="perfect prediction by product"):
        take_up(granted, frame, np.arange(400) % 20)


def test_a_value_all_granted_in_the_middle_is_no_separation():
    rng = np.random.default_rng(5)
    x = rng.integers(0, 11, 300).astype(float)
    granted = x == 5
    assert take_up(granted, pd.DataFrame({"x": x}), np.arange(300) % 20).auc < 0.7


def test_strong_prediction_that_does_not_separate_is_kept():
    rng = np.random.default_rng(6)
    x = rng.normal(size=2000) * 8
    granted = rng.random(2000) < expit(3 * x)
    found = take_up(granted, pd.DataFrame({"x": x}), np.arange(2000) % 40)
    assert found.coefficients["estimate"].iloc[1] / found.scales["sd"].item() == pytest.approx(3, rel=0.3)


def test_collinear_and_constant_covariates_are_named():
    _, frame, _, _ = generated()
    with pytest.raises(DesignError, match="combinations of those before them: twice"):
        take_up(*changed(twice=2 * frame["need"] - frame["size"]))
    with pytest.raises(DesignError, match="do not vary: same, one"):
        take_up(*changed(same=4.0, one="x"))


def test_coefficients_of_one_cluster_are_named():
    _, _, g, _ = generated()
    region = np.where(g == 4, "north", np.where(g == 9, "south", "other"))
    with pytest.raises(DesignError, match=r"no error for .*region = other, region = south"):
        take_up(*changed(region=region))
    region = pd.Categorical(region, categories=["other", "north", "south"])
    with pytest.raises(DesignError, match=r"no error for .*region = north, region = south"):
        take_up(*changed(region=region))
    with pytest.raises(DesignError, match=r"no error for .*here"):
        take_up(*changed(here=(g == 9) * 1.0))


def test_nearly_collinear_covariates_are_fitted_or_named():
    _, frame, _, _ = generated()
    noise = np.random.default_rng(9).normal(size=640)
    found = take_up(*changed(near=frame["need"] + 1e-4 * noise))
    assert found.auc >= fit().auc and found.coefficients["error"].max() > 1000
    with pytest.raises(DesignError, match="combinations of those before them: near"):
        take_up(*changed(near=frame["need"] + 1e-9 * noise))
    with pytest.raises(DesignError, match="4 terms from 4 rows"):
        take_up([True, False, True, False], pd.DataFrame(noise[:12].reshape(4, 3)), [1, 2, 3, 4])


def test_missing_values_are_counted():
    granted, frame, g, _ = generated()
    frame.loc[:4, "need"], frame.loc[2:3, "kind"] = np.nan, None
    labels = g.astype(object)
    labels[7] = None
    with pytest.raises(DesignError, match="of 640 rows: cluster 1, need 5, kind 2"):
        take_up(granted, frame, labels)
    rural = frame["rural"].astype("boolean").mask(frame["size"] > 900)
    with pytest.raises(DesignError, match=f"rural {(frame['size'] > 900).sum()}"):
        take_up(granted, rural.to_frame(), g)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"granted": np.zeros(640, dtype=bool)}, "all 640 rows are not granted"),
        ({"granted": np.ones(640, dtype=bool)}, "all 640 rows are granted"),
        ({"granted": np.full(640, 0.5)}, "truth value"),
        ({"granted": np.ones(3, dtype=bool)}, "differ in shape"),
        ({"covariates": np.ones((640, 2))}, "not a frame"),
        ({"cluster": np.zeros(640)}, "fewer than two clusters"),
        ({"covariates": pd.DataFrame()}, "not a frame"),
        ({"covariates": pd.DataFrame(np.ones((640, 2)), columns=["a", "a"])}, "same name"),
        ({"weight": np.zeros(640)}, "not above zero"),
        ({"weight": np.full(640, np.nan)}, "weights 640"),
        ({"weight": np.ones(5)}, "5 weights"),
    ],
)
def test_bad_inputs_are_refused(change, words):
    granted, frame, g, weight = generated()
    given = {"granted": granted, "covariates": frame, "cluster": g, "weight": weight} | change
    with pytest.raises(DesignError, match=words):
        take_up(**given)


def test_rates_have_the_interval_of_wilson():
    granted = np.r_[np.repeat([True, False], [14, 36]), np.repeat([True, False], [0, 9]), np.ones(4, dtype=bool)]
    table = rates_by_group(granted, np.repeat(["a", "b", "c"], [50, 9, 4])).set_index("group")
    for name, k, n in (("a", 14, 50), ("b", 0, 9), ("c", 4, 4)):
        expected = stats.binomtest(k, n).proportion_ci(method="wilson")
        row = table.loc[name]
        assert (row["granted"], row["rows"]) == (k, n)
        assert (row["rate"], row["effective"]) == (pytest.approx(k / n), pytest.approx(n))
        assert (row["low"], row["high"]) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_weights_change_the_rate_and_make_no_more_rows():
    granted, _, g, weight = generated()
    table = rates_by_group(granted, g, weight)
    other = rates_by_group(granted, g, 1000 * weight)
    pd.testing.assert_frame_equal(table, other)
    assert (table["effective"] <= table["rows"]).all() and (table["effective"] < table["rows"]).any()
    one = table.iloc[3]
    assert one["rate"] == pytest.approx(np.average(granted[g == one["group"]], weights=weight[g == one["group"]]))
    with pytest.raises(DesignError, match="level is 1"):
        rates_by_group(granted, g, level=1)
    with pytest.raises(DesignError, match="missing values, of 2 rows: granted 1"):
        rates_by_group([True, None], ["a", "b"])
    with pytest.raises(DesignError, match="no row"):
        rates_by_group([], [])
