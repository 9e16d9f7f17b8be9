"""Variance shares: closed forms, laws of the decomposition, refusals."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tne_eval.errors import DesignError
from tne_eval.indicators.sensitivity import crossing_shares, largest_crossing, sobol_shares


def crossing(*sizes: int) -> pd.DataFrame:
    rows = itertools.product(*(range(size) for size in sizes))
    return pd.DataFrame(rows, columns=[f"c{place}" for place in range(len(sizes))])


def ishigami(points):
    x = np.pi * (2 * points - 1)
    return np.sin(x[:, 0]) + 7 * np.sin(x[:, 1]) ** 2 + 0.1 * x[:, 2] ** 4 * np.sin(x[:, 0])


def test_ishigami_in_closed_form():
    """Ishigami and Homma 1990, a = 7, b = 0.1: the shares are known exactly."""
    a, b = 7, 0.1
    variance = a**2 / 8 + b * np.pi**4 / 5 + b**2 * np.pi**8 / 18 + 0.5
    alone = np.array([0.5 * (1 + b * np.pi**4 / 5) ** 2, a**2 / 8, 0]) / variance
    mixed = b**2 * np.pi**8 * (1 / 18 - 1 / 50) / variance
    assert alone == pytest.approx([0.3139, 0.4424, 0], abs=5e-5)
    shares = sobol_shares(ishigami, 3, 8192, seed=4)
    assert shares.first == pytest.approx(alone, abs=0.01)
    assert shares.total == pytest.approx(alone + np.array([mixed, 0, mixed]), abs=0.01)


def test_g_function_in_closed_form_and_several_outputs():
    """Saltelli and Sobol 1995; the second output has its inputs in reverse, the third never moves."""
    a = np.array([0, 0.5, 3, 9.0])

    def g(points):
        return np.prod((np.abs(4 * points - 2) + a) / (1 + a), axis=1)

    part = 1 / (3 * (1 + a) ** 2)
    variance = np.prod(1 + part) - 1
    first, total = part / variance, part * np.prod(1 + part) / (1 + part) / variance
    shares = sobol_shares(lambda x: np.column_stack([g(x), g(x[:, ::-1]), np.full(len(x), 3.0)]), 4, 8192, seed=1)
    assert shares.first.shape == shares.total.shape == (4, 3)
    for output, order in ((0, slice(None)), (1, slice(None, None, -1))):
        assert shares.first[:, output] == pytest.approx(first[order], abs=0.015)
        assert shares.total[:, output] == pytest.approx(total[order], abs=0.015)
    assert not shares.first[:, 2].any() and not shares.total[:, 2].any()


def test_the_seed_alone_decides():
    one, same, other = (sobol_shares(ishigami, 3, 256, seed) for seed in (1, 1, 2))
    assert (one.first == same.first).all() and (one.first != other.first).any()


def test_choices_that_add_and_choices_that_only_interact():
    choices = crossing(2, 2)
    added = crossing_shares(choices, 3 * choices["c0"] + 4 * choices["c1"])
    assert added.first == pytest.approx([9 / 25, 16 / 25]) and added.total == pytest.approx(added.first)
    mixed = crossing_shares(choices, choices["c0"] ^ choices["c1"])
    assert mixed.first == pytest.approx([0, 0]) and mixed.total == pytest.approx([1, 1])
    still = crossing_shares(choices, np.full((4, 2), 0.1 + 0.2))
    assert not still.first.any() and not still.total.any() and still.first.shape == (2, 2)


@given(
    st.lists(st.integers(1, 3), min_size=1, max_size=3).flatmap(
        lambda sizes: st.tuples(
            st.just(sizes),
            st.lists(st.integers(-50, 50), min_size=int(np.prod(sizes)), max_size=int(np.prod(sizes))),
            st.randoms(use_true_random=False),
        )
    )
)
def test_shares_are_those_of_the_analysis_of_variance(case):
    """Against the parts of all subsets of choices, by inclusion and exclusion; the order of rows is nothing."""
    sizes, values, random = case
    choices, output = crossing(*sizes), np.array(values, float)
    cube = output.reshape(sizes)
    places = range(len(sizes))
    subsets = [set(s) for size in range(len(sizes) + 1) for s in itertools.combinations(places, size)]
    closed = {tuple(s): cube.mean(axis=tuple(set(places) - s)).var() for s in subsets}
    part = {
        tuple(s): sum((-1) ** len(s - other) * closed[tuple(other)] for other in subsets if other <= s) for s in subsets
    }
    order = list(range(len(output)))
    random.shuffle(order)
    shares = crossing_shares(choices.iloc[order], output[order])
    variance = output.var() or 1
    assert shares.first == pytest.approx([part[(i,)] / variance for i in places], abs=1e-9)
    assert shares.total == pytest.approx(
        [sum(p for s, p in part.items() if i in s) / variance for i in places], abs=1e-9
    )
    assert (shares.first <= shares.total + 1e-12).all() and shares.first.sum() <= 1 + 1e-9


def test_the_largest_crossing_varies_most_choices():
    levels = {"scale": ("a", "b", "z"), "mean": ("sum", "product")}
    kept = largest_crossing(levels, lambda one: not (one["scale"] == "z" and one["mean"] == "product"))
    assert kept == {"scale": ("a", "b"), "mean": ("sum", "product")}
    assert largest_crossing(levels, lambda one: True) == levels
    # One choice of three levels is more combinations than none, and two choices that vary are not to be had here.
    line = largest_crossing(levels, lambda one: one["mean"] == "sum")
    assert line == {"scale": ("a", "b", "z"), "mean": ("sum",)}


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda: crossing_shares(crossing(2, 2), [1, 2, 3]), "shape"),
        (lambda: crossing_shares(crossing(2, 2), [1, 2, 3, np.nan]), "missing"),
        (lambda: crossing_shares(crossing(2, 2).iloc[:3], [1, 2, 3]), "complete crossing"),
        (lambda: crossing_shares(crossing(2, 2).iloc[[0, 1, 2, 2]], [1, 2, 3, 3]), "complete crossing"),
        (lambda: crossing_shares(crossing(2, 2).iloc[:0], []), "0 combinations"),
        (lambda: largest_crossing({"a": ("x",)}, lambda one: False), "no combination"),
        (lambda: sobol_shares(ishigami, 1), "1 input"),
        (lambda: sobol_shares(ishigami, 3, 1000), "1000"),
        (lambda: sobol_shares(lambda x: np.full(len(x), np.nan), 3, 64), "missing"),
        (lambda: sobol_shares(lambda x: np.ones(3), 3, 64), "shape"),
    ],
)
def test_refusals(act, words):
    with pytest.raises(DesignError, match=words):
        act()
