"""Composites: published and hand-made examples, laws, refusals, and the digital divide on the shipped figures."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import linprog
from statsmodels.multivariate.pca import PCA

from tne_eval.catalog import get_composite
from tne_eval.errors import DesignError, MissingDataError, UnknownNameError
from tne_eval.indicators import indicator_table
from tne_eval.indicators.composite import Choices, Component, composite_index, weight_uncertainty
from tne_eval.indicators.composite_panel import composite_table, compute_composite
from tne_eval.indicators.composite_steps import (
    aggregate,
    benefit_of_the_doubt,
    entropy_weights,
    equal_weights,
    normalise,
    pca_weights,
)

NO_PCA = Choices(weighting=("equal", "entropy", "benefit_of_the_doubt"))


def random_table(seed: int, n: int = 30, k: int = 5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, k)) + 0.8 * rng.normal(size=(n, 1))
    return pd.DataFrame(values, index=[f"u{i}" for i in range(n)], columns=[f"x{j}" for j in range(k)])


def all_higher(table: pd.DataFrame) -> dict[str, str]:
    return dict.fromkeys(table.columns, "higher")


# --- The steps, against what others published or computed -------------------------------------------------------------


def test_geometric_mean_is_that_of_the_human_development_index():
    """UNDP, Human Development Report 2021/2022, table 1: Norway 0.961, by its technical note 1."""
    life = (83.2 - 20) / (85 - 20)
    education = (min(18.2, 18) / 18 + 13.0 / 15) / 2
    income = (np.log(64_660) - np.log(100)) / (np.log(75_000) - np.log(100))
    index = aggregate(np.array([[life, education, income]]), np.full(3, 1 / 3), "geometric")
    assert index[0] == pytest.approx(0.961, abs=5e-4)
    assert index[0] == pytest.approx(np.cbrt(life * education * income), rel=1e-14)


@pytest.mark.parametrize("seed", range(3))
def test_entropy_weights_against_scipy(seed):
    positive = np.random.default_rng(seed).gamma(2, size=(20, 4))
    diversity = 1 - stats.entropy(positive, base=20, axis=0)
    assert entropy_weights(positive) == pytest.approx(diversity / diversity.sum(), abs=1e-12)


def test_entropy_weights_at_their_limits():
    assert entropy_weights(np.ones((5, 3))) == pytest.approx([1 / 3] * 3)
    assert entropy_weights(np.array([[1.0, 1], [0, 1], [0, 1]])) == pytest.approx([1, 0])
    # Shares 1/4 and 3/4, and all in one place: diversities 1 + (ln 1/4 + 3 ln 3/4) / (4 ln 2) and 1.
    first = 1 + (np.log(1 / 4) + 3 * np.log(3 / 4)) / (4 * np.log(2))
    assert entropy_weights(np.array([[1.0, 0], [3, 5]])) == pytest.approx([first / (1 + first), 1 / (1 + first)])


@pytest.mark.parametrize("seed", range(5))
def test_pca_weights_against_statsmodels(seed):
    table = random_table(seed, k=6)
    model = PCA(table, standardize=True)
    values = np.asarray(model.eigenvals) / len(table)
    kept = values > 1
    loadings = np.asarray(model.eigenvecs)[:, kept] * np.sqrt(values[kept])
    squared = loadings**2 / (loadings**2).sum(axis=0)
    expected = squared @ (values[kept] / values[kept].sum())
    assert pca_weights(table.to_numpy()) == pytest.approx(expected, abs=1e-12)


def test_pca_weights_of_uncorrelated_indicators_are_equal():
    design = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    assert pca_weights(design) == pytest.approx([1 / 3] * 3, abs=1e-12)


def test_pca_weights_by_hand_for_two_blocks():
    design = np.array(list(itertools.product([-1.0, 1.0], repeat=3)))
    table = np.column_stack([design[:, 0] + 0.5 * design[:, 1], design[:, 0] - 0.5 * design[:, 1], design[:, 2]])
    # Eigenvalues 1 + r, 1 and 1 − r: the one at exactly 1 is kept, with the loading 1 of the third indicator.
    r = 0.75 / 1.25
    communality = np.array([(1 + r) / 2, (1 + r) / 2, 1])
    assert pca_weights(table) == pytest.approx(communality / communality.sum(), abs=1e-12)


def brute_force(values: np.ndarray, low: float, high: float) -> np.ndarray:
    shares = np.linspace(low, high, 20_001)
    scores = []
    for own in values:
        ratio = values / own
        scores.append(1 / (shares[:, None] * ratio[:, 0] + (1 - shares[:, None]) * ratio[:, 1]).max(axis=1).min())
    return np.array(scores)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.25, 0.75), (0.5, 0.5)])
def test_benefit_of_the_doubt_against_brute_force_on_two_indicators(low, high):
    values = 1 + 99 * np.random.default_rng(8).random((25, 2))
    bounds = np.full(2, low), np.full(2, high)
    scores, shares = benefit_of_the_doubt(values, *bounds)
    assert scores == pytest.approx(brute_force(values, low, high), abs=1e-4)
    assert shares.sum(axis=1) == pytest.approx(np.ones(25)) and (shares >= low - 1e-9).all()
    assert (shares <= high + 1e-9).all() and scores.max() == pytest.approx(1) and (scores > 0).all()


def test_benefit_of_the_doubt_against_the_programme_as_published():
    """Cherchye et al. 2007 in the weights w themselves, one unit at a time, every peer and every bound written out."""
    n, k = 30, 5
    values = np.random.default_rng(4).gamma(2, size=(n, k)) + 0.1
    low, high = np.array([0.1, 0, 0.05, 0.2, 0.1]), np.array([0.4, 0.3, 1, 0.6, 0.15])
    expected = []
    for own in values:
        shares = np.diag(own)
        bounds = np.concatenate([low[:, None] * own - shares, shares - high[:, None] * own])
        found = linprog(-own, A_ub=np.concatenate([values, bounds]), b_ub=np.r_[np.ones(n), np.zeros(2 * k)])
        expected.append(-found.fun)
    assert benefit_of_the_doubt(values, low, high)[0] == pytest.approx(expected, abs=1e-7)


def test_benefit_of_the_doubt_by_hand():
    """Without bounds a leader in one indicator scores 1; a dominated unit its ratio to the best mix of peers."""
    values = np.array([[4.0, 1], [1, 4], [2, 2], [1, 1]])
    scores, _ = benefit_of_the_doubt(values, np.zeros(2), np.ones(2))
    assert scores == pytest.approx([1, 1, 0.8, 0.4], abs=1e-9)
    fixed, shares = benefit_of_the_doubt(values, np.full(2, 0.5), np.full(2, 0.5))
    # With shares fixed at half, unit u scores 2 / max_j (y_j1 / y_u1 + y_j2 / y_u2).
    assert fixed == pytest.approx([2 / 4.25, 2 / 4.25, 2 / 2.5, 2 / 5], abs=1e-9)
    assert shares == pytest.approx(np.full((4, 2), 0.5))


def test_benefit_of_the_doubt_does_not_know_units_of_measure_nor_blocks():
    values = 1 + 99 * np.random.default_rng(2).random((40, 4))
    bounds = np.full(4, 0.1), np.full(4, 0.5)
    one, _ = benefit_of_the_doubt(values, *bounds)
    scaled, _ = benefit_of_the_doubt(values * [1, 1000, 0.01, 7], *bounds)
    assert one == pytest.approx(scaled, abs=1e-8)
    order = np.random.default_rng(3).permutation(40)
    assert benefit_of_the_doubt(values[order], *bounds)[0] == pytest.approx(one[order], abs=1e-8)
    many = np.concatenate([values] * 12)  # several blocks of programmes, the same peers
    assert benefit_of_the_doubt(many, *bounds)[0] == pytest.approx(np.tile(one, 12), abs=1e-8)


def test_normalisations_by_hand():
    values = np.array([[1.0], [3], [3], [5]])
    assert normalise(values, "min_max").ravel() == pytest.approx([1, 50.5, 50.5, 100])
    assert normalise(values, "rank").ravel() == pytest.approx([1, 50.5, 50.5, 100])
    assert normalise(values, "z_score").ravel() == pytest.approx(stats.zscore(values).ravel())
    assert equal_weights((None, None, None, None)) == pytest.approx([0.25] * 4)
    assert equal_weights(("b", "a", "b", "c")) == pytest.approx([1 / 6, 1 / 3, 1 / 6, 1 / 3])


# --- The composite and its intervals ----------------------------------------------------------------------------------


def test_a_composite_by_hand():
    table = pd.DataFrame({"speed": [10.0, 20, 30], "cost": [5.0, 1, 9]}, index=["a", "b", "c"])
    result = composite_index(table, {"speed": "higher", "cost": "lower"}, choices=NO_PCA)
    speed, cost = [1, 50.5, 100], [50.5, 100, 1]
    assert result.scores.tolist() == pytest.approx([(x + y) / 2 for x, y in zip(speed, cost, strict=True)])
    assert result.ranks.to_dict() == {"b": 1, "c": 2, "a": 3}
    assert (result.weights == 0.5).all(axis=None) and list(result.weights.columns) == ["speed", "cost"]
    frame = result.to_frame()
    assert list(frame.index) == ["b", "c", "a"] and frame.loc["b", "rank_high"] == 1
    geometric = composite_index(table, {"speed": "higher", "cost": "lower"}, aggregation="geometric", choices=NO_PCA)
    assert geometric.scores.tolist() == pytest.approx(
        [np.sqrt(x * y) for x, y in zip(speed, cost, strict=True)], rel=1e-12
    )


def test_budget_and_levels_by_hand():
    table = random_table(0, 12, 3)
    parts = [Component(id, "higher", weight) for id, weight in zip(table, (0.5, 0.3, 0.2), strict=True)]
    result = composite_index(table, parts, "z_score", "budget")
    assert result.scores.tolist() == pytest.approx(list(stats.zscore(table) @ [0.5, 0.3, 0.2]))
    without = result.combinations.query("left_out == 'x0' and weighting == 'budget' and normalisation == 'z_score'")
    expected = stats.rankdata(-(stats.zscore(table[["x1", "x2"]]) @ [0.6, 0.4]))
    assert result.combination_ranks.loc[without.index[0]].tolist() == list(expected)
    levelled = composite_index(
        table, [Component("x0", "higher", level="one"), *(Component(id, "higher", level="two") for id in ("x1", "x2"))]
    )
    assert levelled.weights.iloc[0].tolist() == pytest.approx([0.5, 0.25, 0.25])
    assert set(levelled.combinations["left_out"]) == {"", "x1", "x2"}
    assert "without x0: alone in its level" in levelled.excluded


def test_every_combination_is_made_and_the_rest_is_told():
    table = random_table(1)
    result = composite_index(table, all_higher(table))
    made = {tuple(row) for row in result.combinations[["normalisation", "weighting", "aggregation"]].to_numpy()}
    wanted = set(
        itertools.product(
            ("min_max", "z_score", "rank"),
            ("equal", "pca", "entropy", "benefit_of_the_doubt"),
            ("arithmetic", "geometric"),
        )
    )
    assert {row for row in wanted - made if "z_score" not in row} == {
        (scale, "benefit_of_the_doubt", "geometric") for scale in ("min_max", "rank")
    }
    z_scores = {row for row in made if "z_score" in row}
    assert z_scores == {("z_score", weighting, "arithmetic") for weighting in ("equal", "pca", "entropy")}
    assert len(result.combinations) == len(made) * (1 + table.shape[1]) == 17 * 6
    assert len(result.excluded) == 3 and all("z_score" in why or "geometric" in why for why in result.excluded)


def test_intervals_and_shifts_are_those_of_the_combinations():
    table = random_table(2)
    # Neither ranks nor benefit of the doubt: no ties, so that one rank tells it all.
    choices = Choices(("min_max", "z_score"), ("equal", "pca", "entropy"))
    result = composite_index(table, all_higher(table), "z_score", "pca", choices=choices)
    every = result.combination_ranks
    n = len(table)
    assert (result.intervals["rank_low"] == every.min()).all() and (result.intervals["rank_high"] == every.max()).all()
    assert (result.intervals["rank_median"] == every.median()).all()
    assert result.intervals["top_quarter_share"].to_numpy() == pytest.approx((every <= n // 4).mean().to_numpy())
    assert result.intervals["bottom_quarter_share"].to_numpy() == pytest.approx((every > n - n // 4).mean().to_numpy())
    own = result.combinations.query(
        "normalisation == 'z_score' and weighting == 'pca' and aggregation == 'arithmetic' and left_out == ''"
    ).index
    assert list(own) and (every.loc[own[0]] == result.ranks).all()
    shift = (every - result.ranks).abs().mean(axis=1)
    assert result.combinations["mean_shift"].to_numpy() == pytest.approx(shift.to_numpy())
    assert result.combinations.loc[own[0], "mean_shift"] == 0


def test_shares_come_from_a_complete_crossing():
    table = random_table(3)
    result = composite_index(table, all_higher(table))
    assert set(result.crossing) == {"normalisation", "weighting", "aggregation", "left_out"}
    assert result.crossing["normalisation"] == ("min_max", "rank")
    for shares in (result.shift_shares, result.rank_shares.T.unstack(0)):
        assert shares.notna().all(axis=None)
    first, total = (result.rank_shares[part] for part in ("first", "total"))
    assert (first <= total + 1e-12).all(axis=None) and (first.sum(axis=1) <= 1 + 1e-9).all()
    assert list(result.shift_shares.index) == list(result.crossing)


def test_a_composite_is_not_shown_without_its_intervals():
    table = random_table(4)
    result = composite_index(table, all_higher(table))
    columns = {"rank_low", "rank_high", "top_quarter_share", "bottom_quarter_share"}
    assert columns <= set(result.to_frame().columns) and columns <= set(result.to_dict()["rows"][0])
    assert all(name in result._repr_html_() for name in columns)
    narrow = result.intervals.assign(rank_high=result.intervals["rank_low"])
    for broken in (None, result.intervals.drop(columns="rank_high"), result.intervals.iloc[1:], narrow):
        with pytest.raises(DesignError, match="without its rank intervals"):
            dataclasses.replace(result, intervals=broken)
    alone = Choices(("min_max",), ("equal",), ("arithmetic",), leave_one_out=False)
    with pytest.raises(DesignError, match="without its rank intervals"):
        composite_index(table, all_higher(table), choices=alone)


@pytest.mark.parametrize("aggregation", ["arithmetic", "geometric"])
@pytest.mark.parametrize("weighting", ["equal", "pca", "entropy"])
@pytest.mark.parametrize("normalisation", ["min_max", "rank"])
def test_a_direction_is_never_lost(normalisation, weighting, aggregation):
    """Turning the sign of an indicator and its direction together is nothing; turning one is not (COINr #46)."""
    table = random_table(5)
    directions = all_higher(table) | {"x1": "lower"}
    result = composite_index(table, directions, normalisation, weighting, aggregation)
    turned = composite_index(table.assign(x1=-table["x1"]), all_higher(table), normalisation, weighting, aggregation)
    pd.testing.assert_frame_equal(result.to_frame(), turned.to_frame())
    pd.testing.assert_frame_equal(result.combination_ranks, turned.combination_ranks)
    lost = composite_index(table, all_higher(table), normalisation, weighting, aggregation)
    assert (lost.ranks != result.ranks).any()
    # On its own axis: the unit with the most of a bad thing has the lowest normalised value.
    assert stats.spearmanr(table["x1"], result.scores).statistic < stats.spearmanr(table["x1"], lost.scores).statistic


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(["min_max", "rank"]), st.sampled_from(["arithmetic", "geometric"]))
def test_laws(seed, normalisation, aggregation):
    """Order of rows and columns, units of measure, other columns: nothing. A better value: never a worse rank."""
    rng = np.random.default_rng(seed)
    table = random_table(seed, 12, 4)
    before = table.copy()
    choices = Choices(weighting=("equal", "entropy"), leave_one_out=False)
    directions = all_higher(table) | {"x0": "lower"}

    def index(frame, order=tuple(directions)):
        chosen = {name: directions[name] for name in order}
        return composite_index(frame, chosen, normalisation, "equal", aggregation, choices)

    result = index(table)
    pd.testing.assert_frame_equal(table, before)
    shuffled = index(table.iloc[rng.permutation(12)].assign(other="text"), tuple(directions)[::-1])
    pd.testing.assert_frame_equal(
        shuffled.to_frame().sort_index(), result.to_frame().sort_index(), check_exact=False, rtol=1e-9
    )
    rescaled = index(table * [1e-300, 1e300, 3, 0.5] + [0, 0, 7, -2])
    pd.testing.assert_series_equal(rescaled.ranks, result.ranks)
    unit, name = table.index[rng.integers(12)], f"x{rng.integers(4)}"
    step = rng.exponential() * (1 if directions[name] == "higher" else -1)
    better = table.copy()
    better.loc[unit, name] += step
    assert index(better).ranks[unit] <= result.ranks[unit]


def test_equal_units_share_their_rank_and_equal_indicators_decide_alone():
    table = random_table(6, 10, 4)
    table.loc["u3"] = table.loc["u7"]
    result = composite_index(table, all_higher(table))
    frame = result.to_frame()
    assert frame.loc["u3"].equals(frame.loc["u7"]) and result.ranks.duplicated(keep=False).sum() == 2
    one = pd.DataFrame(np.outer(np.arange(8.0) ** 2, [1, 10, 100]), columns=list("abc"))
    same = composite_index(one, all_higher(one))
    assert (same.intervals["rank_low"] == same.intervals["rank_high"]).all()
    assert not same.combinations["mean_shift"].any() and not same.shift_shares.any(axis=None)
    assert not same.rank_shares.any(axis=None)


# --- Uncertain weights ------------------------------------------------------------------------------------------------


def test_uncertain_weights():
    table = random_table(7)
    result = composite_index(table, all_higher(table))
    found = weight_uncertainty(result, table, spread=0.25, n=256, seed=3)
    again = weight_uncertainty(result, table, spread=0.25, n=256, seed=3)
    pd.testing.assert_frame_equal(found.intervals, again.intervals)
    assert (found.intervals["rank_low"] <= found.intervals["rank_median"]).all()
    assert (found.intervals["rank_median"] <= found.intervals["rank_high"]).all() and found.mean_shift > 0
    assert list(found.shares.index) == list(table.columns)
    tiny = weight_uncertainty(result, table, spread=1e-9, n=64)
    assert (tiny.intervals["rank_low"] == result.ranks).all() and tiny.mean_shift == 0
    assert not tiny.shares.any(axis=None)
    wide = weight_uncertainty(result, table, spread=0.9, n=256)
    assert wide.mean_shift > found.mean_shift


@pytest.mark.parametrize("aggregation", ["arithmetic", "geometric"])
def test_uncertain_weights_by_the_area_where_two_units_change_places(aggregation):
    """b is ahead of a where 0.55 f > 0.45 g, with factors f and g uniform between 0.5 and 1.5; c is always last."""
    table = pd.DataFrame({"x": [0.0, 1, 0], "y": [1.0, 0, 0]}, index=["a", "b", "c"])
    parts = [Component("x", "higher", 0.55), Component("y", "higher", 0.45)]
    result = composite_index(table, parts, weighting="budget", aggregation=aggregation, choices=NO_PCA)
    assert result.ranks.to_dict() == {"a": 2, "b": 1, "c": 3}
    found = weight_uncertainty(result, table, spread=0.5, n=8192, seed=1)
    factor = 0.5 + (np.arange(4000) + 0.5) / 4000
    change = 0.55 * factor[:, None] < 0.45 * factor
    assert found.mean_shift == pytest.approx(2 / 3 * change.mean(), abs=0.002)
    variance = change.mean() * (1 - change.mean())
    first = np.array([change.mean(axis=axis).var() for axis in (1, 0)]) / variance
    assert found.shares["first"].to_numpy() == pytest.approx(first, abs=0.02)
    assert found.shares["total"].to_numpy() == pytest.approx(1 - first[::-1], abs=0.02)
    assert found.intervals.loc["a"].tolist() == [1, 2, 2] and found.intervals.loc["c"].tolist() == [3, 3, 3]


# --- Refusals ---------------------------------------------------------------------------------------------------------


def with_cell(value) -> pd.DataFrame:
    table = random_table(9)
    table.loc[["u4", "u6"], "x2"] = value
    table.loc["u9", "x0"] = value
    return table


FINE = random_table(9)
ALL = all_higher(FINE)


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: composite_index(with_cell(np.nan), ALL), ["3 missing", "x0: u9; x2: u4, u6"]),
        (lambda: composite_index(with_cell(-np.inf), ALL), ["3 infinite", "x0: u9; x2: u4, u6"]),
        (lambda: composite_index(FINE.astype(object).assign(x1="many"), ALL), ["not numbers"]),
        (lambda: composite_index(FINE.assign(x1=3.3, x4=0.0), ALL), ["constant", "x1, x4"]),
        (lambda: composite_index(FINE.iloc[:1], ALL), ["1 unit"]),
        (lambda: composite_index(FINE.iloc[[0, 0]].set_axis(["a", "b"]), ALL), ["constant"]),
        (lambda: composite_index(FINE.iloc[[0, 1, 1]], ALL), ["units given twice", "u1"]),
        (lambda: composite_index(pd.concat([FINE, FINE[["x1"]]], axis=1), ALL), ["columns given twice", "x1"]),
        (lambda: composite_index(FINE.iloc[:5], ALL), ["too few for principal components", "leave 'pca' out"]),
        (lambda: composite_index(FINE, {"x0": "higher"}), ["1 indicator"]),
        (lambda: composite_index(FINE, {}), ["0 indicator"]),
        (lambda: composite_index(FINE, ALL | {"x3": "up"}), ["'up' of x3"]),
        (lambda: composite_index(FINE, ALL | {"x3": "neutral"}), ["'neutral' of x3"]),
        (lambda: composite_index(FINE, ["x0", "x1"]), ["without a direction"]),
        (lambda: composite_index(FINE.to_numpy(), ALL), ["ndarray"]),
        (lambda: composite_index(FINE, [Component("x0", "higher")] * 2), ["given twice"]),
        (lambda: composite_index(FINE, ALL, weighting="budget"), ["budget without weights"]),
        (
            lambda: composite_index(FINE, [Component("x0", "higher", 1), Component("x1", "higher")]),
            ["no weight for x1"],
        ),
        (
            lambda: composite_index(FINE, [Component("x0", "higher", level="a"), Component("x1", "higher")]),
            ["no level for x1"],
        ),
        (
            lambda: composite_index(FINE, [Component(f"x{i}", "higher", 0.4) for i in range(2)]),
            ["a budget of 0.8", "sum to 1"],
        ),
        (
            lambda: composite_index(FINE, [Component("x0", "higher", 1.5), Component("x1", "higher", -0.5)]),
            ["above zero"],
        ),
        (lambda: composite_index(FINE, ALL, "z_score", aggregation="geometric"), ["not above zero"]),
        (lambda: composite_index(FINE, ALL, "z_score", "benefit_of_the_doubt"), ["not above zero"]),
        (
            lambda: composite_index(FINE, ALL, "min_max", "benefit_of_the_doubt", "geometric"),
            ["ratio of weighted sums"],
        ),
        (lambda: aggregate(np.array([[-1.0, 2]]), np.full(2, 0.5), "geometric"), ["not above zero"]),
        (lambda: benefit_of_the_doubt(np.array([[0.0, 2]]), np.zeros(2), np.ones(2)), ["above zero"]),
        (lambda: benefit_of_the_doubt(np.ones((2, 2)), np.zeros(2), np.full(2, 0.4)), ["no shares"]),
        (lambda: benefit_of_the_doubt(np.ones((2, 2)), np.full(2, 0.6), np.ones(2)), ["no shares"]),
        (lambda: weight_uncertainty(composite_index(FINE, ALL), FINE, spread=1), ["spread of 1"]),
        (lambda: weight_uncertainty(composite_index(FINE, ALL), FINE.iloc[1:]), ["other units"]),
        (
            lambda: weight_uncertainty(composite_index(FINE, ALL, weighting="benefit_of_the_doubt"), FINE),
            ["each unit chooses its own"],
        ),
    ],
)
def test_refusals(act, words):
    with pytest.raises(DesignError) as caught:
        act()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("act", "near"),
    [
        (
            lambda: composite_index(FINE.rename(columns={"x0": "fibre_percent"}), {"fibre_percnt": "higher"}),
            "fibre_percent",
        ),
        (lambda: composite_index(FINE, ALL, "minmax"), "min_max"),
        (lambda: composite_index(FINE, ALL, weighting="equals"), "equal"),
        (lambda: composite_index(FINE, ALL, aggregation="geometrical"), "geometric"),
        (lambda: composite_index(FINE, ALL, choices=Choices(normalisation=("ranks",))), "rank"),
    ],
)
def test_unknown_names_list_the_near_ones(act, near):
    with pytest.raises(UnknownNameError, match=f"did you mean .*{near}"):
        act()


def test_a_long_list_of_missing_values_is_cut_and_counted():
    table = random_table(9, 60).assign(x1=np.nan)
    with pytest.raises(DesignError, match="and 40 more"):
        composite_index(table, all_higher(table))


# --- The digital divide -----------------------------------------------------------------------------------------------


DIVIDE = get_composite("digital_divide")


def with_part(place: int, **changes):
    parts = list(DIVIDE.components)
    parts[place] = dataclasses.replace(parts[place], **changes)
    return dataclasses.replace(DIVIDE, components=tuple(parts))


def test_the_digital_divide_on_the_shipped_figures(panel):
    composite = DIVIDE
    before = panel.copy()
    result = compute_composite(composite, panel)
    pd.testing.assert_frame_equal(panel, before)
    assert result.left_out == ("971", "973", "976") and len(result.scores) == 98
    assert result.periods["fibre_percent"] == 20242 and result.periods["ifn_skills"] == 2020
    declared = {level.id for level in composite.levels}
    assert {part.level for part in composite.components} == declared == {"access", "use_and_skills", "outcomes"}
    assert result.weights.iloc[0].groupby([part.level for part in composite.components]).sum().to_numpy() == (
        pytest.approx([1 / 3] * 3)
    )
    frame = result.to_frame()
    assert frame.notna().all(axis=None) and frame["rank"].between(1, 98).all()
    assert (frame["rank_low"] <= frame["rank"]).all() and (frame["rank"] <= frame["rank_high"]).all()
    assert (frame["rank_high"] - frame["rank_low"]).median() > 0


def test_the_digital_divide_by_hand(panel):
    """Score of one département from the indicators' own tables, averaged by level."""
    composite = DIVIDE
    result = compute_composite(composite, panel)
    by_level: dict[str, list[float]] = {}
    for part in composite.components:
        column = indicator_table(part.indicator, panel)[part.period].loc[result.scores.index]
        position = (column["02"] - column.min()) / (column.max() - column.min())
        by_level.setdefault(part.level, []).append(1 + 99 * (position if part.direction == "higher" else 1 - position))
    assert result.scores["02"] == pytest.approx(np.mean([np.mean(values) for values in by_level.values()]), rel=1e-12)


def test_a_direction_against_the_indicator_and_a_period_without_figures_are_refused(panel):
    with pytest.raises(DesignError, match="ifn_access"):
        compute_composite(with_part(1, direction="higher"), panel)
    with pytest.raises(MissingDataError, match="no 'fibre_percent' at 20994"):
        composite_table(with_part(0, period=20994), panel)
    with pytest.raises(MissingDataError, match="ifn_skills"):
        composite_table(DIVIDE, panel[panel["variable"] != "ifn_skills_mean"])
    with pytest.raises(UnknownNameError, match="fibre_percent"):
        compute_composite(with_part(0, indicator="fibre_percents"), panel)
