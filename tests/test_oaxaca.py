"""Oaxaca-Blinder: exact sums, Stata's and R's figures, statsmodels, closed forms, refusals."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.datasets import ccard
from statsmodels.stats.oaxaca import OaxacaBlinder as PeerOaxaca

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.inequality import gini
from tne_eval.indicators.influence import linearized_error, recentered_influence
from tne_eval.indicators.oaxaca import Part, oaxaca_blinder

REFERENCE = Path(__file__).parent / "reference"
NAMES = ["AGE", "INCOME", "INCOMESQ"]


def drawn(seed, rows=60):
    rng = np.random.default_rng(seed)
    group = np.repeat(["public", "private"], [rows * 2 // 3, rows - rows * 2 // 3])
    table = pd.DataFrame({"ips": rng.normal(100, 15, rows), "weight": rng.gamma(2, size=rows)})
    table["ips"] += 10 * (group == "private")
    value = 0.1 * table["ips"] + table["weight"] + (group == "private") + rng.normal(size=rows) * 2
    return value, table, group, rng.integers(1, 5, rows)


def test_figures_of_stata():
    """Stata's `oaxaca` (Jann 2008) on Greene's credit cards, as kept in the tests of statsmodels."""
    data = ccard.load_pandas()
    first, second = 1 - data.exog["OWNRENT"], data.exog["OWNRENT"]
    owners_first = oaxaca_blinder(data.endog, data.exog[NAMES], first, reference="pooled")
    assert owners_first.gap.value == pytest.approx(158.7504, abs=5e-5)
    assert owners_first.explained.value == pytest.approx(130.8095, abs=5e-5)
    assert owners_first.unexplained.value == pytest.approx(27.94091, abs=5e-5)
    assert owners_first.endowments.value == pytest.approx(321.7482, abs=5e-5)
    assert owners_first.coefficients.value == pytest.approx(75.45371, abs=5e-5)
    assert owners_first.interaction.value == pytest.approx(-238.4515, abs=5e-5)
    renters_first = oaxaca_blinder(data.endog, data.exog[NAMES], second)
    assert renters_first.gap.value == pytest.approx(-158.7504, abs=5e-5)
    assert renters_first.endowments.value == pytest.approx(-83.29674, abs=5e-5)
    assert renters_first.coefficients.value == pytest.approx(162.9978, abs=5e-5)


def test_values_of_statsmodels():
    data = ccard.load_pandas()
    peer = PeerOaxaca(data.endog, data.exog[["OWNRENT", *NAMES]], "OWNRENT", hasconst=False, swap=False)
    # Without swap, statsmodels gives the group 0 less the group 1, as sorted labels do here.
    ours = oaxaca_blinder(data.endog, data.exog[NAMES], data.exog["OWNRENT"])
    endowments, coefficients, interaction, gap = peer.three_fold().params
    assert (ours.endowments.value, ours.coefficients.value, ours.interaction.value, ours.gap.value) == pytest.approx(
        (endowments, coefficients, interaction, gap), rel=1e-8
    )
    for theirs, reference in {"pooled": "pooled", "self_submitted": "first"}.items():
        weight = {"submitted_weight": 1} if theirs == "self_submitted" else {}
        unexplained, explained, _ = peer.two_fold(two_fold_type=theirs, **weight).params
        ours = oaxaca_blinder(data.endog, data.exog[NAMES], data.exog["OWNRENT"], reference=reference)
        assert (ours.explained.value, ours.unexplained.value) == pytest.approx((explained, unexplained), rel=1e-8)


@pytest.mark.parametrize("reference", ["pooled", "first", "second"])
@pytest.mark.parametrize("clustered", [False, True])
def test_values_and_errors_of_r(reference, clustered):
    """lm with sandwich, weighted, with and without clusters: made by tests/reference/oaxaca.R."""
    cars = pd.read_csv(REFERENCE / "mtcars.csv")
    wanted = pd.read_csv(REFERENCE / "oaxaca_R.csv")
    wanted = wanted[(wanted["reference"] == reference) & (wanted["clustered"] == clustered)]
    assert len(wanted) == 10
    result = oaxaca_blinder(
        cars["mpg"],
        cars[["wt", "hp"]],
        cars["am"],
        cars["gear"],
        reference,
        cluster=cars["carb"] if clustered else None,
    )
    detail = result.frame.set_index("characteristic")
    for row in wanted.itertuples():
        if row.characteristic == "all":
            found = getattr(result, row.part)
        else:
            found = Part(*detail.loc[row.characteristic, [row.part, f"{row.part}_error"]])
        assert found.value == pytest.approx(row.value, rel=1e-8)
        assert found.error == pytest.approx(row.error, rel=1e-6)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["pooled", "first", "second"]))
@settings(max_examples=40, deadline=None)
def test_laws(seed, reference):
    value, table, group, weight = drawn(seed)
    result = oaxaca_blinder(value, table, group, weight, reference)
    assert (result.first, result.second) == ("private", "public")
    gap = np.average(value[group == "private"], weights=weight[group == "private"])
    gap -= np.average(value[group == "public"], weights=weight[group == "public"])
    assert result.gap.value == pytest.approx(gap, abs=1e-10)
    assert result.explained.value + result.unexplained.value == pytest.approx(gap, abs=1e-10)
    threefold = result.endowments.value + result.coefficients.value + result.interaction.value
    assert threefold == pytest.approx(gap, abs=1e-10)
    if reference == "second":
        assert result.explained.value == pytest.approx(result.endowments.value)
    for part in ("explained", "unexplained"):
        assert result.frame[part].sum() == pytest.approx(getattr(result, part).value, abs=1e-10)
    # Another unit, another order, weights k for k copies: the same parts.
    order = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(value)), weight))
    scaled = (table * [0.01, 30]).iloc[order]
    other = oaxaca_blinder(value.to_numpy()[order], scaled, group[order], None, reference)
    for name in ("gap", "explained", "unexplained", "endowments", "coefficients", "interaction"):
        assert getattr(other, name).value == pytest.approx(getattr(result, name).value, abs=1e-8)
    swapped = oaxaca_blinder(value, table, np.where(group == "public", "a", "b"), weight, reference)
    assert swapped.gap == pytest.approx((-result.gap.value, result.gap.error))


def test_linear_models_without_noise_come_back():
    rng = np.random.default_rng(1)
    x = rng.normal([3, -1], 1, size=(30, 2))
    group = np.arange(30) % 3 == 0
    value = np.where(group, 1 + x @ [2, 1], 4 + x @ [2, 1])
    result = oaxaca_blinder(value, x, group)
    means = x[~group].mean(axis=0) - x[group].mean(axis=0)
    assert result.frame["characteristic"].tolist() == ["characteristic 1", "characteristic 2", "constant"]
    assert result.explained.value == pytest.approx(means @ [2, 1])
    assert result.unexplained.value == pytest.approx(3)
    assert result.unexplained.error == pytest.approx(0, abs=1e-12)
    assert result.interaction.value == pytest.approx(0, abs=1e-12)
    steeper = oaxaca_blinder(np.where(group, value, 4 + x @ [2.5, 1]), x, group, reference="second")
    assert steeper.explained.value == pytest.approx(means @ [2, 1])
    assert steeper.interaction.value == pytest.approx(0.5 * means[0])
    assert steeper.coefficients.value == pytest.approx(3 + 0.5 * x[group, 0].mean())


def test_error_of_the_gap_is_that_of_two_means():
    value, table, group, _ = drawn(2)
    sides = [value[group == label] for label in ("private", "public")]
    welch = np.sqrt(sum(side.var(ddof=1) / len(side) for side in sides))
    assert oaxaca_blinder(value, table, group).gap.error == pytest.approx(welch, rel=0.05)


def test_errors_against_the_spread_of_repeated_samples():
    """600 samples of a heteroskedastic model: mean squared error within the Monte-Carlo margin (± 3 × 2.9 %)."""
    parts = {name: [] for name in ("gap", "explained", "unexplained", "endowments", "coefficients")}
    rng = np.random.default_rng(3)
    for _ in range(600):
        group = np.arange(200) % 4 == 0
        x = rng.normal(size=200) + 0.5 * group
        value = x * (1 + 0.5 * group) + rng.normal(size=200) * (1 + 0.5 * np.abs(x))
        result = oaxaca_blinder(value, x[:, None], group)
        for name, values in parts.items():
            values.append(getattr(result, name))
    for name, values in parts.items():
        values = np.array(values)
        assert np.sqrt(np.mean(values[:, 1] ** 2)) == pytest.approx(values[:, 0].std(), rel=0.09), name


@pytest.mark.parametrize("statistic", ["gini", "quantile(0.1)", "variance"])
def test_recentred_influence_form(statistic):
    """The value is the recentred influence function of each group by itself (Firpo, Fortin and Lemieux 2018)."""
    value, table, group, weight = drawn(4, rows=120)
    value = value - value.min() + 1
    influence = np.empty(len(value))
    for label in ("public", "private"):
        side = group == label
        influence[side] = recentered_influence(value[side], statistic, weight[side])
    expected = oaxaca_blinder(influence, table, group, weight)
    found = oaxaca_blinder(value, table, group, weight, statistic=statistic)
    for field in fields(found):
        if field.name != "frame":
            assert getattr(found, field.name) == getattr(expected, field.name)
    pd.testing.assert_frame_equal(found.frame, expected.frame)
    assert found.explained.value + found.unexplained.value == pytest.approx(found.gap.value)


def test_gap_in_gini():
    value, table, group, weight = drawn(5, rows=300)
    value = value - value.min() + 1
    found = oaxaca_blinder(value, table, group, weight, statistic="gini")
    private = group == "private"
    expected = gini(value[private], weight[private]) - gini(value[~private], weight[~private])
    assert found.gap.value == pytest.approx(expected, abs=1e-10)
    errors = [linearized_error("gini", value[side], weight[side]) for side in (private, ~private)]
    assert found.gap.error == pytest.approx(np.hypot(*errors), rel=0.03)


def test_rows_without_weight_do_not_count():
    value, table, group, weight = drawn(6)
    expected = oaxaca_blinder(value, table, group, weight)
    more = pd.concat([table, table.iloc[:3]])
    found = oaxaca_blinder([*value, 0, 0, 0], more, [*group, "other", "public", "private"], [*weight, 0, 0, 0])
    assert found.gap == pytest.approx(expected.gap)
    assert found.unexplained == pytest.approx(expected.unexplained)


def test_the_caller_keeps_the_data():
    value, table, group, weight = drawn(7)
    kept = value.copy(), table.copy()
    oaxaca_blinder(value - value.min() + 1, table, group, weight, statistic="gini")
    oaxaca_blinder(value, table, group, weight)
    pd.testing.assert_series_equal(value, kept[0])
    pd.testing.assert_frame_equal(table, kept[1])


X = np.array([1.0, 2, 4, 3, 5, 2, 7, 1])
G = list("aaaabbbb")
Y = np.array([1.0, 3, 2, 4, 6, 5, 7, 9])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: oaxaca_blinder(Y, X[:, None], ["a"] * 8), "1 groups"),
        (lambda: oaxaca_blinder(Y, X[:, None], list("aaabbbcc")), "3 groups"),
        (lambda: oaxaca_blinder(Y, X[:, None], G, [1, 1, 1, 1, 0, 0, 0, 0]), "1 groups"),
        (lambda: oaxaca_blinder(Y, X[:, None], [*G[:7], None]), "missing labels"),
        (lambda: oaxaca_blinder(Y, X[:, None], G[:7]), "shape"),
        (lambda: oaxaca_blinder(Y[:7], X[:, None], G), "shape"),
        (lambda: oaxaca_blinder(Y, X, G), "two dimensions"),
        (lambda: oaxaca_blinder(Y, X[:7, None], G), "shape"),
        (lambda: oaxaca_blinder([*Y[:7], np.nan], X[:, None], G), "missing or infinite"),
        (lambda: oaxaca_blinder(Y, np.where(X == 7, np.inf, X)[:, None], G), "missing or infinite"),
        (lambda: oaxaca_blinder(Y, pd.DataFrame({"level": list("abababab")}), G), "else than numbers"),
        (lambda: oaxaca_blinder(Y, X[:, None], G, [1, 1, 1, 1, 1, 1, 1, -1]), "weights"),
        (lambda: oaxaca_blinder(Y, X[:, None], list("aabbbbbb")), "too few rows in group 'a'"),
        (lambda: oaxaca_blinder(Y, np.column_stack([X, X**2, X**3]), G), "too few rows"),
        (lambda: oaxaca_blinder(Y, pd.DataFrame({"x": X, "twice": 2 * X + 1}), G), "twice"),
        (lambda: oaxaca_blinder(Y, pd.DataFrame({"x": X, "flat": 2012.0}), G), "flat"),
        (lambda: oaxaca_blinder(Y, pd.DataFrame({"x": X, "zero": X * 0}), G), "zero"),
        (lambda: oaxaca_blinder(Y, pd.DataFrame({"x": X, "only b": [0, 0, 0, 0, 1, 0, 1, 0]}), G), "group 'a'"),
        (lambda: oaxaca_blinder(Y, X[:, None], G, reference="mean"), "unknown reference"),
        (lambda: oaxaca_blinder(Y, X[:, None], G, cluster=[1] * 8), "too few clusters"),
        (lambda: oaxaca_blinder(Y, X[:, None], G, cluster=[1, 2, 3, 4, 5, 5, 6, 6]), "too few clusters in group 'b'"),
        (lambda: oaxaca_blinder(Y, X[:, None], G, cluster=[1] * 7), "shape"),
        (lambda: oaxaca_blinder(-Y, X[:, None], G, statistic="gini"), ""),
    ],
)
def test_refusals(call, words):
    with pytest.raises(DesignError) as refusal:
        call()
    assert words in str(refusal.value)


def test_an_unknown_statistic_is_named():
    with pytest.raises(UnknownNameError, match="ginni"):
        oaxaca_blinder(Y, X[:, None], G, statistic="ginni")
