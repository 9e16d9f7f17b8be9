"""Group-time effects against R did, stored csdid output, hand computations and the laws they must obey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from tne_eval.errors import DesignError
from tne_eval.impact.group_time import (
    KINDS,
    aggregate_effects,
    group_time_effects,
    group_time_from_wide,
    multiplier_bands,
)

REFERENCE = Path(__file__).parent / "reference"
NAMES = ("y", "unit", "time", "cohort")
SCENARIOS = {
    "never lpop": ("never", ["lpop"], None, None),
    "not_yet lpop": ("not_yet", ["lpop"], None, None),
    "never wave": ("never", ["wave", "lpop"], None, None),
    "never state": ("never", None, None, "state"),
    "not_yet lpop state": ("not_yet", ["lpop"], None, "state"),
    "never lpop size": ("never", ["lpop"], "size", None),
    "not_yet size": ("not_yet", None, "size", None),
}


@pytest.fixture(scope="module")
def counties(reference_data):
    rows = reference_data("mpdta.csv")
    rows["state"] = rows["countyreal"] // 1000
    rows["wave"] = np.sin(rows["countyreal"] * 0.7 + rows["year"] * 1.3) + rows["lpop"] * (rows["year"] - 2003) / 10
    rows["size"] = np.exp(rows["lpop"] / 4)
    return rows


def on_counties(rows, *words, **named):
    return group_time_effects(rows, "lemp", "countyreal", "year", "first.treat", *words, **named)


def simulated(n=240, length=6, clusters=40, seed=1) -> pd.DataFrame:
    """Cohorts 3, 4 and 6 and never treated, whole clusters at a time; effect 1 + time since treatment."""
    rng = np.random.default_rng(seed)
    unit, time = np.repeat(np.arange(n), length), np.tile(np.arange(1, length + 1), n)
    cluster = unit % clusters
    cohort = np.select([cluster < 8, cluster < 15, cluster < 22], [3, 4, 6], 0)
    level, pull = rng.normal(size=n)[unit], rng.normal(size=n)[unit]
    effect = np.where((cohort > 0) & (time >= cohort), 1.0 + time - cohort, 0)
    y = level + time * 0.3 + pull * time * 0.1 + effect + rng.normal(size=n * length)
    x = rng.normal(size=n * length) + pull
    return pd.DataFrame(
        {"unit": unit, "time": time, "cohort": cohort, "y": y, "x": x, "z": pull, "cluster": cluster, "w": 1 + unit % 3}
    )


def errors(result) -> np.ndarray:
    return np.sqrt(np.diag(result.covariance))


@pytest.mark.parametrize(("scenario", "control"), [("mpdta_nev_dr", "never"), ("mpdta_nyt_dr", "not_yet")])
def test_cells_and_averages_are_those_of_r(counties, reference_data, scenario, control):
    found = on_counties(counties, control)
    cells = reference_data("mpdta_R_did_ref_attgt.csv").query("scenario == @scenario")
    assert found.cells["cohort"].tolist() == cells["group"].tolist()
    assert found.cells["time"].tolist() == cells["t"].tolist()
    np.testing.assert_allclose(found.estimates, cells["att"], atol=1e-12)
    np.testing.assert_allclose(found.cells["error"], cells["se"], rtol=1e-10)
    averages = reference_data("mpdta_R_did_ref_aggte.csv").query("scenario == @scenario")
    for kind in KINDS:
        one, wanted = found.aggregate(kind), averages.query("type == @kind")
        assert one.estimate == pytest.approx(wanted["overall_att"].iloc[0], abs=1e-12)
        assert one.error == pytest.approx(wanted["overall_se"].iloc[0], rel=1e-10)
        if kind != "simple":
            assert one.elements["element"].tolist() == wanted["egt"].tolist()
            np.testing.assert_allclose(one.elements["estimate"], wanted["att_egt"], atol=1e-12)
            np.testing.assert_allclose(one.elements["error"], wanted["se_egt"], rtol=1e-10)


def test_published_figures(counties):
    found = on_counties(counties)
    assert (found.n_units, found.n_clusters, found.n_treated_clusters) == (500, 500, 191)
    published = {
        "simple": (-0.0399512752, 0.0120340128),
        "dynamic": (-0.0772398215, 0.0199649891),
        "group": (-0.0310182822, 0.0124460593),
        "calendar": (-0.0417004321, 0.0159718519),
    }
    for kind, wanted in published.items():
        one = found.aggregate(kind)
        assert (one.estimate, one.error) == pytest.approx(wanted, abs=6e-11)
    # The estimator of Sun and Abraham (R fixest, sunab) is the same average where there are never treated units.
    assert found.aggregate("simple").estimate == pytest.approx(-0.03995128, abs=5e-9)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_covariates_weights_and_clusters_are_those_of_csdid(counties, scenario):
    stored = pd.read_csv(REFERENCE / "group_time.csv").query("scenario == @scenario")
    found = on_counties(counties, *SCENARIOS[scenario])
    for kind in ("cell", *KINDS):
        one = found if kind == "cell" else found.aggregate(kind)
        wanted = stored[stored["kind"] == kind]
        np.testing.assert_allclose(one.estimates, wanted["estimate"], atol=1e-10)
        np.testing.assert_allclose(errors(one), wanted["error"], rtol=1e-8)


def test_a_cell_is_a_difference_of_mean_changes():
    rows = simulated()
    wide = rows.pivot(index="unit", columns="time", values="y")
    start = rows.groupby("unit")["cohort"].first()

    def change(units, now, base):
        return (wide.loc[units, now] - wide.loc[units, base]).mean()

    found = group_time_effects(rows, *NAMES, control="not_yet").cells.set_index(["cohort", "time"])["estimate"]
    assert found[(4, 5)] == pytest.approx(change(start == 4, 5, 3) - change((start == 0) | (start == 6), 5, 3))
    assert found[(6, 3)] == pytest.approx(change(start == 6, 3, 2) - change((start == 0) | (start == 4), 3, 2))
    never = group_time_effects(rows, *NAMES).cells.set_index(["cohort", "time"])["estimate"]
    assert never[(3, 6)] == pytest.approx(change(start == 3, 6, 2) - change(start == 0, 6, 2))


def test_unit_errors_are_those_of_two_means():
    """Without clusters, the variance of a cell is the sum of two variances of means (divisor the group's size)."""
    rows = simulated()
    found = group_time_effects(rows, *NAMES)
    wide = rows.pivot(index="unit", columns="time", values="y")
    start = rows.groupby("unit")["cohort"].first()
    gain = wide[6] - wide[2]
    wanted = sum(gain[start == one].var(ddof=0) / (start == one).sum() for one in (3, 0))
    cell = (found.cells["cohort"] == 3) & (found.cells["time"] == 6)
    assert found.cells["error"][cell].item() ** 2 == pytest.approx(wanted)
    np.testing.assert_allclose(found.influence.mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("control", ["never", "not_yet"])
@pytest.mark.parametrize("covariates", [None, ["x", "z"]])
def test_laws(control, covariates):
    rows = simulated()
    words = {"control": control, "covariates": covariates, "cluster": "cluster"}
    before = rows.copy(deep=True)
    found = group_time_effects(rows, *NAMES, **words)
    pd.testing.assert_frame_equal(rows, before)
    relabelled = rows.assign(unit=[f"u{(7 * one) % 241:03d}" for one in rows["unit"]], cluster=rows["cluster"].map(str))
    shifted = rows.assign(time=rows["time"] + 2000, cohort=np.where(rows["cohort"] > 0, rows["cohort"] + 2000, np.nan))
    for other in (rows.sample(frac=1, random_state=2), relabelled, shifted, rows.assign(y=rows["y"] + 1e3)):
        again = group_time_effects(other, *NAMES, **words)
        np.testing.assert_allclose(again.estimates, found.estimates, atol=1e-10)
        np.testing.assert_allclose(again.covariance, found.covariance, atol=1e-10)
        one, two = again.aggregate("dynamic"), found.aggregate("dynamic")
        np.testing.assert_allclose(one.covariance, two.covariance, atol=1e-10)
    scaled = group_time_effects(rows.assign(y=-3 * rows["y"], x=5 - 40 * rows["x"]), *NAMES, **words)
    np.testing.assert_allclose(scaled.estimates, -3 * found.estimates, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(scaled.covariance, 9 * found.covariance, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("covariates", [None, ["x", "z"]])
def test_a_weight_is_a_number_of_copies(covariates):
    rows = simulated()
    copies = rows.loc[rows.index.repeat(rows["w"])].assign(
        unit=lambda frame: frame["unit"] * 10 + frame.groupby(["unit", "time"]).cumcount()
    )
    weighted = group_time_effects(rows, *NAMES, covariates=covariates, weight="w", cluster="cluster")
    copied = group_time_effects(copies, *NAMES, covariates=covariates, cluster="cluster")
    np.testing.assert_allclose(weighted.estimates, copied.estimates, atol=1e-10)
    for kind in KINDS:
        one, two = weighted.aggregate(kind), copied.aggregate(kind)
        np.testing.assert_allclose(one.estimates, two.estimates, atol=1e-10)
        np.testing.assert_allclose(one.covariance, two.covariance, atol=1e-10)


def test_errors_of_averages_hold_over_draws():
    """Standard deviation over redrawn samples, cohort sizes redrawn too, against the mean of the errors."""
    rng = np.random.default_rng(3)
    found = {kind: [] for kind in KINDS}
    for _ in range(250):
        cohorts = rng.choice([0, 3, 4, 6], 300, p=[0.4, 0.3, 0.2, 0.1])
        effect = np.where((cohorts > 0)[:, None] & (np.arange(1, 7) >= cohorts[:, None]), cohorts[:, None] - 3.0, 0)
        result = group_time_from_wide(effect + 0.5 * rng.normal(size=(300, 6)), cohorts)
        for kind in KINDS:
            one = result.aggregate(kind)
            found[kind].append((one.estimate, one.error))
    for kind in KINDS:
        estimates, given = np.array(found[kind]).T
        assert given.mean() == pytest.approx(estimates.std(), rel=0.14)


def test_arrays_and_frame_agree_and_reassignments_loop():
    rows = simulated()
    long = group_time_effects(rows, *NAMES, cluster="cluster")
    wide = rows.pivot(index="unit", columns="time", values="y").to_numpy()
    start = rows.groupby("unit")["cohort"].first().to_numpy()
    label = rows.groupby("unit")["cluster"].first().to_numpy()
    kept = wide.copy(), start.copy()
    found = group_time_from_wide(wide, start, clusters=label)
    np.testing.assert_array_equal(found.estimates, long.estimates)
    np.testing.assert_array_equal(found.covariance, long.covariance)
    rng = np.random.default_rng(0)
    by_cluster = start[:40]
    draws = [
        group_time_from_wide(wide, rng.permutation(by_cluster)[label], clusters=label).aggregate("simple").estimate
        for _ in range(99)
    ]
    assert np.mean(np.abs(draws) >= found.aggregate("simple").estimate) < 0.02
    with pytest.raises(DesignError, match="missing labels"):
        group_time_from_wide(wide, start, clusters=np.where(label == 3, np.nan, label))
    np.testing.assert_array_equal(wide, kept[0])
    np.testing.assert_array_equal(start, kept[1])


def test_cohorts_after_the_data_and_three_spellings_of_never():
    rows = simulated()
    found = group_time_effects(rows, *NAMES).estimates
    for never in (np.nan, 99):
        other = rows.assign(cohort=rows["cohort"].astype(float).replace(0, never))
        np.testing.assert_array_equal(group_time_effects(other, *NAMES).estimates, found)
    with pytest.raises(DesignError, match="not whole"):
        group_time_effects(rows.assign(cohort=rows["cohort"].replace(0, np.inf)), *NAMES)


def test_types_of_columns_do_not_matter():
    rows = simulated()
    found = group_time_effects(rows, *NAMES).estimates
    for other in (
        rows.assign(cohort=rows["cohort"].astype("Int64").replace(0, pd.NA)),
        rows.assign(unit=rows["unit"].astype("category"), time=rows["time"].astype(float)),
        rows.assign(unit=rows["unit"].astype("uint64") + np.uint64(2**63 + 5), cohort=rows["cohort"].astype("int8")),
    ):
        np.testing.assert_array_equal(group_time_effects(other, *NAMES).estimates, found)


def test_propensities_are_those_of_statsmodels_where_a_covariate_has_far_values():
    """With estimates that an independent computation of the doubly robust formula gives."""
    import statsmodels.api as sm

    rows = simulated()
    far = np.random.default_rng(0).standard_cauchy(240)
    rows = rows.assign(v=far[rows["unit"]])
    found = group_time_effects(rows, *NAMES, covariates=["v"]).cells.set_index(["cohort", "time"])["estimate"]
    wide = rows.pivot(index="unit", columns="time", values="y")
    start = rows.groupby("unit")["cohort"].first().to_numpy()
    kept = (start == 4) | (start == 0)
    treated, design = (start == 4)[kept], sm.add_constant(far[kept])
    gain = (wide[6] - wide[3]).to_numpy()[kept]
    odds = np.exp(design @ sm.Logit(treated.astype(float), design).fit(disp=0, tol=1e-12).params)[~treated]
    gap = gain - design @ sm.OLS(gain[~treated], design[~treated]).fit().params
    assert found[(4, 6)] == pytest.approx(gap[treated].mean() - np.average(gap[~treated], weights=odds), abs=1e-9)


def test_few_treated_clusters_have_no_error():
    rows = simulated()
    rows["cohort"] = np.select([rows["cluster"] < 2, rows["cluster"] < 7, rows["cluster"] < 12], [3, 4, 6], 0)
    found = group_time_effects(rows, *NAMES, cluster="cluster")
    assert found.n_treated_clusters == 12
    assert not found.errors_valid.any()
    assert found.cells["error"].tolist() == [None] * 15
    assert set(found.cells["treated_clusters"]) == {2, 5}
    assert found.cells["reason"].str.contains("fewer than six treated clusters: use permutation_test").all()
    assert np.isfinite(found.covariance).all()
    assert found.aggregate("simple").error > 0
    dynamic = found.aggregate("dynamic")
    by_event = dynamic.elements.set_index("element")
    # Time 0 is borne by the three cohorts; 3 by the first alone, which leaves the overall mean without an error.
    assert by_event.loc[0, "error"] > 0
    assert by_event.loc[3, "error"] is None
    assert dynamic.error is None
    assert "an element has fewer than six" in dynamic.reason
    assert dynamic.to_frame()["element"].iloc[0] == "overall"
    with pytest.raises(DesignError, match="fewer than six"):
        multiplier_bands(found)


def test_bands_of_independent_cells_reach_the_quantile_of_the_greatest_of_them():
    """Cells of distinct cohorts at their only time: with many controls they are all but independent."""
    rng = np.random.default_rng(5)
    cohorts = np.repeat([0, 2], [2000, 200])
    found = group_time_from_wide(rng.normal(size=(2200, 2)), cohorts, clusters=np.arange(2200) % 1100)
    band = multiplier_bands(found, draws=3999, seed=1)
    assert band.critical == pytest.approx(norm.ppf(0.975), abs=0.08)
    cohorts = np.repeat([0, 2, 3, 4], [2000, 100, 100, 100])
    cells = aggregate_effects(group_time_from_wide(rng.normal(size=(2300, 4)), cohorts), "group")
    band = multiplier_bands(cells, draws=3999, seed=1)
    # Three nearly independent means: P(max < c) = P(|z| < c)^3.
    assert band.critical == pytest.approx(norm.ppf((1 + 0.95 ** (1 / 3)) / 2), abs=0.09)
    assert multiplier_bands(cells, seed=4).critical == multiplier_bands(cells, seed=4).critical
    width = (band.frame["high"] - band.frame["low"]) / 2
    np.testing.assert_allclose(width, band.critical * cells.elements["error"])


def test_bands_are_refused_where_they_mean_nothing():
    found = group_time_effects(simulated(), *NAMES)
    for words in ({"draws": 3}, {"draws": 99.5}, {"seed": -1}, {"level": 1}):
        with pytest.raises(DesignError):
            multiplier_bands(found, **words)
    with pytest.raises(DesignError, match="no elements"):
        multiplier_bands(found.aggregate("simple"))
    with pytest.raises(DesignError, match="no variation"):
        multiplier_bands(group_time_effects(simulated().assign(y=1.0), *NAMES))
    with pytest.raises(DesignError, match="simple, dynamic"):
        found.aggregate("dynamique")


def drop_first(rows):
    return rows.drop(index=rows.index[7])


REFUSED = {
    "unknown columns": (lambda rows: rows.drop(columns=["y", "time"]), {}, "no column 'y', 'time'"),
    "no row": (lambda rows: rows.iloc[:0], {}, "no row"),
    "unbalanced": (drop_first, {}, "not observed at each"),
    "missing outcome": (lambda rows: rows.assign(y=rows["y"].where(rows.index != 9)), {}, "'y' is missing or infinite"),
    "infinite outcome": (lambda rows: rows.assign(y=rows["y"].where(rows.index != 9, np.inf)), {}, "infinite in 1"),
    "text outcome": (lambda rows: rows.assign(y="a"), {}, "holds"),
    "missing unit": (lambda rows: rows.assign(unit=rows["unit"].where(rows.index != 9)), {}, "labels are missing"),
    "twice": (lambda rows: pd.concat([rows, rows.iloc[:2]]), {}, "more than one row"),
    "cohort varies": (lambda rows: rows.assign(cohort=rows["cohort"].where(rows.index != 3, 4)), {}, "'cohort' varies"),
    "cluster varies": (lambda rows: rows.assign(c=rows.index % 9), {"cluster": "c"}, "'c' varies within 240 units"),
    "cohort at start": (lambda rows: rows.replace({"cohort": {3: 1}}), {}, "cohorts 1 have no time before"),
    "cohort before": (lambda rows: rows.replace({"cohort": {3: -4}}), {}, "cohorts -4 have no time before"),
    "nobody treated": (lambda rows: rows.assign(cohort=np.nan), {}, "no unit is treated"),
    "no never": (lambda rows: rows[rows["cohort"] > 0], {}, "no unit is never treated"),
    "no control left": (lambda rows: rows[rows["cohort"] > 0], {"control": "not_yet"}, "no control is left from 6 on"),
    "control": (lambda rows: rows, {"control": "notyet"}, "control is 'notyet'"),
    "fractional time": (lambda rows: rows.assign(time=rows["time"] / 2), {}, "not whole"),
    "text time": (lambda rows: rows.assign(time=rows["time"].map(str)), {}, "whole numbers"),
    "negative weight": (lambda rows: rows.assign(w=rows["w"] - 2), {"weight": "w"}, "negative or zero"),
    "weight varies": (lambda rows: rows.assign(w=rows["time"]), {"weight": "w"}, "'w' varies"),
    "two roles": (lambda rows: rows, {"covariates": ["x", "y"]}, "'y' is given two roles"),
    "same covariate": (lambda rows: rows, {"covariates": ["x", "x"]}, "'x' is given two roles"),
    "text cohort": (lambda rows: rows.assign(cohort=rows["cohort"].map(str)), {}, "whole numbers"),
    "mixed units": (lambda rows: rows.assign(unit=[one if one % 2 else str(one) for one in rows["unit"]]), {}, "mixes"),
    "separated": (
        lambda rows: rows.assign(v=(rows["cohort"] > 0) + rows["z"] * 1e-3),
        {"covariates": ["v"]},
        "overlap",
    ),
    "covariates text": (lambda rows: rows, {"covariates": "x"}, "covariates is the text"),
    "collinear": (
        lambda rows: rows.assign(v=2 * rows["x"] - rows["z"]),
        {"covariates": ["x", "z", "v"]},
        "collinear: v",
    ),
    "constant": (lambda rows: rows.assign(v=3.0), {"covariates": ["v"]}, "collinear: v"),
    "overlap": (
        lambda rows: rows.assign(v=(rows["cohort"] == 4) * 9.0 + np.sin(rows["unit"])),
        {"covariates": ["v"]},
        "no overlap",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    change, words, message = REFUSED[name]
    with pytest.raises(DesignError, match=message):
        group_time_effects(change(simulated()), *NAMES, **words)


def test_refusals_name_the_units():
    with pytest.raises(DesignError) as refused:
        group_time_effects(drop_first(simulated()), *NAMES)
    assert "unit 1" in str(refused.value)
    with pytest.raises(DesignError) as refused:
        group_time_effects(pd.concat([simulated(), simulated().iloc[[20]]]), *NAMES)
    assert "unit 3 at 3" in str(refused.value)


def test_arrays_are_refused():
    wide = np.random.default_rng(0).normal(size=(9, 4))
    some = [2] * 4 + [0] * 5
    for outcomes, cohorts, words in (
        (wide[0], [0] * 9, {}),
        (wide, [2] * 8, {}),
        (np.where(wide > 1, np.nan, wide), some, {}),
        (wide, [2.5] * 4 + [0] * 5, {}),
        (wide, some, {"weights": [-1.0] * 9}),
        (wide, some, {"times": [1, 2, 2, 3]}),
        (wide, some, {"times": [1, 2, 3]}),
        (wide, some, {"covariates": np.full((9, 4, 1), np.nan)}),
        (wide, some, {"covariates": np.ones((9, 4))}),
    ):
        with pytest.raises(DesignError):
            group_time_from_wide(outcomes, cohorts, **words)


def test_covariates_of_arrays_need_no_names():
    rows = simulated()
    layers = rows[["x", "z"]].to_numpy().reshape(240, 6, 2)
    wide = rows["y"].to_numpy().reshape(240, 6)
    found = group_time_from_wide(wide, rows["cohort"].to_numpy()[::6], covariates=layers)
    np.testing.assert_array_equal(found.estimates, group_time_effects(rows, *NAMES, covariates=["x", "z"]).estimates)
