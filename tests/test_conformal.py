"""Conformal tests and intervals of a synthetic control: brute force, a peer's values, size, refusals."""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tne_eval.errors import DesignError
from tne_eval.impact.conformal import conformal_interval, conformal_test

REFERENCE = Path(__file__).parent / "reference"


def panel(seed, units=9, periods=12):
    values = np.random.default_rng(seed).normal(size=(units, periods))
    return pd.DataFrame(values, index=[f"d{i}" for i in range(units)], columns=range(periods))


def test_proposition_99_against_a_peer(opendata):
    frame = pd.read_csv(opendata.parent / "reference-data" / "california_prop99.csv", sep=";")
    wide = frame.pivot(index="State", columns="Year", values="PacksPerCapita")
    stored = pd.read_csv(REFERENCE / "synthetic_prop99.csv")
    stored = stored[stored["quantity"].str.startswith("conformal")].astype({"label": float})
    stored = stored.pivot(index="label", columns="quantity", values="value")
    assert len(stored) == 9
    for effect, row in stored.iterrows():
        found = conformal_test(wide, ["California"], 1989, effect)
        assert found.p_value == pytest.approx(row["conformal_p"], abs=1e-12)
        assert found.statistic == pytest.approx(row["conformal_s"], rel=1e-6)
    assert found.n_permutations == 31 and found.smallest_p == 1 / 31


@pytest.mark.parametrize("after", [1, 2, 3])
def test_p_values_by_brute_force(after):
    data = panel(after, units=4, periods=7)
    residuals = conformal_test(data, ["d0"], 7 - after, 0.3, alpha=0.5).residuals.to_numpy()

    def share(orders):
        statistics = [np.abs(residuals[list(order)][-after:]).sum() for order in orders]
        return np.mean(np.array(statistics) >= np.abs(residuals[-after:]).sum() - 1e-12)

    shifts = [np.roll(np.arange(7), k) for k in range(7)]
    block = conformal_test(data, ["d0"], 7 - after, 0.3, alpha=0.5)
    iid = conformal_test(data, ["d0"], 7 - after, 0.3, permutations="iid", alpha=0.5)
    assert block.p_value == pytest.approx(share(shifts))
    assert iid.p_value == pytest.approx(share(itertools.permutations(range(7))))
    assert iid.smallest_p == 1 / math.comb(7, after) and iid.exact
    assert block.statistic == pytest.approx(np.abs(residuals[-after:]).sum() / math.sqrt(after))
    drawn = conformal_test(data, ["d0"], 7 - after, 0.3, permutations="iid", alpha=0.5, max_permutations=6)
    assert not drawn.exact and drawn.n_permutations == 7


def test_drawn_permutations_come_near_all_of_them():
    data = panel(4)
    every = conformal_test(data, ["d0"], 8, 0.5, permutations="iid")
    drawn = conformal_test(data, ["d0"], 8, 0.5, permutations="iid", max_permutations=400, seed=2)
    again = conformal_test(data, ["d0"], 8, 0.5, permutations="iid", max_permutations=400, seed=2)
    assert every.exact and not drawn.exact
    assert abs(every.p_value - drawn.p_value) < 0.09 and drawn.p_value == again.p_value


def test_the_effect_is_one_number_or_one_by_period():
    data, path = panel(5), np.array([1.0, -2.0, 0.5])
    raised = data.copy()
    raised.loc["d0", 9:] += path
    first, second = conformal_test(data, ["d0"], 9), conformal_test(raised, ["d0"], 9, path)
    np.testing.assert_allclose(first.residuals, second.residuals, atol=1e-10)
    assert first.p_value == second.p_value
    assert list(second.to_frame()["effect"]) == [0.0] * 9 + list(path)


def test_size_under_exchangeable_periods():
    """Periods drawn independently from one law: p is uniform on multiples of 1/12."""
    p_values = np.array([conformal_test(panel(seed), ["d0"], 11).p_value for seed in range(400)])
    for level in (1 / 12, 3 / 12, 6 / 12):
        assert abs((p_values <= level + 1e-9).mean() - level) < 4 * math.sqrt(level * (1 - level) / 400)


def test_the_interval_inverts_the_test():
    data = panel(6)
    data.loc["d0", 9:] += 4
    for permutations in ("moving block", "iid"):
        found = conformal_interval(data, ["d0"], 9, permutations=permutations, alpha=0.1)
        step = 1e-5 * (found.high - found.low)

        def p_of(effect, permutations=permutations):
            return conformal_test(data, ["d0"], 9, effect, permutations=permutations).p_value

        assert p_of(found.low) > 0.1 >= p_of(found.low - step)
        assert p_of(found.high) > 0.1 >= p_of(found.high + step)
        assert found.low < 4 < found.high
        for effect in found.p_values.index[::40]:
            assert found.p_values[effect] == p_of(effect)
        assert list(found.to_frame()["kept"]) == list(found.p_values > 0.1)


def test_the_interval_on_a_given_grid():
    data = panel(6)
    grid = np.linspace(-3, 3, 25)
    found = conformal_interval(data, ["d0"], 9, grid=grid)
    kept = [effect for effect in grid if conformal_test(data, ["d0"], 9, effect).p_value > 0.1]
    assert (found.low, found.high) == (kept[0], kept[-1])
    assert found.connected == (np.diff(np.searchsorted(grid, kept)) == 1).all()
    with pytest.raises(DesignError, match="every constant effect"):
        conformal_interval(data, ["d0"], 9, grid=[500.0, 600.0])


def test_the_interval_is_infinite_where_the_draws_cannot_reject():
    """One period of 12 after: among 11 draws, one or more leave the observed residual in its place."""
    found = conformal_interval(panel(6), ["d0"], 11, permutations="iid", max_permutations=11)
    assert not found.exact and (found.low, found.high) == (-math.inf, math.inf)
    every = conformal_interval(panel(6), ["d0"], 11, permutations="iid")
    assert every.exact and math.isfinite(every.low) and math.isfinite(every.high)


def test_laws():
    data = panel(7)
    kept = data.copy()
    first = conformal_interval(data, ["d0", "d1"], 9)
    moved = conformal_interval(data.sample(frac=1, random_state=1), ["d1", "d0"], 9)
    assert (moved.low, moved.high) == (pytest.approx(first.low, abs=1e-6), pytest.approx(first.high, abs=1e-6))
    raised = data.copy()
    raised.loc[["d0", "d1"], 9:] += 7
    shifted = conformal_interval(raised, ["d0", "d1"], 9)
    assert (shifted.low, shifted.high) == (
        pytest.approx(first.low + 7, abs=1e-6),
        pytest.approx(first.high + 7, abs=1e-6),
    )
    scaled = conformal_interval(1e-6 * data, ["d0", "d1"], 9)
    assert scaled.low == pytest.approx(1e-6 * first.low, rel=1e-5)
    pd.testing.assert_frame_equal(data, kept)


def test_bad_input_is_refused():
    data = panel(8)
    cases = [
        ({"alpha": 0.05}, "12 permutations cannot reject"),
        ({"alpha": 1.5}, "alpha is 1.5"),
        ({"permutations": "block"}, "permutations is 'block'"),
        ({"donors": {"d0": ["d1", "d2"]}}, "donors is a mapping"),
        ({"donors": ["d0", "d1"]}, "treated units in a pool"),
        ({"donors": ["d1"]}, "fewer than two donors"),
        ({"max_permutations": 0}, "max_permutations 0"),
        ({"max_permutations": 5, "permutations": "iid"}, "6 permutations cannot reject"),
    ]
    for options, message in cases:
        for function in (conformal_test, conformal_interval):
            with pytest.raises(DesignError, match=message):
                function(data, ["d0"], 9, **options)
    for effect in ([1.0, 2.0], np.nan, [[1.0, 2.0, 3.0]]):
        with pytest.raises(DesignError, match="effect has shape"):
            conformal_test(data, ["d0"], 9, effect)
    for grid in ([1.0], [2.0, 1.0], [0.0, np.inf]):
        with pytest.raises(DesignError, match="increasing numbers"):
            conformal_interval(data, ["d0"], 9, grid=grid)
    with pytest.raises(DesignError, match="no period before 0"):
        conformal_test(data, ["d0"], 0)
