"""Wild cluster bootstrap against wildboottest, regressions done anew with the same signs, and its gates."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from test_panel_did import COLUMNS, FIRST, MANY, REFERENCE, dense, generated, thinned

from tne_eval.errors import DesignError
from tne_eval.impact.cells import panel_cells
from tne_eval.impact.panel_did import difference_in_differences
from tne_eval.impact.wild import wild_bootstrap_cells, wild_cluster_bootstrap

SIX = [0, 2, 5, 7, 8, 11]


def twelve():
    return thinned(generated()).query("cluster < 12").reset_index(drop=True)


def cluster_t(x, inverse, y, cluster, effect):
    """Coefficient of the first column less `effect`, over its CR1 error up to a factor, by least squares."""
    residual = y - x @ (inverse @ y)
    scores = [inverse[0, cluster == label] @ residual[cluster == label] for label in np.unique(cluster)]
    return (inverse[0] @ y - effect) / np.sqrt(np.sum(np.square(scores)))


def by_refits(frame, treated, signs, effect=0.0, **options):
    """(observed t, t of each row of signs): restricted residuals multiplied, the regression done anew."""
    post = (frame["cluster"].isin(treated) & (frame["year"] >= FIRST)).to_numpy(dtype=float)
    x, y = dense(frame, post, **options)
    cluster = frame["cluster"].to_numpy()
    basis, triangle = np.linalg.qr(x)
    inverse = np.linalg.solve(triangle, basis.T)
    fitted = x[:, 1:] @ np.linalg.lstsq(x[:, 1:], y - effect * x[:, 0], rcond=None)[0] + effect * x[:, 0]
    place = np.searchsorted(np.unique(cluster), cluster)
    draws = [cluster_t(x, inverse, fitted + row[place] * (y - fitted), cluster, effect) for row in signs]
    return cluster_t(x, inverse, y, cluster, effect), np.array(draws)


def test_wildboottest_all_signs():
    wanted = REFERENCE[REFERENCE["case"] == "wild"]
    found = wild_cluster_bootstrap(twelve(), *COLUMNS, SIX, FIRST, ["x"])
    assert found.exact and found.signs == "rademacher" and len(found.t_draws) == 2**11
    top, draws = wanted.iloc[0], wanted.iloc[1:]
    # Theirs are over a CR1 error whose factor counts the dummies of the units; all 2^12 draws, so each of ours twice.
    size = np.repeat(np.sort(np.abs(found.t_draws)), 2)[draws["term"].astype(int)]
    np.testing.assert_allclose(size / found.t, draws["estimate"] / top["estimate"], rtol=1e-8)
    # Theirs counts |t*| > |t| with rounding deciding the two draws that are the data themselves.
    assert found.p in (top["error"], top["error"] + 1 / 4096, top["error"] + 2 / 4096)


@pytest.mark.parametrize(
    "options",
    [{}, {"weight": "w"}, {"covariates": ["x", "z"], "weight": "w"}, {"covariates": ["x"], "strata": "stratum"}],
)
def test_the_same_signs_by_refits(options):
    frame = twelve()
    options = options | ({"strata": "half"} if "strata" in options else {})
    frame["half"] = (frame["cluster"] % 2).where(frame["cluster"] != 11, 0)
    found = wild_cluster_bootstrap(frame, *COLUMNS, SIX, FIRST, **options)
    rows = np.array([0, 1, 5, 77, 1000, 2046])
    signs = 1.0 - 2 * (rows[:, None] >> np.arange(12) & 1)
    observed, draws = by_refits(frame, SIX, signs, **options)
    np.testing.assert_allclose(found.t_draws[rows] / found.t, draws / observed, rtol=1e-8)
    assert found.t_draws[0] == pytest.approx(found.t, rel=1e-9)


def test_p_and_interval_by_refits_with_all_signs():
    """Every pair of draws of a small panel by least squares; p on both sides of the ends of the interval."""
    frame = twelve().query("year > 2017").groupby(["cluster", "year"], as_index=False)["y"].mean()
    frame["unit"] = frame["cluster"]
    found = wild_cluster_bootstrap(frame, *COLUMNS, SIX, FIRST, level=0.9)
    signs = np.array(list(product([1.0, -1.0], repeat=11)))
    signs = np.column_stack([np.ones(len(signs)), signs])

    def p_value(effect):
        observed, draws = by_refits(frame, SIX, signs, effect)
        return np.mean(np.abs(draws) >= abs(observed) * (1 - 1e-9))

    assert found.p == pytest.approx(p_value(0.0), abs=1e-12)
    width = 1e-6 * (found.high - found.low)
    assert p_value(found.low - width) <= 0.1 < p_value(found.low + width)
    assert p_value(found.high + width) <= 0.1 < p_value(found.high - width)


def test_webb_points_and_the_seed():
    cells = panel_cells(thinned(generated()), *COLUMNS, MANY, FIRST)
    webb = wild_bootstrap_cells(cells, signs="webb", draws=499, seed=3)
    assert webb.signs == "webb" and not webb.exact and len(webb.t_draws) == 499
    again = wild_bootstrap_cells(cells, signs="webb", draws=499, seed=3)
    other = wild_bootstrap_cells(cells, signs="webb", draws=499, seed=4)
    np.testing.assert_array_equal(webb.t_draws, again.t_draws)
    assert not np.allclose(webb.t_draws, other.t_draws)


def test_webb_and_rademacher_agree_with_many_draws():
    cells = panel_cells(thinned(generated()), *COLUMNS, MANY, FIRST, ["x"], "w")
    one, two = (wild_bootstrap_cells(cells, signs=signs) for signs in ("rademacher", "webb"))
    # Two shares of 9,999 draws: four Monte-Carlo errors apart at most, and one for the law of the signs.
    assert abs(one.p - two.p) < 0.03
    assert one.low < one.estimate < one.high and one.low == pytest.approx(two.low, abs=0.1 * (one.high - one.low))
    assert one.to_frame()["draws"][0] == 9_999


def test_p_and_the_interval_say_the_same():
    frame = thinned(generated())
    base = wild_cluster_bootstrap(frame, *COLUMNS, MANY, FIRST)
    inside = frame["cluster"].isin(MANY) & (frame["year"] >= FIRST)
    for effect, rejected in ((base.low, False), (base.high, False), (base.low, True), (base.high, True)):
        step = 1e-6 * (base.high - base.low) * (1 if rejected == (effect == base.high) else -1)
        moved = frame.assign(y=frame["y"] - (effect + step) * inside)
        assert (wild_cluster_bootstrap(moved, *COLUMNS, MANY, FIRST).p <= 0.05) == rejected


def test_size_under_a_true_null():
    """Twelve treated of forty clusters: 5 % of 400 true nulls are rejected, within four Monte-Carlo errors."""
    rng = np.random.default_rng(8)
    unit, year = np.repeat(np.arange(40), 4), np.tile(np.arange(4), 40)
    frame = pd.DataFrame({"unit": unit, "year": year, "cluster": unit})
    rejected = 0
    for draw in range(400):
        frame["y"] = rng.normal(size=160)
        cells = panel_cells(frame, *COLUMNS, list(range(12)), 2)
        rejected += wild_bootstrap_cells(cells, draws=199, seed=draw).p <= 0.05
    assert abs(rejected / 400 - 0.05) < 4 * np.sqrt(0.05 * 0.95 / 400)


def test_what_must_not_change_the_result():
    frame = thinned(generated())
    kept = frame.copy()
    base = wild_cluster_bootstrap(frame, *COLUMNS, MANY, FIRST, ["x"], "w", draws=499)
    pd.testing.assert_frame_equal(frame, kept)
    moved = frame.iloc[np.random.default_rng(2).permutation(len(frame))].assign(y=lambda f: 100 * f["y"] + f["unit"])
    other = wild_cluster_bootstrap(moved, *COLUMNS, MANY, FIRST, ["x"], "w", draws=499)
    assert other.p == base.p
    np.testing.assert_allclose([other.low, other.high], [100 * base.low, 100 * base.high], rtol=1e-6)
    did = difference_in_differences(frame, *COLUMNS, MANY, FIRST, ["x"], "w")
    assert base.estimate == pytest.approx(did.estimate, rel=1e-10)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"treated": [3, 11]}, "few treated or control clusters"),
        ({"treated": list(range(19))}, "few treated or control clusters"),
        ({"signs": "mammen"}, "signs is 'mammen'"),
        ({"draws": 10}, "draws is 10"),
        ({"draws": 999.0}, "draws is 999.0"),
        ({"seed": -1}, "seed is -1"),
        ({"level": 95}, "level is 95"),
    ],
)
def test_refusals(options, words):
    given = {"treated": MANY} | options
    with pytest.raises(DesignError, match=words):
        wild_cluster_bootstrap(generated(), *COLUMNS, given.pop("treated"), FIRST, **given)
