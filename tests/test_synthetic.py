"""Synthetic control and synthetic difference-in-differences: published values, optimality, placebos, refusals."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize

from tne_eval.errors import DesignError
from tne_eval.impact.simplex import ridge_weights, simplex_weights
from tne_eval.impact.synthetic import synthetic_control, synthetic_did

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="module")
def smoking(opendata):
    frame = pd.read_csv(opendata.parent / "reference-data" / "california_prop99.csv", sep=";")
    return frame.pivot(index="State", columns="Year", values="PacksPerCapita")


@pytest.fixture(scope="module")
def peers():
    frame = pd.read_csv(REFERENCE / "synthetic_prop99.csv")
    return {name: rows.set_index("label")["value"] for name, rows in frame.groupby("quantity")}


@pytest.fixture(scope="module")
def smoking_did(smoking):
    return synthetic_did(smoking, ["California"], 1989, placebos=True)


@pytest.fixture(scope="module")
def basque(opendata):
    frame = pd.read_csv(opendata.parent / "reference-data" / "basque.csv").astype({"year": int, "regionno": int})
    return frame[frame["regionno"] != 1]


@pytest.fixture(scope="module")
def small():
    """12 units × 9 times: random walks around levels of their own."""
    rng = np.random.default_rng(3)
    values = rng.normal(size=(12, 9)).cumsum(1) + 2 * rng.normal(size=(12, 1))
    return pd.DataFrame(values, index=[f"d{i:02}" for i in range(12)], columns=range(2011, 2020))


def violation(columns, target, weights, ridge):
    """Greatest breach of the Karush-Kuhn-Tucker conditions, relative to the gradient's size."""
    gradient = columns.T @ (columns @ weights - target) + ridge * weights
    price = gradient @ weights
    return max(0.0, float((price - gradient).max()), float(np.abs(weights * (gradient - price)).max())) / max(
        1.0, np.abs(gradient).max()
    )


def slsqp(columns, target, ridge):
    n = columns.shape[1]
    done = minimize(
        lambda w: ((columns @ w - target) ** 2).sum() + ridge * (w**2).sum(),
        np.full(n, 1 / n),
        jac=lambda w: 2 * columns.T @ (columns @ w - target) + 2 * ridge * w,
        bounds=[(0, 1)] * n,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(n)},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 1000},
    )
    return done.x, done.fun


# Programmes


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ridge", [0.0, 1e-3, 5.0])
def test_weights_satisfy_the_optimality_conditions(seed, ridge):
    rng = np.random.default_rng(seed)
    columns, target = rng.normal(size=(4 + 3 * seed, 30)), rng.normal(size=4 + 3 * seed)
    weights = simplex_weights(columns, target, ridge)
    assert (weights >= 0).all() and abs(weights.sum() - 1) < 1e-12
    # Where several weights fit exactly, the least norm is reached by a ridge of 1e-8 of the mean square.
    assert violation(columns, target, weights, ridge) < (1e-6 if ridge == 0 else 1e-11)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_weights_are_those_of_a_general_optimiser(ridge):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        columns, target = rng.normal(size=(6, 4)), rng.normal(size=6)
        expected, least = slsqp(columns, target, ridge)
        weights = simplex_weights(columns, target, ridge)
        np.testing.assert_allclose(weights, expected, atol=1e-6)
        assert ((columns @ weights - target) ** 2).sum() + ridge * (weights**2).sum() <= least + 1e-12


@pytest.mark.parametrize("ridge", [1e-6, 1e-2, 1.0, 1e3])
def test_many_targets_at_once_are_the_same_as_one_by_one(ridge):
    rng = np.random.default_rng(1)
    columns, targets = rng.normal(size=(7, 40)), 2 * rng.normal(size=(60, 7))
    allowed = rng.random((60, 40)) > 0.3
    found = ridge_weights(columns, targets, allowed, np.full(60, ridge))
    assert (found[~allowed] == 0).all()
    for s in range(60):
        expected = simplex_weights(columns[:, allowed[s]], targets[s], ridge)
        np.testing.assert_allclose(found[s, allowed[s]], expected, atol=1e-9)
        assert violation(columns[:, allowed[s]], targets[s], found[s, allowed[s]], ridge) < 1e-9


def test_a_large_common_level_and_equal_donors_change_nothing():
    rng = np.random.default_rng(2)
    columns, targets = rng.normal(size=(6, 20)), rng.normal(size=(5, 6))
    columns[:, 11:] = columns[:, 2:11]
    allowed, ridge = np.ones((5, 20), dtype=bool), np.full(5, 1e-6)
    first = ridge_weights(columns, targets, allowed, ridge)
    high = ridge_weights(columns + 1e5, targets + 1e5, allowed, ridge)
    np.testing.assert_allclose(first[:, 11:], first[:, 2:11], atol=1e-9)
    np.testing.assert_allclose(high, first, atol=1e-4)
    np.testing.assert_allclose(
        simplex_weights(columns + 1e5, targets[0] + 1e5), simplex_weights(columns, targets[0]), atol=1e-4
    )


def test_two_donors_have_the_closed_form():
    a, b, target = np.array([0.0, 1.0, 4.0]), np.array([2.0, 2.0, 1.0]), np.array([1.0, 1.5, 2.0])
    share = (target - b) @ (a - b) / ((a - b) @ (a - b))
    np.testing.assert_allclose(simplex_weights(np.column_stack([a, b]), target), [share, 1 - share], atol=1e-12)


def test_ties_go_to_the_weights_of_least_norm():
    rng = np.random.default_rng(0)
    three = rng.normal(size=(5, 3))
    twice = np.column_stack([three, three])
    target = three @ [0.5, 0.3, 0.2] + 0.1 * rng.normal(size=5)
    once, both = simplex_weights(three, target), simplex_weights(twice, target)
    np.testing.assert_allclose(both, np.r_[once, once] / 2, atol=1e-6)
    inside = np.array([[1.0, -1.0, 0.0, 0.0], [0.0, 0.0, 1.0, -1.0]])
    np.testing.assert_allclose(simplex_weights(inside, np.zeros(2)), np.full(4, 0.25), atol=1e-7)
    np.testing.assert_array_equal(simplex_weights(np.ones((3, 4)), np.ones(3)), np.full(4, 0.25))


# Published values


def test_proposition_99_synthetic_did(smoking, smoking_did, peers):
    assert abs(smoking_did.estimate - -15.604) < 0.01
    assert abs(smoking_did.estimate - -15.6054) < 1e-3
    assert abs(smoking_did.did - -27.349) < 1e-3
    assert abs(smoking_did.did - peers["did"].iloc[0]) < 1e-10
    # The peer's iterations, run on, come nearer to the exact minimum.
    near, far = peers["sdid_run_on"].iloc[0], peers["sdid"].iloc[0]
    assert abs(near - smoking_did.estimate) < min(2e-4, abs(far - smoking_did.estimate))
    before = smoking.drop(index="California").to_numpy()[:, :19]
    rows = (before - before.mean(1, keepdims=True)).T
    target = smoking.loc["California"].to_numpy()[:19]

    def objective(weights):
        gaps = rows @ weights - target + target.mean()
        return gaps @ gaps + smoking_did.zeta**2 * 19 * weights @ weights

    omega = peers["sdid_omega_run_on"].reindex(smoking_did.unit_weights.index)
    assert objective(smoking_did.unit_weights.to_numpy()) < objective(omega.to_numpy())
    # Its unit weights stay 2.5e-4 away at one state, which the programme excludes.
    np.testing.assert_allclose(smoking_did.unit_weights, omega, atol=3e-4)
    np.testing.assert_allclose(smoking_did.time_weights, peers["sdid_lambda_run_on"], atol=1e-3)


def test_proposition_99_placebos(smoking_did, peers):
    assert smoking_did.n_placebos == 38 and smoking_did.exact
    assert abs(smoking_did.placebo_sd - 9.369) < 1e-3
    assert smoking_did.p_value == 2 / 39 and smoking_did.smallest_p == 1 / 39
    ours = pd.Series({one: value for (one,), value in smoking_did.placebos.items()})
    # Iterations that stop early: up to 0.055 packs, at one state, 0.6 % of the standard deviation.
    assert (ours - peers["placebo"]).abs().max() < 0.06 and (ours - peers["placebo"]).abs().median() < 5e-3
    assert abs(smoking_did.placebo_sd - peers["placebo"].std(ddof=0)) < 2e-3


def test_proposition_99_synthetic_control_is_the_exact_minimum(smoking, peers):
    """The published −19.620 comes from iterations that stop before the minimum; run on, they come nearer to ours."""
    found = synthetic_control(smoking, ["California"], 1989)
    donors, own = smoking.drop(index="California").to_numpy(), smoking.loc["California"].to_numpy()

    def loss_and_estimate(weights):
        gaps = own - weights @ donors
        return (gaps[:19] ** 2).mean(), gaps[19:].mean()

    published = loss_and_estimate(peers["sc_omega"].to_numpy())
    run_on = loss_and_estimate(peers["sc_omega_run_on"].to_numpy())
    assert abs(published[1] - -19.620) < 1e-3
    assert found.loss < run_on[0] < published[0]
    assert abs(found.estimate - run_on[1]) < abs(found.estimate - published[1]) < 0.11
    weights, least = slsqp(donors[:, :19].T, own[:19], 0.0)
    assert found.loss * 19 <= least + 1e-10
    assert abs(found.estimate - loss_and_estimate(weights)[1]) < 1e-3


def basque_predictors(frame):
    table = pd.read_csv(REFERENCE / "synthetic_basque.csv").set_index("predictor")
    columns = {}
    for name, row in table.iterrows():
        years = range(int(row["first"]), int(row["last"]) + 1, int(row["step"]))
        columns[name] = frame[frame["year"].isin(years)].groupby("regionname")[name].mean()
    return pd.DataFrame(columns), table["v"]


def test_basque_country_with_the_predictors_and_weights_of_synth(basque):
    predictors, v = basque_predictors(basque)
    wide = basque.pivot(index="regionname", columns="year", values="gdpcap").loc[:, 1960:]
    region = next(name for name in wide.index if name.startswith("Basque"))
    found = synthetic_control(wide, [region], 1970, predictors, v)
    large = found.weights[found.weights > 1e-4]
    assert [name[:6] for name in large.index] == ["Catalu", "Madrid"]
    np.testing.assert_allclose(large, [0.8508, 0.1492], atol=1e-4)
    assert abs(found.gaps.loc[1975:].mean() - -0.69956) < 2e-5
    assert abs(found.loss - 0.0088646) < 1e-6
    np.testing.assert_allclose(synthetic_control(wide, [region], 1970, predictors, 7 * v).weights, found.weights)
    with pytest.raises(DesignError, match="16 placebo set"):
        synthetic_control(wide, [region], 1970, predictors, v, placebos=True)
    placebos = synthetic_control(wide, [region], 1970, predictors, v, placebos=True, alpha=0.1)
    assert placebos.n_placebos == 16 and placebos.smallest_p == 1 / 17


# Against refits by hand


def test_synthetic_did_is_algorithm_1(small):
    """Weights by a general optimiser, estimate by the weighted double difference."""
    treated = ["d01", "d07"]
    found = synthetic_did(small, treated, 2016)
    donors, own = small.drop(index=treated).to_numpy(), small.loc[treated].to_numpy().mean(0)
    before, after = donors[:, :5], donors[:, 5:].mean(1)
    noise = np.diff(before, axis=1).std(ddof=1)
    zeta = (2 * 4) ** 0.25 * noise
    assert found.noise == pytest.approx(noise) and found.zeta == pytest.approx(zeta)
    centred = (before - before.mean(1, keepdims=True)).T
    omega, _ = slsqp(centred, own[:5] - own[:5].mean(), zeta**2 * 5)
    rows = before - before.mean(0)
    time, _ = slsqp(rows, after - after.mean(), (1e-6 * noise) ** 2 * 10)
    expected = own[5:].mean() - time @ own[:5] - omega @ (after - before @ time)
    np.testing.assert_allclose(found.unit_weights, omega, atol=1e-6)
    np.testing.assert_allclose(found.time_weights, time, atol=1e-5)
    assert found.estimate == pytest.approx(expected, abs=1e-5)
    assert found.gaps.loc[2016:].mean() == pytest.approx(found.estimate)
    assert found.gaps.loc[:2015] @ found.time_weights == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("estimator", [synthetic_control, synthetic_did])
def test_placebos_are_refits_of_every_pair(small, estimator):
    treated = ["d03", "d10"]
    found = estimator(small, treated, 2016, placebos=True)
    others = small.drop(index=treated)
    effects = {pair: estimator(others, pair, 2016).estimate for pair in itertools.combinations(others.index, 2)}
    ours = found.placebos if estimator is synthetic_did else found.placebos["estimate"]
    assert len(ours) == 45 and found.exact
    np.testing.assert_allclose(ours.to_numpy(), [effects[pair] for pair in ours.index], atol=1e-7)
    size = np.abs(list(effects.values()))
    assert found.p_value == pytest.approx((1 + (size >= abs(found.estimate)).sum()) / 46)
    assert found.smallest_p == 1 / 46


def test_ratio_and_one_sided_p_of_synthetic_control(small):
    raised = small.copy()
    raised.loc["d05", 2016:] += 30
    found = synthetic_control(raised, ["d05"], 2016, placebos=True, alpha=0.1)
    gaps = found.gaps
    assert found.pre_rmse == pytest.approx(np.sqrt((gaps.loc[:2015] ** 2).mean()))
    assert found.ratio == pytest.approx(np.sqrt((gaps.loc[2016:] ** 2).mean()) / found.pre_rmse)
    assert found.loss == pytest.approx(found.pre_rmse**2)
    assert found.p_value == found.p_one_sided == 1 / 12
    assert found.rank == 1 + (found.placebos["ratio"] >= found.ratio).sum()
    assert found.p_ratio == found.rank / 12
    lowered = raised.copy()
    lowered.loc["d05", 2016:] -= 60
    assert synthetic_control(lowered, ["d05"], 2016, placebos=True, alpha=0.1).p_one_sided == 1 / 12


def test_too_many_sets_are_drawn_without_repetition(small):
    treated = ["d00", "d01", "d02", "d03"]
    found = synthetic_did(small, treated, 2016, placebos=True, max_placebos=40, seed=5)
    again = synthetic_did(small, treated, 2016, placebos=True, max_placebos=40, seed=5)
    everything = synthetic_did(small, treated, 2016, placebos=True).placebos
    assert not found.exact and found.n_placebos == 40 and found.placebos.index.is_unique
    pd.testing.assert_series_equal(found.placebos, again.placebos)
    pd.testing.assert_series_equal(found.placebos.sort_index(), everything.loc[list(found.placebos.sort_index().index)])


def test_donors_by_unit_keep_to_their_academie(small):
    own = {f"d{i:02}": [f"d{j:02}" for j in range(12) if j // 6 == i // 6 and j not in (i, 0, 6)] for i in range(12)}
    treated = ["d00", "d06"]
    found = synthetic_control(small, treated, 2016, donors=own)
    alone = [synthetic_control(small, [unit], 2016, donors=own[unit]) for unit in treated]
    assert found.estimate == pytest.approx(np.mean([one.estimate for one in alone]))
    np.testing.assert_allclose(found.gaps, np.mean([one.gaps for one in alone], axis=0), atol=1e-12)
    assert found.weights.filter(regex="d0[0-5]").sum() == pytest.approx(0.5)
    placebos = synthetic_control(small, treated, 2016, donors=own, placebos=True)
    assert placebos.n_placebos == 45
    pair = ("d01", "d02")
    fits = [synthetic_control(small, [unit], 2016, donors=["d03", "d04", "d05"]).estimate for unit in pair]
    assert placebos.placebos.loc[[pair], "estimate"].item() == pytest.approx(np.mean(fits))


def test_a_list_of_donors_is_the_frame_without_the_others(small):
    pool = ["d02", "d04", "d05", "d08", "d09"]
    for estimator in (synthetic_control, synthetic_did):
        listed = estimator(small, ["d11"], 2016, donors=pool, placebos=True, alpha=0.2)
        cut = estimator(small.loc[[*pool, "d11"]], ["d11"], 2016, placebos=True, alpha=0.2)
        assert listed.estimate == pytest.approx(cut.estimate) and listed.p_value == cut.p_value


# Laws


@pytest.mark.parametrize("estimator", [synthetic_control, synthetic_did])
def test_laws(small, estimator):
    treated = ["d03", "d10"]
    first = estimator(small, treated, 2016, placebos=True)
    kept = small.copy()
    moved = estimator(small.sample(frac=1, random_state=0), treated[::-1], 2016, placebos=True)
    assert moved.estimate == pytest.approx(first.estimate, abs=1e-8) and moved.p_value == first.p_value
    named = estimator(small.rename(index=lambda x: "u" + x), ["ud03", "ud10"], 2016, placebos=True)
    assert named.estimate == pytest.approx(first.estimate) and named.p_value == first.p_value
    for scale in (-3.0, 1e-9, 1e9):
        scaled = estimator(scale * small, treated, 2016, placebos=True)
        assert scaled.estimate == pytest.approx(scale * first.estimate, rel=1e-7) and scaled.p_value == first.p_value
    shifted = estimator(small + np.linspace(5, 9, 9), treated, 2016)
    assert shifted.estimate == pytest.approx(first.estimate, abs=1e-6)
    raised = small.copy()
    raised.loc[treated, 2016:] += 2.5
    assert estimator(raised, treated, 2016).estimate == pytest.approx(first.estimate + 2.5)
    pd.testing.assert_frame_equal(small, kept)
    frame = first.to_frame()
    assert list(frame["time"]) == list(small.columns) and frame["gap"].notna().all()


def test_levels_of_units_do_not_matter_to_synthetic_did(small):
    levels = small.add(np.arange(12) * 10.0, axis=0)
    first, second = (synthetic_did(frame, ["d03", "d10"], 2016) for frame in (small, levels))
    assert second.estimate == pytest.approx(first.estimate)
    np.testing.assert_allclose(second.unit_weights, first.unit_weights, atol=1e-9)


def test_size_is_exact_where_the_treated_are_drawn():
    """Every unit of one panel taken for the treated: p uniform on multiples of 1/n but for the pools, one unit less."""
    rng = np.random.default_rng(0)
    rejected = 0
    for _ in range(200):
        frame = pd.DataFrame(rng.normal(size=(20, 8)), columns=range(8))
        rejected += synthetic_did(frame, [0], 5, placebos=True, alpha=0.1).p_value <= 0.1
    assert abs(rejected / 200 - 0.1) < 0.065


# Refusals


BAD = [
    (
        lambda f: (f.mask(f == f.iloc[1, 2]), ["d00"], 2016, None),
        r"missing or infinite cells[\s\S]*d01, 2013",
    ),
    (lambda f: (f, ["d00", "x", "y"], 2016, None), "unknown units[\\s\\S]*x, y"),
    (lambda f: (f, ["d00"], 2016, ["d01", "d02", "z"]), "unknown units[\\s\\S]*z"),
    (lambda f: (f, ["d00"], 2016, ["d00", "d01", "d02"]), "treated units in a pool"),
    (lambda f: (f, ["d00"], 2011, None), "no period before 2011"),
    (lambda f: (f, ["d00"], 2030, None), "first_treated is 2030"),
    (lambda f: (f, ["d00"], "2016", None), "first_treated is '2016'"),
    (lambda f: (f, ["d00"], 2016, ["d01"]), "fewer than two donors"),
    (lambda f: (f, [], 2016, None), "treated is"),
    (lambda f: (f, "d00", 2016, None), "treated is 'd00'"),
    (lambda f: (f, ["d00"], 2016, "d01"), "donors is 'd01'"),
    (lambda f: (f, ["d00", "d00"], 2016, None), "treated is"),
    (lambda f: (f.to_numpy(), ["d00"], 2016, None), "outcomes is a ndarray"),
    (lambda f: (f[f.columns[::-1]], ["d00"], 2016, None), "sorted, distinct integers"),
    (lambda f: (f.rename(columns=str), ["d00"], 2016, None), "sorted, distinct integers"),
    (lambda f: (pd.concat([f, f.iloc[:1]]), ["d00"], 2016, None), "several rows[\\s\\S]*d00"),
    (lambda f: (f.astype({2013: str}), ["d00"], 2016, None), "not numeric[\\s\\S]*2013"),
    (lambda f: (f * 1e120, ["d00"], 2016, None), "outcomes reach"),
]


@pytest.mark.parametrize("estimator", [synthetic_control, synthetic_did])
@pytest.mark.parametrize(("make", "message"), BAD)
def test_bad_input_is_refused(small, estimator, make, message):
    outcomes, treated, first, donors = make(small)
    with pytest.raises(DesignError) as caught:
        estimator(outcomes, treated, first, donors=donors)
    assert pd.Series(str(caught.value)).str.contains(message).item(), str(caught.value)


def test_all_missing_cells_are_listed(small):
    holed = small.copy()
    holed.iloc[2, 3] = holed.iloc[7, 0] = np.nan
    with pytest.raises(DesignError) as caught:
        synthetic_control(holed, ["d00"], 2016)
    assert "(d02, 2014), (d07, 2011)" in str(caught.value)


@pytest.mark.parametrize("estimator", [synthetic_control, synthetic_did])
def test_a_pool_too_small_for_the_level_is_refused(small, estimator):
    with pytest.raises(DesignError, match="11 placebo set") as caught:
        estimator(small, ["d00"], 2016, placebos=True)
    assert "0.0833" in str(caught.value)
    with pytest.raises(DesignError, match="fewer than two donors"):
        estimator(small, ["d00", "d01"], 2016, donors=["d03", "d04", "d05"], placebos=True, alpha=0.5)
    with pytest.raises(DesignError, match="alpha is 2"):
        estimator(small, ["d00"], 2016, placebos=True, alpha=2)


def test_synthetic_did_needs_noise(small):
    still = pd.DataFrame(np.tile(np.arange(5.0)[:, None], 6), index=list("abcde"), columns=range(6))
    with pytest.raises(DesignError, match="do not vary before"):
        synthetic_did(still, ["a"], 3)
    assert synthetic_control(still, ["c"], 3).estimate == pytest.approx(0, abs=1e-6)
    with pytest.raises(DesignError, match="one pre-period"):
        synthetic_did(small, ["d00"], 2012)
    with pytest.raises(DesignError, match="donors is a mapping"):
        synthetic_did(small, ["d00"], 2016, donors={"d00": ["d01", "d02"]})


def test_mappings_of_donors_are_checked(small):
    pool = ["d01", "d02", "d03"]
    with pytest.raises(DesignError, match="without donors in the mapping"):
        synthetic_control(small, ["d00", "d05"], 2016, donors={"d00": pool})
    with pytest.raises(DesignError, match="own pool"):
        synthetic_control(small, ["d00"], 2016, donors={"d00": pool, "d01": pool})


def test_predictors_are_checked(small):
    rng = np.random.default_rng(0)
    predictors = pd.DataFrame(rng.normal(size=(12, 2)), index=small.index, columns=["a", "b"])
    v = pd.Series({"a": 1.0, "b": 2.0})
    cases = [
        (predictors, None, "go together"),
        (predictors, dict(v), "a Series"),
        (None, v, "go together"),
        (predictors.iloc[:-2], v, "units without predictors"),
        (predictors, v.rename({"a": "c"}), "differ"),
        (predictors, -v, "at least 0"),
        (predictors, 0 * v, "at least 0"),
        (predictors.assign(a=1.0), v, "constant predictors"),
        (predictors.mask(predictors == predictors.iloc[0, 0]), v, "missing or infinite cells in predictors"),
        (pd.concat([predictors, predictors.iloc[:1]]), v, "twice"),
    ]
    for given, weights, message in cases:
        with pytest.raises(DesignError, match=message):
            synthetic_control(small, ["d00"], 2016, given, weights)
