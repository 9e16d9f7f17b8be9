"""Honest difference-in-differences against published values, stored output of a peer, and linear programmes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import linprog, minimize
from scipy.stats import multivariate_normal, norm, truncnorm

from tne_eval.errors import DesignError
from tne_eval.impact.honest import breakdown_bound, honest_did, identified_set
from tne_eval.impact.honest_flci import _folded_excess, frontier, lasso_path
from tne_eval.impact.honest_tests import _quadrant, clf_rejects, least_favorable, rm_cases

REFERENCE = Path(__file__).parent / "reference"


@pytest.fixture(scope="module")
def medicaid() -> tuple[np.ndarray, np.ndarray]:
    """Event study of the README of R HonestDiD: 2008-2012, then 2014-2015, against 2013."""
    table = pd.read_csv(REFERENCE / "honest_estimates.csv")
    return table["estimate"].to_numpy(), table.filter(like="cov").to_numpy()


def study(seed: int, n_pre: int, n_post: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(n_pre + n_post, n_pre + n_post + 5))
    return rng.normal(size=n_pre + n_post), root @ root.T / 30


def constraints(n_pre: int, n_post: int, step: int, sign: int, bound: float) -> np.ndarray:
    """A of Aδ ≤ 0: moves after the reference period within ± bound times one signed move before."""
    path = np.insert(np.eye(n_pre + n_post), n_pre, 0, axis=0)
    moves = np.diff(path, axis=0)
    return np.vstack([moves[n_pre:], -moves[n_pre:]]) - bound * sign * moves[step]


# Published and stored values


def test_the_stored_event_study_is_that_of_the_published_data(medicaid, reference_data):
    data = reference_data("ehec_data.csv")
    data["year"] = data["year"].astype(int)
    data = data[(data["year"] < 2016) & (data["yexp2"].isna() | (data["yexp2"] != 2015))]
    states, years = pd.factorize(data["stfips"])[0], data["year"].to_numpy()
    leads = [year for year in range(2008, 2016) if year != 2013]
    effects = np.column_stack([(years == year) & (data["yexp2"] == 2014) for year in leads]).astype(float)
    dummies = np.column_stack([np.eye(states.max() + 1)[states], np.eye(8)[years - 2008][:, 1:]])
    columns = np.column_stack([effects, dummies])
    outcome = data["dins"].to_numpy(dtype=float)
    estimates = np.linalg.lstsq(columns, outcome, rcond=None)[0]
    scores = np.zeros((states.max() + 1, columns.shape[1]))
    np.add.at(scores, states, columns * (outcome - columns @ estimates)[:, None])
    bread = np.linalg.inv(columns.T @ columns)
    # Effects of states are nested in the clusters, so they take no degree of freedom but one.
    clusters, n, k = len(scores), len(data), 7 + 8
    adjustment = clusters / (clusters - 1) * (n - 1) / (n - k)
    covariance = adjustment * (bread @ scores.T @ scores @ bread)[:7, :7]
    np.testing.assert_allclose(medicaid[0], estimates[:7], rtol=1e-8)
    np.testing.assert_allclose(np.sqrt(medicaid[1].diagonal()), np.sqrt(covariance.diagonal()), rtol=1e-6)
    np.testing.assert_allclose(medicaid[1], covariance, atol=1e-10)


def test_published_intervals(medicaid):
    """R HonestDiD tries 1,000 values, 3.7e-4 apart: its ends lie inside the set, by one step at most."""
    found = honest_did(*medicaid, 5, bound=[1, 2]).to_frame()
    np.testing.assert_allclose(found[["low", "high"]], [[0.0171, 0.0720], [-0.00107, 0.0883]], atol=5e-4)
    found = honest_did(*medicaid, 5, "smoothness", bound=0.02).to_frame()
    np.testing.assert_allclose(found[["low", "high"]], [[0.00286, 0.0907]], atol=5e-5)


def test_stored_intervals_of_moderndid(medicaid):
    """Its grid under relative magnitudes has steps of 4e-4, and it simulates the critical value of the first stage."""
    peers = pd.read_csv(REFERENCE / "honest_peers.csv")
    assert len(peers) == 16
    for (restriction, name), group in peers.groupby(["restriction", "weights"]):
        weights = {"first": [1, 0], "mean": [0.5, 0.5]}[name]
        found = honest_did(*medicaid, 5, restriction, bound=group["bound"], weights=weights).to_frame()
        tolerance = 5e-4 if restriction == "relative_magnitude" else 4e-5
        np.testing.assert_allclose(found[["low", "high"]], group[["low", "high"]], atol=tolerance)


# Relative magnitudes


def least_maximum(moments: np.ndarray, nuisance: np.ndarray, spread: np.ndarray) -> tuple[float, np.ndarray]:
    """Greatest of γ'moments over γ ≥ 0, nuisance'γ = 0, spread'γ = 1; and γ."""
    equal = np.vstack([spread, nuisance.T])
    found = linprog(-moments, A_eq=equal, b_eq=np.eye(len(equal))[0], method="highs-ds")
    return -found.fun, found.x


def programme_rejects(estimates, covariance, n_pre, weights, matrix, theta, critical, size) -> bool:
    """The hybrid test by linear programmes, as in Andrews, Roth and Pakes (2023, appendix D)."""
    after = matrix[:, n_pre:]
    # Effects with l'τ = θ: one of them, and directions that leave l'τ as it is.
    particular = np.asarray(weights) * theta / (weights @ weights)
    directions = np.linalg.svd(np.atleast_2d(weights))[2][1:].T
    moments = matrix @ estimates - after @ particular
    sigma = matrix @ covariance @ matrix.T
    spread = np.sqrt(sigma.diagonal())
    nuisance = after @ directions
    value, dual = least_maximum(moments, nuisance, spread)
    if value > critical:
        return True
    variance = dual @ sigma @ dual
    slope = sigma @ dual / variance
    rest = moments - slope * value
    ends = []
    for end in (-1e4, 1e4):
        for _ in range(100):
            _, other = least_maximum(rest + slope * end, nuisance, spread)
            if other @ (rest + slope * end) - end < 1e-8:
                break
            end = other @ rest / (1 - other @ slope)
        ends.append(end)
    low, high = ends[0] / variance**0.5, min(ends[1], critical) / variance**0.5
    return value / variance**0.5 > max(0, truncnorm.ppf(1 - size, low, high))


@pytest.mark.parametrize(
    ("seed", "n_pre", "weights"),
    [(1, 3, [1, 0, 0]), (2, 2, [0.5, 0.5]), (3, 1, [1, -2, 0.5]), (4, 3, [0, 1]), (5, 2, [1])],
)
def test_the_test_is_that_of_the_linear_programmes(seed, n_pre, weights):
    weights = np.array(weights, dtype=float)
    estimates, covariance = study(seed, n_pre, len(weights))
    bounds = np.array([0.4, 1.3])
    cases = rm_cases(estimates, covariance, n_pre, bounds, weights)
    critical = least_favorable(cases, 0.005)
    rng = np.random.default_rng(seed)
    theta = cases.effect + rng.normal(scale=2 * np.sqrt(cases.moments[0, 0]), size=(cases.violation.size, 6))
    found = clf_rejects(theta, cases, critical, 0.0452)
    order = [(bound, step, sign) for bound in bounds for sign in (1, -1) for step in range(n_pre)]
    expected = [
        [
            programme_rejects(
                estimates, covariance, n_pre, weights, constraints(n_pre, len(weights), step, sign, bound), value,
                critical[case], 0.0452,
            )
            for value in theta[case]
        ]
        for case, (bound, step, sign) in enumerate(order)
    ]  # fmt: skip
    assert 0.1 < np.mean(expected) < 0.95
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("weights", [[1, 0, 0], [1, -2, 0.5], [1]])
def test_the_least_favourable_value_is_that_of_simulated_programmes(weights):
    weights = np.array(weights, dtype=float)
    estimates, covariance = study(7, 2, len(weights))
    cases = rm_cases(estimates, covariance, 2, np.array([0.8]), weights)
    rng = np.random.default_rng(0)
    draws = rng.multivariate_normal(np.zeros(len(estimates)), covariance, size=200_000)
    directions = np.linalg.svd(np.atleast_2d(weights))[2][1:].T
    critical = least_favorable(cases, 0.05)
    for case, (sign, step) in enumerate([(1, 0), (1, 1), (-1, 0), (-1, 1)]):
        matrix = constraints(2, len(weights), step, sign, 0.8)
        violation = sign * np.diff(np.append(np.eye(2), [[0, 0]], axis=0), axis=0)[step]
        pair = np.stack([draws[:, 2:] @ weights, draws[:, :2] @ violation])
        eta = (cases.on_effect[:, [case]] * pair[0] + cases.on_violation[:, [case]] * pair[1]).max(axis=0)
        spread = np.sqrt((matrix @ covariance @ matrix.T).diagonal())
        by_programme = [least_maximum(matrix @ draw, matrix[:, 2:] @ directions, spread)[0] for draw in draws[:20]]
        np.testing.assert_allclose(eta[:20], by_programme, atol=1e-9)
        # Standard error of the simulated share: 0.0005.
        assert abs(np.mean(eta > critical[case]) - 0.05) < 0.002


def test_quadrants_of_two_normals():
    for first, line, slope in [(0.5, 1.0, 0.3), (2.0, -0.4, -1.2), (1e3, 0.7, 0.2), (0.3, -2.0, 40.0), (1.5, 3.0, 0.0)]:
        stretch = np.sqrt(1 + slope**2)
        pair = multivariate_normal([0, 0], [[1, -slope / stretch], [-slope / stretch, 1]])
        assert _quadrant(first, line, slope) == pytest.approx(pair.cdf([first, line / stretch]), abs=1e-8)


def test_without_violation_the_set_is_the_usual_interval(medicaid):
    for weights in ([1, 0], [0.5, 0.5], [1, -1]):
        found = honest_did(*medicaid, 5, bound=0, weights=weights)
        np.testing.assert_allclose((found.low[0], found.high[0]), found.original, rtol=1e-7)
        error = np.sqrt(weights @ medicaid[1][5:, 5:] @ weights)
        center = weights @ medicaid[0][5:]
        np.testing.assert_allclose(found.original, center + norm.ppf([0.025, 0.975]) * error, rtol=1e-12)


def test_the_set_holds_the_identified_set_and_grows_with_the_bound():
    bounds = np.linspace(0, 3, 13)
    for seed in range(10):
        estimates, covariance = study(seed, 4, 3)
        found = honest_did(estimates, covariance, 4, bound=bounds)
        within = identified_set(estimates, 4, bound=bounds)
        assert (found.low <= within["low"]).all() and (found.high >= within["high"]).all()
        assert (np.diff(found.low) < 0).all() and (np.diff(found.high) > 0).all()


def test_the_ends_are_the_outermost_accepted_values():
    """Against a grid of 20,001 values over a range four times as wide."""
    estimates, covariance = study(11, 3, 2)
    found = honest_did(estimates, covariance, 3, bound=1.5, weights=[1, 1])
    cases = rm_cases(estimates, covariance, 3, np.array([1.5]), np.array([1.0, 1.0]))
    middle, width = (found.low[0] + found.high[0]) / 2, found.high[0] - found.low[0]
    grid = np.linspace(middle - 2 * width, middle + 2 * width, 20_001)
    size = 0.045 / 0.995
    rejected = clf_rejects(np.tile(grid, (6, 1)), cases, least_favorable(cases, 0.005), size).all(axis=0)
    kept = grid[~rejected]
    gaps = np.array([kept[0] - found.low[0], found.high[0] - kept[-1]]) / width
    assert (gaps > -1e-9).all() and (gaps < 2e-4).all()


@pytest.mark.parametrize(("noise", "highest"), [(0.2, 0.965), (1, 1)])
@pytest.mark.parametrize("weights", [[1, 0], [0.5, 0.5]])
def test_coverage_under_relative_magnitudes(noise, highest, weights):
    """At the edge of what M̄ = 1 allows: θ = 0 is rejected 5 % of the time where it is clear which move is greatest."""
    rng = np.random.default_rng(3)
    covariance = noise**2 * study(5, 3, 2)[1]
    bias, weights = np.array([-0.2, 1.3, 1.0, 1.5, 3.0]), np.array(weights, dtype=float)
    size = 0.045 / 0.995
    cases = rm_cases(bias, covariance, 3, np.array([1.0]), weights)
    critical = least_favorable(cases, 0.005)
    draws = rng.multivariate_normal(bias, covariance, size=3000)
    moves = np.diff(np.insert(draws, 3, 0, axis=1), axis=1)[:, :3]
    missed = []
    for draw, move in zip(draws, moves, strict=True):
        drawn = replace(cases, effect=float(draw[3:] @ weights), violation=np.append(move, -move))
        missed.append(clf_rejects(np.zeros((6, 1)), drawn, critical, size).all())
    # Standard error 0.004.
    assert 0.938 < 1 - np.mean(missed) <= highest
    error = np.sqrt(weights @ covariance[3:, 3:] @ weights)
    assert np.mean(np.abs(draws[:, 3:] @ weights) < 1.96 * error) < 0.5
    for draw, miss in zip(draws[:30], missed, strict=False):
        found = honest_did(draw, covariance, 3, bound=1, weights=weights)
        assert (found.low[0] <= 0 <= found.high[0]) >= (not miss)


# Smoothness


def test_with_a_straight_trend_the_interval_is_that_of_least_squares():
    """M = 0: generalised least squares of the coefficients on a line and the effects."""
    for seed, n_pre, n_post in [(1, 4, 3), (2, 1, 1), (3, 2, 2), (4, 8, 1)]:
        estimates, covariance = study(seed, n_pre, n_post)
        time = np.concatenate([np.arange(-n_pre, 0), np.arange(1, n_post + 1)])
        columns = np.column_stack([time, np.eye(n_pre + n_post)[:, n_pre:]])
        inverse = np.linalg.inv(covariance)
        variance = np.linalg.inv(columns.T @ inverse @ columns)
        center, error = (variance @ columns.T @ inverse @ estimates)[1], np.sqrt(variance[1, 1])
        found = honest_did(estimates, covariance, n_pre, "smoothness", bound=0, alpha=0.1)
        np.testing.assert_allclose(
            (found.low[0], found.high[0]), center + norm.ppf([0.05, 0.95]) * error, rtol=1e-8, atol=1e-8
        )


def worst_bias(vector: np.ndarray, n_pre: int, bound: float) -> float:
    n = len(vector)
    bends = np.diff(np.insert(np.eye(n), n_pre, 0, axis=0), n=2, axis=0)
    found = linprog(-vector, A_ub=np.vstack([bends, -bends]), b_ub=np.full(2 * len(bends), bound), bounds=(None, None))
    return -found.fun


def test_the_worst_bias_is_that_of_a_linear_programme():
    for seed, weights in [(1, [1, 0, 0]), (2, [0.3, 0.3, 0.4]), (3, [1, -2, 0.5])]:
        _, covariance = study(seed, 4, 3)
        path = frontier(covariance, 4, np.array(weights))
        for loading in path.solutions:
            vector = path.fixed + path.free @ loading
            assert worst_bias(vector, 4, 0.7) == pytest.approx(0.7 * (np.abs(loading).sum() + path.after), rel=1e-8)


def test_no_affine_estimator_gives_a_shorter_interval():
    """Against a general minimiser over the weights of the periods before, started at several places."""
    for seed, n_pre, bound in [(1, 3, 0.05), (2, 3, 0.3), (3, 4, 0.1), (4, 2, 1.0)]:
        estimates, covariance = study(seed, n_pre, 2)
        weights = np.array([0.5, 0.5])
        path = frontier(covariance, n_pre, weights)

        def half(loading, path=path, covariance=covariance, bound=bound):
            vector = path.fixed + path.free @ loading
            error = np.sqrt(vector @ covariance @ vector)
            bias = bound * (np.abs(loading).sum() + path.after)
            return bias + error * _folded_excess(bias / error, 0.05)

        found = honest_did(estimates, covariance, n_pre, "smoothness", bound=bound, weights=weights)
        ours = (found.high[0] - found.low[0]) / 2
        options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 20_000, "maxfev": 20_000}
        starts = [np.zeros(n_pre - 1), path.solutions[0], path.solutions[len(path.solutions) // 2]]
        least = min(minimize(half, start, method="Nelder-Mead", options=options).fun for start in starts)
        assert ours == pytest.approx(least, rel=1e-7)


def test_folded_normal_quantiles():
    for mean in (0, 0.3, 2, 40):
        end = mean + _folded_excess(mean, 0.05)
        assert norm.cdf(end - mean) - norm.cdf(-end - mean) == pytest.approx(0.95, abs=1e-12)


def test_the_lasso_path_solves_the_lasso():
    """Conditions of Karush, Kuhn and Tucker at knots and between them, ties among coordinates included."""
    problems = [(np.eye(4), np.array([1.0, -1.0, 1.0, 0.5])), (np.eye(1), np.array([2.0])), (np.eye(2), np.zeros(2))]
    rng = np.random.default_rng(0)
    for size in (2, 3, 5, 8, 12):
        for _ in range(20):
            root = rng.normal(size=(size, size + 2)) + rng.normal(size=(size, 1)) * 2
            problems.append((root @ root.T, rng.normal(size=size)))
    for gram, slope in problems:
        knots, solutions = lasso_path(gram, slope)
        assert knots[0] == 0 and (np.diff(knots) >= 0).all() and not solutions[-1].any()
        for penalty in np.concatenate([knots, np.linspace(0, knots[-1], 23)]):
            found = np.array([np.interp(penalty, knots, column) for column in solutions.T])
            gradient = slope + gram @ found
            tolerance = 1e-8 * np.abs(slope).max(initial=1)
            assert (np.abs(gradient) <= penalty + tolerance).all()
            moved = np.abs(found) > 1e-9
            np.testing.assert_allclose(gradient[moved], -penalty * np.sign(found[moved]), atol=tolerance)


def test_coverage_under_smoothness():
    """Bends of M, with the signs that lead the estimator farthest astray."""
    rng = np.random.default_rng(4)
    _, covariance = study(6, 3, 2)
    bias = np.array([2 + 0.3 * 3, 1.5 + 0.3, 1.0, -0.7, -1.1])
    bends = np.abs(np.diff(np.insert(bias, 3, 0), n=2))
    draws = rng.multivariate_normal(bias, covariance, size=800)
    found = [honest_did(draw, covariance, 3, "smoothness", bound=bends.max()) for draw in draws]
    covered = np.mean([one.low[0] <= 0 <= one.high[0] for one in found])
    assert 0.935 < covered <= 1


# Identified sets and breakdown


def test_identified_sets_are_those_of_linear_programmes():
    for seed, weights in [(1, [1, 0, 0]), (2, [0.2, 0.3, 0.5]), (3, [1, -2, 0.5]), (4, [2.0])]:
        n_post = len(weights)
        estimates, _ = study(seed, 3, n_post)
        fixed = [(value, value) for value in estimates[:3]] + [(None, None)] * n_post
        target = np.concatenate([np.zeros(3), weights])
        ends = []
        for step in range(3):
            for sign in (1, -1):
                path = np.insert(np.eye(3 + n_post), 3, 0, axis=0)
                moves = np.diff(path, axis=0)
                others = np.vstack([moves[:3], -moves[:3]]) - sign * moves[step]
                matrix = np.vstack([constraints(3, n_post, step, sign, 1.2), others])
                for way in (1, -1):
                    found = linprog(way * target, A_ub=matrix, b_ub=np.full(len(matrix), 1e-12), bounds=fixed)
                    if found.status == 0:
                        ends.append(target @ (estimates - found.x))
        ours = identified_set(estimates, 3, bound=1.2, weights=weights).iloc[0]
        np.testing.assert_allclose((ours["low"], ours["high"]), (min(ends), max(ends)), atol=1e-8)

        bends = np.diff(np.insert(np.eye(3 + n_post), 3, 0, axis=0), n=2, axis=0)
        bound = np.abs(bends[:2] @ estimates).max() + 0.1
        ends = [
            target @ (estimates - linprog(
                way * target, A_ub=np.vstack([bends, -bends]), b_ub=np.full(2 * len(bends), bound), bounds=fixed
            ).x)
            for way in (1, -1)
        ]  # fmt: skip
        ours = identified_set(estimates, 3, "smoothness", bound=bound, weights=weights).iloc[0]
        np.testing.assert_allclose((ours["low"], ours["high"]), sorted(ends), atol=1e-8)


def test_the_breakdown_bound_is_where_zero_comes_in(medicaid):
    for restriction in ("relative_magnitude", "smoothness"):
        for weights in ([1, 0], [0.5, 0.5], [-1, 0]):
            bound = breakdown_bound(*medicaid, 5, restriction, weights=weights)
            around = honest_did(
                *medicaid, 5, restriction, bound=[bound * (1 - 1e-6), bound * (1 + 1e-6)], weights=weights
            )
            outside = np.maximum(around.low, -around.high)
            assert outside[0] > 0 >= outside[1]
    # R HonestDiD: 0 is out at M̄ = 1.5 and M = 0.02, in at 2 and 0.03.
    assert 1.5 < breakdown_bound(*medicaid, 5) < 2
    assert 0.02 < breakdown_bound(*medicaid, 5, "smoothness") < 0.03


def test_an_effect_that_is_not_significant_has_no_breakdown_bound(medicaid):
    estimates, covariance = medicaid
    estimates = estimates.copy()
    estimates[5] = 0.5 * np.sqrt(covariance[5, 5])
    assert breakdown_bound(estimates, covariance, 5) is None
    assert breakdown_bound(estimates, covariance, 5, "smoothness") is None


# Invariances and refusals


@pytest.mark.parametrize("restriction", ["relative_magnitude", "smoothness"])
def test_units_sign_and_weights(restriction):
    estimates, covariance = study(9, 3, 3)
    bounds = np.array([0, 0.2, 0.7, 1.5])
    weights = np.array([0.2, 0.5, 0.3])
    base = honest_did(estimates, covariance, 3, restriction, bound=bounds, weights=weights)
    unit = bounds * (100 if restriction == "smoothness" else 1)
    scaled = honest_did(100 * estimates, 1e4 * covariance, 3, restriction, bound=unit, weights=weights)
    np.testing.assert_allclose([scaled.low, scaled.high], [100 * base.low, 100 * base.high], rtol=1e-8)
    flipped = honest_did(-estimates, covariance, 3, restriction, bound=bounds, weights=weights)
    np.testing.assert_allclose([flipped.low, flipped.high], [-base.high, -base.low], rtol=1e-8)
    doubled = honest_did(estimates, covariance, 3, restriction, bound=bounds, weights=-2 * weights)
    np.testing.assert_allclose([doubled.low, doubled.high], [-2 * base.high, -2 * base.low], rtol=1e-8)
    one_by_one = [honest_did(estimates, covariance, 3, restriction, bound=one, weights=weights) for one in bounds]
    np.testing.assert_allclose(base.low, [one.low[0] for one in one_by_one], rtol=1e-8)
    shifted = estimates + np.concatenate([np.zeros(3), [7, 7, 7]])
    moved = honest_did(shifted, covariance, 3, restriction, bound=bounds, weights=weights)
    np.testing.assert_allclose([moved.low, moved.high], [base.low + 7, base.high + 7], rtol=1e-8)


def test_a_change_of_slope_leaves_the_smooth_interval_and_moves_the_effect():
    estimates, covariance = study(10, 4, 2)
    line = 0.37 * np.array([-4, -3, -2, -1, 1, 2])
    base = honest_did(estimates, covariance, 4, "smoothness", bound=[0, 0.1, 5])
    tilted = honest_did(estimates + line, covariance, 4, "smoothness", bound=[0, 0.1, 5])
    np.testing.assert_allclose([tilted.low, tilted.high], [base.low, base.high], rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("restriction", ["relative_magnitude", "smoothness"])
def test_few_and_many_periods_and_extreme_bounds(restriction):
    for n_pre, n_post in [(1, 1), (1, 4), (12, 1), (15, 15)]:
        estimates, covariance = study(n_pre, n_pre, n_post)
        found = honest_did(estimates, covariance, n_pre, restriction, bound=[0, 1e-6, 1, 1e6])
        assert np.isfinite([found.low, found.high]).all() and (found.low < found.high).all()
        assert (np.diff(found.low) <= 1e-9).all() or restriction == "smoothness"


def test_very_correlated_periods_keep_the_size_of_the_first_stage():
    covariance = 0.999 + 0.001 * np.eye(5)
    cases = rm_cases(np.zeros(5), covariance, 3, np.array([0.1, 1.0, 10.0]), np.array([1.0, 0.0]))
    critical = least_favorable(cases, 0.01)
    draws = np.random.default_rng(1).multivariate_normal(np.zeros(5), covariance, size=100_000)
    effect, before = draws[:, 3], np.diff(np.insert(draws, 3, 0, axis=1), axis=1)[:, :3]
    for case, violation in enumerate(np.tile(np.vstack([before.T, -before.T]), (3, 1))):
        eta = (cases.on_effect[:, [case]] * effect + cases.on_violation[:, [case]] * violation).max(axis=0)
        assert abs(np.mean(eta > critical[case]) - 0.01) < 0.0016


def test_the_result_describes_itself(medicaid):
    found = honest_did(list(medicaid[0]), medicaid[1].tolist(), 5, bound=(1, 0.5), alpha=0.1)
    assert (found.n_pre, found.n_post, found.level, found.restriction) == (5, 2, 0.9, "relative_magnitude")
    np.testing.assert_array_equal(found.weights, [1, 0])
    frame = found.to_frame()
    assert list(frame) == ["bound", "low", "high"] and list(frame["bound"]) == [1, 0.5]
    assert frame["low"][0] < frame["low"][1]
    with pytest.raises(AttributeError):
        found.level = 0.5


def test_the_data_given_are_left_as_they_are(medicaid):
    given = [medicaid[0].copy(), medicaid[1].copy(), np.array([0.5, 0.5]), np.array([1.0, 0.0])]
    kept = [one.copy() for one in given]
    for one in given:
        one.flags.writeable = False
    for restriction in ("relative_magnitude", "smoothness"):
        honest_did(given[0], given[1], 5, restriction, bound=given[3], weights=given[2])
        breakdown_bound(given[0], given[1], 5, restriction, weights=given[2])
    identified_set(given[0], 5, bound=given[3], weights=given[2])
    for one, copy in zip(given, kept, strict=True):
        np.testing.assert_array_equal(one, copy)


def _broken(key: str, value: object) -> dict:
    estimates, covariance = study(1, 3, 2)
    return {"estimates": estimates, "covariance": covariance, "n_pre": 3, "bound": 1.0} | {key: value}


_COVARIANCE = study(1, 3, 2)[1]
_ASYMMETRIC = _COVARIANCE + np.triu(np.full((5, 5), 0.01), 1)
_NEGATIVE = np.eye(5) - 0.5
_SINGULAR = np.ones((5, 5))
_REFERENCE_KEPT = np.diag([1.0, 1, 0, 1, 1])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("estimates", [1, 2, np.nan, 4, 5], "not a finite number"),
        ("estimates", ["a"] * 5, "not a finite number"),
        ("estimates", np.ones((5, 1)), "at least one coefficient before"),
        ("estimates", [1.0, 2, 3, 4], "not a covariance matrix"),
        ("covariance", _COVARIANCE[:4, :4], "shape is \\(4, 4\\)"),
        ("covariance", np.full((5, 5), np.inf), "not a finite number"),
        ("covariance", _ASYMMETRIC, "not symmetric"),
        ("covariance", _NEGATIVE, "negative eigenvalue"),
        ("covariance", _SINGULAR, "singular"),
        ("covariance", _REFERENCE_KEPT, "not positive at 2"),
        ("n_pre", 0, "at least one coefficient before"),
        ("n_pre", 5, "at least one coefficient before"),
        ("n_pre", 2.0, "at least one coefficient before"),
        ("n_pre", True, "at least one coefficient before"),
        ("bound", -0.1, "none of them negative"),
        ("bound", [], "one or several numbers"),
        ("bound", [[1.0]], "one or several numbers"),
        ("bound", None, "not a finite number"),
        ("weights", [1, 0, 0], "they have shape \\(3,\\) for 2"),
        ("weights", [0, 0], "all 0"),
        ("weights", [1, np.nan], "not a finite number"),
        ("restriction", "smooth", "choose among relative_magnitude, smoothness"),
        ("restriction", ["smoothness"], "unknown restriction"),
        ("alpha", 0.5, "between 0 and 0.5"),
        ("alpha", 0, "between 0 and 0.5"),
        ("alpha", "5%", "between 0 and 0.5"),
    ],
)
def test_refusals(key, value, message):
    arguments = _broken(key, value)
    with pytest.raises(DesignError, match=message) as caught:
        honest_did(**arguments)
    assert caught.value.remedy
    if key != "bound":
        arguments.pop("bound")
        with pytest.raises(DesignError, match=message):
            breakdown_bound(**arguments)
    if key not in ("covariance", "alpha") and "covariance" not in message:
        with pytest.raises(DesignError, match=message):
            identified_set(**{name: one for name, one in _broken(key, value).items() if name != "covariance"})


def test_coefficients_before_that_bend_more_than_the_bound_leave_nothing():
    with pytest.raises(DesignError, match="identified set is empty") as caught:
        identified_set([0, 2, 0, 1], 3, "smoothness", bound=[1, 2, 3, 5])
    assert caught.value.where == "bound 1, 2, 3" and "4" in caught.value.why
