"""Decompositions of inequality: exact sums, brute force, closed forms, a peer, refusals."""

from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tne_eval.errors import DesignError, UnknownNameError
from tne_eval.indicators.decompose import (
    decompose_entropy,
    decompose_gini,
    decompose_gini_sources,
    shapley,
    shapley_shares,
)
from tne_eval.indicators.inequality import atkinson, concentration_index, generalized_entropy, gini

REFERENCE = Path(__file__).parent / "reference"
ALPHAS = [-1, 0, 0.5, 1, 2]


def drawn(seed, rows=20):
    rng = np.random.default_rng(seed)
    group = np.array(["rural", "town", "city"])[rng.integers(0, 3, rows)]
    group[:3] = ["rural", "town", "city"]
    return rng.gamma(2, size=rows) + 0.01, group, rng.integers(1, 6, rows)


@pytest.mark.opendata
def test_theil_decomposition_of_pysal(reference_data):
    """Sizes of the schools of schools00 between and within states; made by tests/reference/segregation_pysal.py."""
    peer = pd.read_csv(REFERENCE / "segregation_pysal.csv", index_col="statistic")["value"]
    rows = reference_data("segregation_schools00.csv.gz")
    pupils = rows.groupby(["state", "school"])["n"].sum()
    result = decompose_entropy(pupils, pupils.index.get_level_values("state"), 1)
    for name in ("total", "between", "within"):
        assert getattr(result, name) == pytest.approx(peer[f"theil {name}"], abs=1e-10)


@given(st.integers(0, 2**32 - 1), st.sampled_from(ALPHAS))
@settings(max_examples=80, deadline=None)
def test_entropy_is_between_plus_within(seed, alpha):
    value, group, weight = drawn(seed)
    result = decompose_entropy(value, group, alpha, weight)
    assert result.total == pytest.approx(generalized_entropy(value, alpha, weight), abs=1e-13)
    assert result.total == pytest.approx(result.between + result.within, rel=1e-10, abs=1e-13)
    # Within is what is left when every group has its mean: between, by the definition of Shorrocks (1980).
    means = pd.Series(value * weight).groupby(group).transform("sum") / pd.Series(weight).groupby(group).transform(
        "sum"
    )
    assert result.between == pytest.approx(generalized_entropy(means, alpha, weight), rel=1e-10, abs=1e-13)
    for row in result.frame.itertuples():
        held = group == row.group
        assert row.index == pytest.approx(generalized_entropy(value[held], alpha, weight[held]), abs=1e-13)
        assert row.population_share == pytest.approx(weight[held].sum() / weight.sum())
        assert row.value_share == pytest.approx(np.sum((weight * value)[held]) / np.sum(weight * value))
    assert result.frame["contribution"].sum() == pytest.approx(result.within)
    assert 0 <= result.between_percent <= 100


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=80, deadline=None)
def test_gini_by_subgroup(seed):
    """Overlap by its own definition: Gini less the concentration by rank of the group mean, then of the value."""
    value, group, weight = drawn(seed)
    result = decompose_gini(value, group, weight)
    assert result.total == pytest.approx(gini(value, weight), abs=1e-14)
    mean = result.frame.set_index("group")["mean"].reindex(group).to_numpy()
    place = np.empty(len(value))
    place[np.lexsort((value, mean))] = np.arange(len(value))
    ordered = concentration_index(value, place, weight)
    assert result.overlap == pytest.approx(result.total - ordered, abs=1e-12)
    assert result.overlap >= -1e-15
    assert result.between + result.within == pytest.approx(ordered, abs=1e-12)
    assert result.between == pytest.approx(gini(mean, weight), abs=1e-12)


def test_gini_of_groups_that_do_not_overlap():
    result = decompose_gini([1, 2, 10, 30], ["poor", "poor", "rich", "rich"])
    assert result.overlap == pytest.approx(0, abs=1e-15)
    # Means 1.5 and 20: between = ½ (40/43) − ½ (3/43)… = 37/86; within = ½·3/43·1/6 + ½·40/43·1/4.
    assert result.between == pytest.approx(37 / 86)
    assert result.within == pytest.approx(1 / 172 + 5 / 43)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_gini_by_source(seed):
    rng = np.random.default_rng(seed)
    sources = pd.DataFrame(rng.gamma(2, size=(15, 3)), columns=["wages", "rents", "weight"])
    sources["tax"] = -0.2 * sources["wages"] - 0.01
    weight = rng.integers(1, 5, 15)
    total = sources.sum(axis=1)
    result = decompose_gini_sources(sources, weight)
    assert result.total == pytest.approx(gini(total, weight), abs=1e-14)
    assert result.frame["contribution"].sum() == pytest.approx(result.total, abs=1e-12)
    assert result.frame["share"].sum() == pytest.approx(1)
    product = result.frame["share"] * result.frame["gini"] * result.frame["correlation"]
    assert product.to_numpy() == pytest.approx(result.frame["contribution"].to_numpy(), abs=1e-12)
    for row in result.frame.iloc[:3].itertuples():
        assert row.gini == pytest.approx(gini(sources[row.source], weight), abs=1e-12)
        assert row.correlation * row.gini == pytest.approx(
            concentration_index(sources[row.source], total, weight), abs=1e-12
        )
    assert (result.frame["correlation"].abs() <= 1 + 1e-12).all()


def test_sources_that_are_proportional_or_constant():
    result = decompose_gini_sources(pd.DataFrame({"half": [1, 2, 3], "same": [1, 2, 3], "flat": [2, 2, 2]}))
    assert result.frame["correlation"].tolist() == pytest.approx([1, 1, 0])
    assert result.frame["contribution"].tolist() == pytest.approx([result.total / 2, result.total / 2, 0])
    assert decompose_gini_sources([[1, 2], [3, 4]]).frame["source"].tolist() == ["source 1", "source 2"]


def test_shapley_is_the_mean_over_orders_of_arrival():
    """All 24 orders, one by one, for a figure without structure."""
    rng = np.random.default_rng(5)
    names = ["a", "b", "c", "d"]
    figures = {}

    def figure(subset):
        return figures.setdefault(subset, rng.normal())

    values = shapley(figure, names)
    for name in names:
        gains = []
        for order in permutations(names):
            before = frozenset(order[: order.index(name)])
            gains.append(figures[before | {name}] - figures[before])
        assert values[name] == pytest.approx(np.mean(gains), abs=1e-12)
    assert values.sum() == pytest.approx(figures[frozenset(names)] - figures[frozenset()])
    assert len(figures) == 16


def test_shapley_of_the_airport_game():
    """Littlechild and Owen (1973): each user pays an equal part of each stretch that it needs."""
    cost = {"small": 3, "middle": 8, "large": 10}
    values = shapley(lambda subset: max((cost[name] for name in subset), default=0), list(cost))
    assert values.tolist() == pytest.approx([1, 3.5, 5.5])


def test_shapley_shares_of_a_variance_are_covariances():
    rng = np.random.default_rng(6)
    parts = pd.DataFrame(rng.normal(size=(40, 4)) @ rng.normal(size=(4, 4)), columns=list("abcd"))
    weight = rng.integers(1, 5, 40)
    found = shapley_shares(parts, "variance", weight)
    whole = parts.sum(axis=1)
    centred = whole - np.average(whole, weights=weight)
    expected = [np.average(centred * parts[name], weights=weight) for name in parts]
    assert found["component"].tolist() == list("abcd")
    assert found["contribution"].tolist() == pytest.approx(expected, abs=1e-12)
    assert found["share"].tolist() == pytest.approx(np.array(expected) / sum(expected))


@pytest.mark.parametrize("statistic", ["gini", "theil_t", partial(atkinson, epsilon=0.5), "generalized_entropy(2)"])
def test_shapley_shares_sum_to_the_inequality(statistic):
    rng = np.random.default_rng(7)
    parts = pd.DataFrame(rng.gamma(2, size=(30, 3)), columns=["access", "use", "weight"]).assign(flat=3.0)
    found = shapley_shares(parts, statistic).set_index("component")
    whole = {"gini": gini, "theil_t": lambda v: generalized_entropy(v, 1)}.get(
        statistic, (lambda v: atkinson(v, 0.5)) if callable(statistic) else lambda v: generalized_entropy(v, 2)
    )(parts.sum(axis=1))
    assert found["contribution"].sum() == pytest.approx(whole, abs=1e-12)
    assert found["share"].sum() == pytest.approx(1)
    assert found.loc["flat", "contribution"] == pytest.approx(0, abs=1e-12)


def test_alike_components_have_alike_shares():
    part = np.random.default_rng(8).gamma(2, size=25)
    shares = shapley_shares(np.column_stack([part, part, part + 1]), "gini")["share"]
    assert shares.tolist() == pytest.approx([1 / 3] * 3)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_invariance(seed):
    """Weight k is k copies; order of rows, unit and names of groups change nothing; rows without weight neither."""
    value, group, weight = drawn(seed)
    rng = np.random.default_rng(seed)
    copies = rng.permutation(np.repeat(np.arange(len(value)), weight))
    names = {"rural": 3, "town": 1, "city": 2}
    renamed = np.array([names[label] for label in group])
    more = (np.append(value, 99), np.append(group, "sea"), np.append(weight, 0))
    for decompose in (partial(decompose_entropy, alpha=0), partial(decompose_entropy, alpha=2), decompose_gini):
        expected = decompose(value, group, weight=weight)
        for other in (
            decompose(value[copies] * 7, group[copies]),
            decompose(value, renamed, weight=weight),
            decompose(more[0], more[1], weight=more[2]),
        ):
            assert other.total == pytest.approx(expected.total, abs=1e-12)
            assert other.between == pytest.approx(expected.between, abs=1e-12)
            assert other.within == pytest.approx(expected.within, abs=1e-12)
            assert len(other.frame) == 3


def test_a_group_of_one_unit_or_of_zeros_has_no_inequality():
    value, group = [0, 0, 5, 3, 4], ["zeros", "zeros", "one", "rest", "rest"]
    for result in (
        decompose_entropy(value, group, 1),
        decompose_entropy(value, group, 2),
        decompose_gini(value, group),
    ):
        frame = result.frame.set_index("group")
        assert frame.loc[["zeros", "one"], ["index", "contribution"]].eq(0).all(axis=None)
        assert result.total == pytest.approx(result.between + result.within + getattr(result, "overlap", 0))


def test_equality_has_no_percent():
    assert decompose_entropy([2, 2, 2], ["a", "b", "b"], 1).between_percent == 0


def test_the_caller_keeps_the_data():
    value, group, weight = drawn(9)
    kept = value.copy(), group.copy(), weight.copy()
    decompose_entropy(value, group, 1, weight)
    decompose_gini(value, group, weight)
    for now, before in zip((value, group, weight), kept, strict=True):
        assert np.array_equal(now, before)


TABLE = [[1.0, 2.0], [3.0, 1.0], [2.0, 2.0]]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: decompose_entropy([1, 2, 3], ["a", "a", "a"], 1), "fewer than two groups"),
        (lambda: decompose_entropy([1, 2, 3], ["a", "b", "b"], 1, [0, 1, 1]), "fewer than two groups"),
        (lambda: decompose_entropy([1, 2, 3], ["a", "b"], 1), "shape"),
        (lambda: decompose_entropy([1, 2, 3], ["a", "b", None], 1), "missing labels"),
        (lambda: decompose_entropy([1, np.nan, 3], ["a", "b", "b"], 1), "missing or infinite"),
        (lambda: decompose_entropy([1, -2, 3], ["a", "b", "b"], 1), ""),
        (lambda: decompose_entropy([1, 0, 3], ["a", "b", "b"], 0), ""),
        (lambda: decompose_entropy([], [], 1), ""),
        (lambda: decompose_entropy([1, 2, 3], ["a", "b", "b"], 1, [0, 0, 0]), "weights"),
        (lambda: decompose_gini([1, -2, 3], ["a", "b", "b"]), "zero or more"),
        (lambda: decompose_gini([0, 0, 0], ["a", "b", "b"]), "positive mean"),
        (lambda: decompose_gini([1, 2, 3], ["a", "b", "b"], [1, 1]), "shape"),
        (lambda: decompose_gini_sources([[1], [2]]), "fewer than two sources"),
        (lambda: decompose_gini_sources([1, 2]), "two dimensions"),
        (lambda: decompose_gini_sources([[1, 1], [2, -1]]), "mean of zero"),
        (lambda: decompose_gini_sources([[1, -2], [2, -1]]), "zero or more"),
        (lambda: decompose_gini_sources([[1, np.inf], [2, 1]]), "missing or infinite"),
        (lambda: decompose_gini_sources([[1, "a"], [2, "b"]]), "else than numbers"),
        (lambda: decompose_gini_sources(pd.DataFrame(TABLE, columns=["a", "a"])), "same name"),
        (lambda: decompose_gini_sources(TABLE, [1, 1]), "shape"),
        (lambda: shapley(len, ["a", "a"]), "1 different"),
        (lambda: shapley(len, []), "0 factors"),
        (lambda: shapley(len, list("abcdefghijklm")), "13 factors"),
        (lambda: shapley(lambda subset: np.nan if "b" in subset else 0, ["a", "b"]), "['b']"),
        (lambda: shapley_shares([[1, 2], [2, 1], [3, 0]]), "does not vary"),
        (lambda: shapley_shares([[0.1, 0.2], [0.1, 0.2]]), "does not vary"),
        (lambda: shapley_shares([[1], [2]]), "fewer than two components"),
        (lambda: shapley_shares(np.random.default_rng(0).random((5, 13))), "13 factors"),
        (lambda: shapley_shares(TABLE, "gini", [1, 1]), "shape"),
        (lambda: shapley_shares([[1, -5], [2, 1]], "gini"), ""),
        (lambda: shapley_shares(TABLE, "mean"), "no dispersion"),
        (lambda: shapley_shares(TABLE, "quantile_ratio(0.9, 0.1)"), "no dispersion"),
    ],
)
def test_refusals(call, words):
    with pytest.raises(DesignError) as refusal:
        call()
    assert words in str(refusal.value)


def test_an_unknown_statistic_is_named():
    with pytest.raises(UnknownNameError, match="generalised"):
        shapley_shares(TABLE, "generalised")
