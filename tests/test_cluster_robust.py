"""Cluster-robust errors against R clubSandwich, closed forms, brute force, and what must not change them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tne_eval.errors import DesignError
from tne_eval.impact.cluster_robust import KINDS, cluster_robust, two_group_cr2

REFERENCE = pd.read_csv(Path(__file__).parent / "reference" / "cluster_robust.csv")


def generated():
    """The data of reference/cluster_robust.R."""
    i = np.arange(1, 181)
    frame = pd.DataFrame({"y": (i * 7919) % 997 / 100, "x": (i * 31) % 53 / 10, "w": (i * 104729) % 23 + 1.0})
    frame["unit"], frame["year"] = (i - 1) // 4, (i - 1) % 4
    frame["g"] = np.floor(14 * (frame["unit"] / 45) ** 1.5).astype(int)
    frame["treated"] = (frame["g"] >= 10).astype(float)
    frame["post"] = frame["treated"] * (frame["year"] >= 2)
    frame["y"] += frame["g"] / 3 + frame["x"] / 7
    return frame


def one_each():
    one = generated().groupby("g")[["y", "w"]].mean().reset_index()
    one["treated"] = one["g"].isin([1, 4, 6, 9, 12])
    return one


def design(frame, *columns):
    return pd.DataFrame({"(Intercept)": 1.0, **{name: frame[name].astype(float) for name in columns}})


def within_units(table, unit, weight):
    """Residuals on unit effects, times the root of the weights."""
    weight = pd.Series(weight, index=table.index)
    sums = table.mul(weight, axis=0).groupby(unit).transform("sum")
    return (table - sums.div(weight.groupby(unit).transform("sum"), axis=0)).mul(np.sqrt(weight), axis=0)


def fit(case, kind):
    frame = generated()
    if case.startswith("one"):
        frame = one_each()
        weight = frame["w"] if case == "one_weighted" else None
        return cluster_robust(design(frame, "treated"), frame["y"], frame["g"], weight, kind)
    if case.startswith("panel"):
        frame = frame[(frame["unit"] % 7 != 3) | (frame["year"] != 1)]
        table = frame[["post", "x"]].join(pd.get_dummies(frame["year"], dtype=float).iloc[:, 1:].add_prefix("year "))
        weight = frame["w"] if case == "panel_scaled" else np.ones(len(frame))
        table = within_units(table.assign(y=frame["y"]), frame["unit"], weight)
        return cluster_robust(table.drop(columns="y"), table["y"], frame["g"], kind=kind)
    weight = frame["w"] if case == "weighted" else None
    return cluster_robust(design(frame, "treated", "x"), frame["y"], frame["g"], weight, kind)


@pytest.mark.parametrize(("case", "kind"), sorted(set(zip(REFERENCE["case"], REFERENCE["kind"], strict=True))))
def test_r_clubsandwich(case, kind):
    found = fit(case, kind)
    wanted = REFERENCE[(REFERENCE["case"] == case) & (REFERENCE["kind"] == kind)]
    terms = wanted["term"].str.replace(r"factor\(year\)", "year ", regex=True)
    wanted = wanted.set_index(terms).loc[list(found.names)]
    np.testing.assert_allclose(found.coefficients, wanted["estimate"], rtol=1e-8)
    np.testing.assert_allclose(found.errors, wanted["error"], rtol=1e-8)
    np.testing.assert_allclose(found.df, wanted["df"], rtol=1e-6)
    np.testing.assert_allclose(found.p, wanted["p"], rtol=1e-6)
    place = found.names.index("post" if case.startswith("panel") else "treated")
    np.testing.assert_allclose(found.covariance[place], wanted["covariance"], rtol=1e-7)


def test_cr3_is_the_jackknife_by_cluster():
    frame = generated()
    x, y, w = design(frame, "treated", "x").to_numpy(), frame["y"].to_numpy(), np.sqrt(frame["w"].to_numpy())
    full = np.linalg.lstsq(w[:, None] * x, w * y, rcond=None)[0]
    moves = []
    for label in frame["g"].unique():
        kept = (frame["g"] != label).to_numpy()
        moves.append(np.linalg.lstsq((w[:, None] * x)[kept], (w * y)[kept], rcond=None)[0] - full)
    found = cluster_robust(x, y, frame["g"], frame["w"], "CR3")
    np.testing.assert_allclose(found.covariance, np.transpose(moves) @ moves, rtol=1e-9)


def test_cr2_is_unbiased_under_the_working_model():
    """Brute force on identity outcomes: Σ_i over unit vectors e_i of V(e_i) is the trace of V's expectation."""
    frame = generated().iloc[::6]
    x = design(frame, "treated", "x")
    w = frame["w"].to_numpy()
    inverse = np.linalg.inv(x.T @ (w[:, None] * x))
    wanted = inverse @ (x.T @ ((w**2)[:, None] * x)) @ inverse
    found = sum(cluster_robust(x, row, frame["g"], w).covariance for row in np.eye(len(x)))
    np.testing.assert_allclose(found, wanted, rtol=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_two_group_form_is_the_regression(weighted):
    frame = one_each()
    weight = frame["w"] if weighted else None
    wanted = cluster_robust(design(frame, "treated"), frame["y"], frame["g"], weight)
    found = two_group_cr2(frame["y"], frame["treated"].to_numpy(), weight)
    np.testing.assert_allclose(
        [found.estimate, found.error, found.df, found.t, found.p],
        [wanted.coefficients[1], wanted.errors[1], wanted.df[1], wanted.t[1], wanted.p[1]],
        rtol=1e-12,
    )
    np.testing.assert_allclose(found.interval(0.9), wanted.interval(0.9)[1], rtol=1e-12)


def test_the_two_group_form_is_welch_without_weights_and_takes_many_outcomes():
    rng = np.random.default_rng(3)
    change, treated = rng.normal(size=(50, 30)), np.arange(30) < 7
    found = two_group_cr2(change, treated)
    welch = stats.ttest_ind(change[:, treated], change[:, ~treated], axis=1, equal_var=False)
    np.testing.assert_allclose(found.t, welch.statistic, rtol=1e-12)
    single = two_group_cr2(change[4], treated)
    assert found.estimate[4] == pytest.approx(single.estimate, rel=1e-14)
    assert found.p[4] == pytest.approx(single.p, rel=1e-12)
    # Satterthwaite with equal variances, by hand.
    assert found.df == pytest.approx((1 / 7 + 1 / 23) ** 2 / (1 / 7**2 / 6 + 1 / 23**2 / 22), rel=1e-12)
    assert len(found.to_frame()) == 50 and len(single.to_frame()) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_what_must_not_change_the_result(kind):
    frame = generated()
    table = design(frame, "treated", "x")
    kept = [array.copy() for array in (table, frame)]
    base = cluster_robust(table, frame["y"], frame["g"], frame["w"], kind)
    pd.testing.assert_frame_equal(table, kept[0])
    pd.testing.assert_frame_equal(frame, kept[1])
    order = np.random.default_rng(1).permutation(len(frame))
    moved = frame.iloc[order]
    labels = moved["g"].map(lambda g: f"département {97 * g % 14}")
    other = cluster_robust(table.iloc[order], moved["y"], labels, 7 * moved["w"], kind)
    np.testing.assert_allclose(other.coefficients, base.coefficients, rtol=1e-10)
    np.testing.assert_allclose(other.covariance, base.covariance, rtol=1e-9)
    np.testing.assert_allclose(other.df, base.df, rtol=1e-9)
    # Outcome × 3 + 5, regressor / 1000, and rows of zero weight.
    longer = pd.concat([table.assign(x=table["x"] / 1000), table])
    weight = np.r_[frame["w"], np.zeros(len(frame))]
    scaled = cluster_robust(longer, np.tile(3 * frame["y"] + 5, 2), np.tile(frame["g"], 2), weight, kind)
    np.testing.assert_allclose(scaled.coefficients, 3 * base.coefficients * [1, 1, 1000] + [5, 0, 0], rtol=1e-9)
    np.testing.assert_allclose(scaled.t[1:], base.t[1:], rtol=1e-9)
    np.testing.assert_allclose(scaled.df, base.df, rtol=1e-9)
    assert scaled.n == base.n == 180 and base.n_clusters == 14


def test_a_cluster_of_leverage_one_adds_nothing_to_cr2_and_is_named_by_cr3():
    frame = generated()
    table = design(frame, "treated", "x").assign(own=(frame["g"] == 3).astype(float))
    with pytest.raises(DesignError, match="no error for own"):
        cluster_robust(table, frame["y"], frame["g"])
    with pytest.raises(DesignError) as caught:
        cluster_robust(table, frame["y"], frame["g"], kind="CR3")
    assert "3" in caught.value.where


def test_the_table_and_the_interval():
    found = fit("plain", "CR2")
    table = found.to_frame(0.9)
    assert list(table["name"]) == ["(Intercept)", "treated", "x"]
    np.testing.assert_allclose(table["high"] - table["low"], 2 * stats.t.ppf(0.95, found.df) * found.errors, rtol=1e-12)
    with pytest.raises(DesignError, match="level"):
        found.interval(95)


def bad(**changed):
    frame = generated()
    given = {"design": design(frame, "treated", "x"), "outcome": frame["y"], "cluster": frame["g"], "weight": None}
    return lambda: cluster_robust(**(given | {name: change(given, frame) for name, change in changed.items()}))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (bad(kind=lambda g, f: "HC1"), "kind is 'HC1'"),
        (bad(cluster=lambda g, f: np.zeros(180)), "fewer than two clusters"),
        (bad(cluster=lambda g, f: f["g"].where(f["g"] != 2)), "cluster holds missing labels"),
        (bad(cluster=lambda g, f: f["g"][:-1]), "cluster has shape"),
        (bad(outcome=lambda g, f: f["y"].where(f["y"] > 1)), "outcome holds missing or infinite"),
        (bad(outcome=lambda g, f: f["y"][:-1]), "regressor .* has shape|outcome has shape"),
        (bad(outcome=lambda g, f: 2 * f["treated"] + 1), "no error for"),
        (bad(weight=lambda g, f: -f["w"]), "weights must be zero or more"),
        (bad(weight=lambda g, f: f["w"].replace(5, np.inf)), "weight holds missing or infinite"),
        (bad(design=lambda g, f: g["design"].assign(half=f["treated"] / 2, zero=0.0)), "zero"),
        (bad(design=lambda g, f: g["design"].assign(half=f["treated"] / 2 + 1)), "before them: half"),
        (bad(design=lambda g, f: g["design"].assign(x=np.inf)), "'x' holds missing or infinite"),
        (bad(design=lambda g, f: g["design"].assign(x="text")), "something else than numbers"),
        (bad(design=lambda g, f: np.empty((180, 0))), "no column"),
        (bad(design=lambda g, f: np.random.default_rng(0).normal(size=(180, 181))), "181 coefficients from 180 rows"),
        (lambda: two_group_cr2([1.0, 2, 3, 5], [True, False, False, False]), "1 treated and 3 control"),
        (lambda: two_group_cr2([1.0, 2, 3, 5], np.array([1, 1, 0, 0])), "truth value"),
        (lambda: two_group_cr2([1.0, 2, 3, np.nan], np.arange(4) < 2), "change holds missing"),
        (lambda: two_group_cr2([1.0, 1, 3, 3], np.arange(4) < 2), "does not vary"),
        (lambda: two_group_cr2(1.0, np.arange(4) < 2), "change has shape"),
        (lambda: two_group_cr2([1.0, 1, 3, 4], np.arange(4) < 2, [1, 1, 0, 1]), "weight is not one number"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(DesignError, match=words):
        call()


def test_two_treated_clusters_of_a_hundred_have_about_one_degree_of_freedom():
    """Why few treated clusters are refused elsewhere: the error rests on two of them."""
    rng = np.random.default_rng(5)
    treated = np.arange(100) < 2
    found = two_group_cr2(rng.normal(size=100), treated)
    assert 1 < found.df < 1.1
