"""Imputed effects against published values, stored diff-diff output, dense algebra and the laws they must obey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tne_eval.errors import DesignError
from tne_eval.impact.impute import impute_effects

REFERENCE = Path(__file__).parent / "reference"
NAMES = ("y", "unit", "time", "cohort")


@pytest.fixture(scope="module")
def counties(reference_data):
    rows = reference_data("mpdta.csv")
    rows["state"] = rows["countyreal"] // 1000
    rows["wave"] = np.sin(rows["countyreal"] * 0.7 + rows["year"] * 1.3) + rows["lpop"] * (rows["year"] - 2003) / 10
    rows["size"] = np.exp(rows["lpop"] / 4)
    return rows


def on_counties(rows, **named):
    return impute_effects(rows, "lemp", "countyreal", "year", "first.treat", **named)


def simulated(n=120, length=6, clusters=30, seed=1, noise=1.0) -> pd.DataFrame:
    """Cohorts 2, 4 and 5 and never treated, whole clusters at a time; effect 1 + time since treatment."""
    rng = np.random.default_rng(seed)
    unit, time = np.repeat(np.arange(n), length), np.tile(np.arange(1, length + 1), n)
    cluster = unit % clusters
    cohort = np.select([cluster < 6, cluster < 13, cluster < 19], [2, 4, 5], 0)
    effect = np.where((cohort > 0) & (time >= cohort), 1.0 + time - cohort, 0)
    x = rng.normal(size=n * length)
    y = rng.normal(size=n)[unit] + np.sin(time) + 0.5 * x + effect + noise * rng.normal(size=n * length)
    w = 1 + rng.integers(0, 3, n * length)
    return pd.DataFrame({"unit": unit, "time": time, "cohort": cohort, "y": y, "x": x, "cluster": cluster, "w": w})


def errors(result) -> np.ndarray:
    return np.sqrt(np.diag(result.covariance))


def test_published_figures(counties):
    found = on_counties(counties)
    # Cohort 2004 has one untreated year only.
    assert found.estimate == pytest.approx(-0.0477099183, abs=6e-11)
    assert found.error == pytest.approx(0.0132224886, abs=6e-11)
    assert (found.n_units, found.n_treated_clusters) == (500, 191)
    assert found.events["event"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("scenario", ["plain", "wave", "unbalanced wave", "state", "size"])
def test_estimates_are_those_of_diff_diff(counties, scenario):
    stored = pd.read_csv(REFERENCE / "group_time.csv").query("scenario == @scenario and kind == 'impute'")
    late = (counties["countyreal"] % 7 == 0) & (counties["year"] == 2003) & (counties["first.treat"] != 2004)
    rows = counties[~late] if scenario == "unbalanced wave" else counties
    found = on_counties(
        rows,
        covariates=["wave"] if "wave" in scenario else None,
        weight="size" if scenario == "size" else None,
        cluster="state" if scenario == "state" else None,
    )
    np.testing.assert_allclose(found.estimates, stored["estimate"], atol=1e-10)
    # With clusters or weights diff-diff takes the mean effect of a cohort over units, not over clusters (below).
    np.testing.assert_allclose(errors(found), stored["error"], rtol=2e-3 if scenario in ("state", "size") else 1e-8)


def dense(rows: pd.DataFrame, covariates: list[str], weight: str | None, cluster: str):
    """Equations 7 and 8 with dummies: weights v of every row, then Σ_c (Σ v ε)², for the mean and each event time."""
    dummies = pd.get_dummies(rows[["unit", "time"]].astype(str), dtype=float)
    design = np.column_stack([dummies, rows[covariates]]) if covariates else dummies.to_numpy()
    treated = ((rows["cohort"] > 0) & (rows["time"] >= rows["cohort"])).to_numpy()
    size = rows[weight].to_numpy(dtype=float) if weight else np.ones(len(rows))
    root = np.sqrt(size[~treated])[:, None]
    fitted = np.linalg.pinv(root * design[~treated]) * root.T
    gap = rows["y"].to_numpy() - design @ (fitted @ rows["y"].to_numpy()[~treated])
    since = (rows["time"] - rows["cohort"]).to_numpy()
    labels = rows[cluster].to_numpy()
    found = []
    for event in (None, *np.unique(since[treated])):
        v = np.where(treated & ((since == event) | (event is None)), size, 0.0)
        v /= v.sum()
        v[~treated] = -(v[treated] @ design[treated]) @ fitted
        residual = gap.copy()
        for _, place in rows.reset_index(drop=True)[treated].groupby(["cohort", "time"]).groups.items():
            own = pd.DataFrame({"v": v[place], "e": v[place] * gap[place]}).groupby(labels[place]).sum()
            if own["v"].any():
                residual[place] -= (own["v"] * own["e"]).sum() / (own["v"] ** 2).sum()
        by_cluster = pd.Series(v * residual).groupby(labels).sum()
        found.append((v[treated] @ gap[treated], np.sqrt((by_cluster**2).sum())))
    return np.array(found).T


@pytest.mark.parametrize("cluster", ["unit", "cluster"])
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("covariates", [[], ["x"]])
def test_dense_algebra(cluster, weight, covariates):
    rows = simulated()
    rows = rows[np.random.default_rng(0).random(len(rows)) > 0.1 * (rows["time"] > 1)]
    estimates, wanted = dense(rows, covariates, weight, cluster)
    found = impute_effects(rows, *NAMES, covariates=covariates, weight=weight, cluster=cluster)
    np.testing.assert_allclose(found.estimates, estimates, atol=1e-9)
    np.testing.assert_allclose(errors(found), wanted, rtol=1e-8)
    if cluster == "unit" and weight is None:
        np.testing.assert_allclose(found.influence.mean(axis=0), 0, atol=1e-9)


def test_effects_without_noise_are_found_exactly():
    rows = simulated(noise=0)
    found = impute_effects(rows, *NAMES, covariates=["x"])
    np.testing.assert_allclose(found.events["estimate"], 1.0 + np.arange(5), atol=1e-9)
    np.testing.assert_allclose(errors(found)[1:], 0, atol=1e-9)


def test_laws():
    rows = simulated()
    words = {"covariates": ["x"], "weight": "w", "cluster": "cluster"}
    before = rows.copy(deep=True)
    found = impute_effects(rows, *NAMES, **words)
    pd.testing.assert_frame_equal(rows, before)
    relabelled = rows.assign(unit=[f"u{(7 * one) % 121:03d}" for one in rows["unit"]], cluster=rows["cluster"].map(str))
    shifted = rows.assign(time=rows["time"] + 2000, cohort=np.where(rows["cohort"] > 0, rows["cohort"] + 2000, np.nan))
    levels = rows.assign(y=rows["y"] + 100 * np.sin(rows["unit"]) + 50 * rows["time"] ** 2, x=7 - 30 * rows["x"])
    for other in (rows.sample(frac=1, random_state=2), relabelled, shifted, levels, rows.assign(w=rows["w"] * 12.5)):
        again = impute_effects(other, *NAMES, **words)
        np.testing.assert_allclose(again.estimates, found.estimates, atol=1e-9)
        np.testing.assert_allclose(again.covariance, found.covariance, atol=1e-9)
    scaled = impute_effects(rows.assign(y=-3 * rows["y"]), *NAMES, **words)
    np.testing.assert_allclose(scaled.estimates, -3 * found.estimates)
    np.testing.assert_allclose(scaled.covariance, 9 * found.covariance)
    always = rows[(rows["cohort"] != 0) | (rows["unit"] % 2 == 0)]
    assert abs(impute_effects(always, *NAMES, **words).estimate - found.estimate) > 1e-6


def test_a_weight_is_a_number_of_copies():
    rows = simulated().assign(w=lambda frame: 1 + frame["unit"] % 3)
    copies = rows.loc[rows.index.repeat(rows["w"])].assign(
        unit=lambda frame: frame["unit"] * 10 + frame.groupby(["unit", "time"]).cumcount()
    )
    weighted = impute_effects(rows, *NAMES, covariates=["x"], weight="w", cluster="cluster")
    copied = impute_effects(copies, *NAMES, covariates=["x"], cluster="cluster")
    np.testing.assert_allclose(weighted.estimates, copied.estimates, atol=1e-10)
    np.testing.assert_allclose(weighted.covariance, copied.covariance, atol=1e-10)


def test_errors_are_not_too_small_over_draws():
    """The error is conservative: on average no less than the standard deviation over redrawn samples."""
    found = [impute_effects(simulated(seed=seed), *NAMES) for seed in range(150)]
    spread = np.std([one.estimates for one in found], axis=0)
    given = np.mean([errors(one) for one in found], axis=0)
    assert (given > 0.88 * spread).all()
    assert given[0] < 1.25 * spread[0]
    assert np.mean([one.estimate for one in found]) == pytest.approx(
        np.mean(
            [
                1 + time - cohort
                for cohort, units in ((2, 24), (4, 28), (5, 24))
                for time in range(cohort, 7)
                for _ in range(units)
            ]
        ),
        abs=0.05,
    )


def test_few_treated_clusters_have_no_error():
    rows = simulated()
    rows["cohort"] = np.select([rows["cluster"] < 2, rows["cluster"] < 7], [2, 4], 0)
    found = impute_effects(rows, *NAMES, cluster="cluster")
    assert found.n_treated_clusters == 7
    assert found.error > 0
    assert found.events["treated_clusters"].tolist() == [7, 7, 7, 2, 2]
    assert [one is None for one in found.events["error"]] == [False, False, False, True, True]
    assert found.events["reason"].iloc[-1] == "fewer than six treated clusters: use permutation_test"
    assert found.to_frame()["event"].iloc[0] == "overall"
    rows["cohort"] = np.select([rows["cluster"] < 1, rows["cluster"] < 12], [2, 4], 0)
    found = impute_effects(rows, *NAMES, cluster="cluster")
    assert found.error is None
    assert "one treated cluster" in found.reason


def test_times_and_units_that_nothing_identifies():
    rows = simulated()
    with pytest.raises(DesignError, match="no row is untreated at 5, 6") as refused:
        impute_effects(rows[rows["cohort"] > 0], *NAMES)
    assert "keep the times before 5" in str(refused.value)
    kept = impute_effects(rows[(rows["cohort"] > 0) & (rows["time"] < 5)], *NAMES)
    assert kept.events["event"].tolist() == [0, 1, 2]
    with pytest.raises(DesignError, match="24 treated units have no row before") as refused:
        impute_effects(rows[(rows["cohort"] != 2) | (rows["time"] >= 2)], *NAMES)
    assert "units 0, 1, 2" in str(refused.value)
    apart = rows[np.where(rows["unit"] % 30 < 19, rows["time"] < 3, rows["time"] >= 3)]
    apart = pd.concat([apart, rows[(rows["unit"] == 6) & (rows["time"] == 5)]])
    with pytest.raises(DesignError, match="no unit connects") as refused:
        impute_effects(apart, *NAMES)
    assert "1, 2 | 3, 4, 5, 6" in str(refused.value)


REFUSED = {
    "unknown columns": (lambda rows: rows.drop(columns=["cohort"]), {}, "no column 'cohort'"),
    "missing outcome": (lambda rows: rows.assign(y=rows["y"].where(rows.index != 9)), {}, "'y' is missing or infinite"),
    "missing covariate": (
        lambda rows: rows.assign(x=rows["x"].where(rows.index != 9)),
        {"covariates": ["x"]},
        "'x' is missing",
    ),
    "twice": (lambda rows: pd.concat([rows, rows.iloc[:2]]), {}, "more than one row"),
    "cohort varies": (lambda rows: rows.assign(cohort=rows["cohort"].where(rows.index != 3, 4)), {}, "'cohort' varies"),
    "cohort at start": (lambda rows: rows.replace({"cohort": {2: 1}}), {}, "cohorts 1 have no time before"),
    "nobody treated": (lambda rows: rows.assign(cohort=0), {}, "no unit is treated"),
    "weight": (lambda rows: rows.assign(w=-1.0), {"weight": "w"}, "negative or zero"),
    "level": (lambda rows: rows.assign(v=rows["unit"] * 0.1), {"covariates": ["v"]}, "do not vary within units: v"),
    "trend": (lambda rows: rows.assign(v=rows["time"] ** 2), {"covariates": ["x", "v"]}, "collinear: v"),
    "sum": (lambda rows: rows.assign(v=rows["x"] * 3 + rows["time"]), {"covariates": ["x", "v"]}, "collinear: v"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    change, words, message = REFUSED[name]
    with pytest.raises(DesignError, match=message):
        impute_effects(change(simulated()), *NAMES, **words)


def test_forty_five_thousand_units_need_no_dummies():
    """Dense dummies of these units would take 27 GB."""
    import tracemalloc

    n, length = 45_000, 15
    unit = np.repeat(np.arange(n), length)
    rows = pd.DataFrame({"unit": unit, "time": np.tile(np.arange(length), n), "cluster": unit % 100})
    rows["cohort"] = np.select([rows["cluster"] < 6, rows["cluster"] < 12], [8, 10], 0)
    rows["y"] = np.random.default_rng(0).normal(size=len(rows)) + 2.0 * (rows["cohort"] > 0) * (
        rows["time"] >= rows["cohort"]
    )
    tracemalloc.start()
    found = impute_effects(rows, *NAMES, cluster="cluster")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40 * 8 * n * length
    assert found.estimate == pytest.approx(2, abs=5 * found.error)
